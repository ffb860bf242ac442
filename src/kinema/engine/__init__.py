"""The loop and what surrounds it: warm engines, clips, estimates, resumption, manifests."""
