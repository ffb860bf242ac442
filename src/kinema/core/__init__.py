"""Plain values that every other room speaks: no torch, no codecs, no network."""
