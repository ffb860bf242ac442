"""ComfyUI's API, and the official interface on it."""
