"""The document on a terminal: a verdict, causes, a table of failures, grids."""
