"""Reads that are still to be told to their subjects, and where each subject's chain of access records stands.

Bodies are sealed under the storage key, subjects are blinded tags: the tables say how much is read, not whose. They are
the node's alone, and closed to the role that answers callers.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS: list[str] = [
    """
    CREATE TABLE node.accesses (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        subject bytea NOT NULL,
        at_ms bigint NOT NULL,
        body bytea NOT NULL
    )
    """,
    "CREATE INDEX accesses_subject ON node.accesses (subject, number)",
    """
    CREATE TABLE node.access_chains (
        subject bytea PRIMARY KEY,
        sequence bigint NOT NULL,
        digest bytea NOT NULL
    )
    """,
    """
    CREATE TABLE node.access_records (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id bytea NOT NULL UNIQUE,
        subject bytea NOT NULL,
        sequence bigint NOT NULL,
        at_ms bigint NOT NULL,
        body bytea NOT NULL
    )
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """A ledger goes forward only."""
    raise NotImplementedError
