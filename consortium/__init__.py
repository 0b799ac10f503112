"""A permissioned ledger for the electricity sector: submit, seal, order, apply, prove, read."""
