"""Training data: user clips and Toyland clips, their captions, and cached encodings."""
