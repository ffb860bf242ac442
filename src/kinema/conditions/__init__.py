"""Conditions as pixels: small functions from what a person gave to arrays on the plan's canvas."""
