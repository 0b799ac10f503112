"""Functions over bytes. Keys, nonces and random bytes come in as arguments."""
