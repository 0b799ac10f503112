"""Guarantees of origin: numbered Wh of one producer and interval, each issued once and used once."""
