"""The audit: replay a ledger from its start, with the public keys alone, and name everything that does not hold.

It imports nothing that could open a payload (import-linter).
"""
