"""The engine: plan to guests, guests to samples, samples to verdicts."""
