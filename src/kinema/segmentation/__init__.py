"""An object cut out of a frame and followed through a clip: by OpenCV alone, or by SAM 2 and Grounding DINO."""
