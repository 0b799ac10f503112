"""Who may do what, as pure decisions over the Cedar policies."""
