"""Upscaling a clip by a network that maps a few neighbouring frames to one larger frame.

network.CompactNetwork    the compact super-resolution network (plain convolutions and a pixel shuffle)
"""
