"""Readers of frames that both yardsticks and curation use: dense flow, picture and text encoders, video encoders."""
