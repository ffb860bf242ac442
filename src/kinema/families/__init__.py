"""The model families: one folder per family, with the same file names in each. Their table is core/registry.py."""
