"""How much of a GPU weights may take: one limit for plans (engine/placement.py) and runs (residency.py). No torch."""

HEADROOM = 0.75
"""Share of a GPU's memory above which weights are staged (on the GPU only while they are needed)."""
