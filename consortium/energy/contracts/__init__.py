"""Contracts as declared terms: what they say, when they are in force, what they cost, in plain words."""
