"""Super-resolution: a clip upscaled by a network that maps one frame, or three neighbouring ones, to a larger frame.

upscale.upscaled_by       a clip, as chunks
weights.open_network      the shipped network, one of its kind, or another one's file (through spandrel)
network.CompactNetwork    the compact network that Kinema trains (recipes/mini_upscale.py)
"""
