"""Alembic's entry: runs under `consortium.adapters.postgres.migrate`, which hands over an open connection.

The timeouts are set there before anything else: a migration that cannot have its lock soon gives up instead of
queueing up every reader behind itself, and can be repeated.
"""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    version_table="schema_version",
    version_table_schema="node",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
