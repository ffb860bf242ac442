"""The models. One folder a family, the same file names in each; the table of families is core/registry.py."""
