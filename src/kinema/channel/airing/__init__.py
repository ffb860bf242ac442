"""Playout: the programme, the outputs and the guide."""
