"""The market's rules, pure: which orders are good, how a book clears, how anybody checks it."""
