"""Which pairs of guests are measured, in which rounds and shards, and at which addresses."""
