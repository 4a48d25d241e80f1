"""pytest-xdist: what of a run its controller does, and what its workers do."""
