"""Storage of weights: find, fetch, hash, load, and move to devices."""
