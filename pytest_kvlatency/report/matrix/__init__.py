"""Networks as grids of nodes: cells, what stands out, and how they are drawn."""
