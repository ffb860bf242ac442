"""The sampling loop, warm engines, clips, estimates, resuming, manifests."""
