"""Writing: themes, episodes, shots and prompts, by a grammar or a language model."""
