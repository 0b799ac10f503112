"""The `consortium` command."""
