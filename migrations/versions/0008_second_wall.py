"""Roles for migrating, applying and reading: the old policies go, which a setting opened.

What each role may touch stands in `consortium.adapters.postgres.roles`, and is applied after every migration: the
names of the roles are the operator's choice. The owner is not bound: it could lift every policy, and its dumps are
whole.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS: list[str] = [
    statement.format(table=table)
    for table in ("held", "entries")
    for statement in (
        "DROP POLICY reads ON node.{table}",
        "DROP POLICY adds ON node.{table}",
        "DROP POLICY changes ON node.{table}",
        "DROP POLICY erases ON node.{table}",
        "ALTER TABLE node.{table} NO FORCE ROW LEVEL SECURITY",
    )
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """A ledger goes forward only."""
    raise NotImplementedError
