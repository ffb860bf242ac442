"""Clip generation: the ledger, durable steps, makers, workers on other machines."""
