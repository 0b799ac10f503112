"""The store: a node's ledger, and what it keeps as a party, in its own Postgres."""
