"""How clips come about: the ledger, durable steps, makers, workers on other machines."""
