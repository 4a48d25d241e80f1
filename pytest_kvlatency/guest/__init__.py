"""What is done inside a guest over its shell: profiles, its address, and the measurement."""
