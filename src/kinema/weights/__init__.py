"""Storage: where weights are, what they hash to, how they get into modules and onto devices."""
