"""Curation: from a heap of videos to a table of clips with figures, marks and a training set (docs/curation.md)."""
