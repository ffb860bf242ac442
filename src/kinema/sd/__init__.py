"""What families that stand on an image model of Stable Diffusion's kind share: CLIP's text states, frames through an
image autoencoder, and the discrete noise schedule. Networks are diffusers' and transformers' own."""
