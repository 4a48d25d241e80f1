"""Ping in the guest: the command to type (``command``), and what its answer is read as. Pure.

``output`` makes a result of the answer, step by step: ``lines`` reads what stands there, ``selection`` picks the lines
that are this ping's, ``reconcile`` checks them against each other and against what was asked for, ``interruption``
takes out what a signal left open, and ``oddities`` says what is odd. ``complaints`` says whose fault it is when ping
stopped. ``stamps`` reads lines that say when they came (``arrivals`` corrects them), ``gaps`` finds the longest time
without a reply, and ``migrationgaps`` what of it a migration did.
"""
