"""The built-in weights, in diffusers folder layout. Each folder has a card.json with its recipe and scores."""
