"""Training tasks, one per file, each with its loss and evaluation."""
