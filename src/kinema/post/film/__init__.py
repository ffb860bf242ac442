"""FILM (Reda et al., ECCV 2022, arXiv 2202.04901): frame interpolation by one network.

config.FilmConfig     its options: PUBLISHED is the released network, MINI the small one that Kinema ships
network.FilmNetwork   the network
weights.open_film     weights from the shipped folder, .safetensors, a state dict or a TorchScript file
"""
