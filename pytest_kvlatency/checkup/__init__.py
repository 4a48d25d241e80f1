"""One run on pytest's side, from its configuration to its reports."""
