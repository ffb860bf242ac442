"""Works made of several requests: films, from a plan to one file."""
