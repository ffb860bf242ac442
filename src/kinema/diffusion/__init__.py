"""The mathematics of sampling and training: noise, guidance, step reuse. No models, no files."""
