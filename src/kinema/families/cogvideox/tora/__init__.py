"""Tora (arXiv 2407.21705): CogVideoX that follows drawn paths. Imports nothing heavy.

paths -> motion_map.py -> the family's autoencoder -> networks.py: TrajectoryExtractor -> a fuser in every block
"""
