"""Plain frozen values: no behaviour beyond their own encoding, no I/O."""
