"""FILM (Reda et al., ECCV 2022, arXiv 2202.04901): a frame between two frames, by one network.

config.FilmConfig     its options: PUBLISHED is the released network, MINI the small one that Kinema ships
network.Film          the network
weights.open_film     weights from the shipped folder, .safetensors, a state dict or a TorchScript file
"""
