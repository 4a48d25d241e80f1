"""What runs as a guest: real virtual machines (``qemu``) or simulated ones (``sim``)."""
