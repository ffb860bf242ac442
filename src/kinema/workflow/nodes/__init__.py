"""ComfyUI's nodes: what each declares, what it becomes in Kinema, and those that compute plain values."""
