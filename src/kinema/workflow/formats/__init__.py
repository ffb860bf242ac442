"""ComfyUI workflow files: reading them (also from media that carry them) and converting them to API prompts."""
