"""Shared code of families based on Stable Diffusion image models: CLIP's text states, encoding and decoding frames with
an image VAE, and the discrete noise schedule. Networks are classes of diffusers and transformers."""
