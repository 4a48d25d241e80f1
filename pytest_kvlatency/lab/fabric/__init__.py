"""The lab's networks: what a link does to a frame, and the switch that does it."""
