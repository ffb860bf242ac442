"""Judging what a model makes: small networks and measures that read Toyland's clips, and the scorecard made of them."""
