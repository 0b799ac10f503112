"""What was erased here, and of what nothing is computed anew.

That a record was erased everybody can read in the ledger; when this node did it stands in no column. The tags of
`closed` are blinded under the storage key.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS: list[str] = [
    """
    CREATE TABLE node.erased (
        tree_index bigint PRIMARY KEY,
        id bytea NOT NULL UNIQUE CHECK (octet_length(id) = 16),
        erasure bytea NOT NULL CHECK (octet_length(erasure) = 16)
    )
    """,
    "CREATE TABLE node.closed (tag bytea PRIMARY KEY CHECK (octet_length(tag) = 16))",
    # Rows of these tables die by erasure alone: the server's own vacuum takes them away within minutes, not once a
    # fifth of the table is dead.
    *(
        f"ALTER TABLE node.{table} SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0)"
        for table in ("held", "entries")
    ),
    "ALTER TABLE node.held SET (toast.autovacuum_vacuum_threshold = 0, toast.autovacuum_vacuum_scale_factor = 0)",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """A ledger goes forward only."""
    raise NotImplementedError
