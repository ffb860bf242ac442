"""The shipped weights, in diffusers folder layout; each folder has a card.json that says how it was made."""
