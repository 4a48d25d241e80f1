"""What was asked for: the table of options, where values come from, and the settings they make."""
