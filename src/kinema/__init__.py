"""Kinema makes video."""
