"""The plugin's own check: test items that need no test file."""
