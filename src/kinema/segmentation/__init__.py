"""Segmentation of an object in a frame and tracking through a clip: by OpenCV, or by SAM 2 and Grounding DINO."""
