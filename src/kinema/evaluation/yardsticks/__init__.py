"""Yardsticks: figures of a clip, of a set of clips, and of a set against another."""
