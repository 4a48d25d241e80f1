"""Simulated guests: a console dialogue, a real shell on a pty, and a network that exists only in this process."""
