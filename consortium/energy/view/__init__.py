"""What a node knows of the market: a fold over the records that it may open, in the ledger's order."""
