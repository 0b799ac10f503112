"""Keys that outlive a rotation."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS: list[str] = [
    # What the wraps of a held record opened to, sealed at rest: for when the key that they are addressed to is gone.
    # One row per wrap of this node, in the order of `held.slots`.
    """
    CREATE TABLE node.rewraps (
        tree_index bigint NOT NULL,
        ordinal integer NOT NULL,
        sealed bytea NOT NULL,
        PRIMARY KEY (tree_index, ordinal)
    )
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """A ledger goes forward only."""
    raise NotImplementedError
