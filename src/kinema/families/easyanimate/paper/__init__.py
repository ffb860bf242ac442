"""The design of EasyAnimate's paper (arXiv 2405.18991): slice autoencoder, image transformer with motion modules and
long skips."""
