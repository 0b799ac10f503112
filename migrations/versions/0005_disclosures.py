"""What an officer's node keeps under grants: private halves of grants' keys, and what was disclosed to them.

Keys and ciphertexts are sealed under the storage key. Type and period stand in clear, as in
`node.entries`. All of it is the node's alone, and closed to the role that answers callers.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS: list[str] = [
    "CREATE TABLE node.grant_keys (grant_id bytea PRIMARY KEY, sealed bytea NOT NULL)",
    """
    CREATE TABLE node.disclosed (
        grant_id bytea NOT NULL,
        tree_index bigint NOT NULL,
        holder text NOT NULL,
        sections bigint NOT NULL,
        id bytea NOT NULL,
        state bigint NOT NULL,
        type text NOT NULL,
        start_ms bigint NOT NULL,
        at_ms bigint NOT NULL,
        reason text NOT NULL,
        sealed bytea NOT NULL,
        PRIMARY KEY (grant_id, tree_index, holder)
    )
    """,
    "CREATE INDEX disclosed_id ON node.disclosed (grant_id, id)",
    "CREATE INDEX disclosed_waiting ON node.disclosed (grant_id, tree_index) WHERE state = 0",
    "INSERT INTO node.marks (name, value) VALUES ('disclosed_up_to', 0)",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """A ledger goes forward only."""
    raise NotImplementedError
