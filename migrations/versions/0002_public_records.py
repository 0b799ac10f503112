"""Where the ledger's public records stand."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS: list[str] = [
    # So that what the members decided is found at the start without reading all records.
    """
    CREATE TABLE ledger.public_records (
        tree_index bigint PRIMARY KEY,
        kind text NOT NULL
    )
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """A ledger goes forward only."""
    raise NotImplementedError
