"""Evaluation of models: probes and measures for Toyland clips, and the scorecard."""
