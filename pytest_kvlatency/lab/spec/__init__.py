"""What a lab holds: its file, read strictly, and the faults that it may have."""
