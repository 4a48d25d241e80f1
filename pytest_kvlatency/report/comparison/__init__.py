"""Compares a run with the document of an earlier one. Pure."""
