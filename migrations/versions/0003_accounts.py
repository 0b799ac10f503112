"""Accounts: duties, sessions, second factors, invitations."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS: list[str] = [
    "ALTER TABLE node.accounts ADD COLUMN duties text[] NOT NULL DEFAULT '{}'",
    "ALTER TABLE node.accounts ADD COLUMN revoked_ms bigint NOT NULL DEFAULT 0",
    "ALTER TABLE node.accounts ADD COLUMN mandate text[] NOT NULL DEFAULT '{}'",
    "ALTER TABLE node.accounts ADD COLUMN key_sequence bigint NOT NULL DEFAULT 0",
    "ALTER TABLE node.accounts ADD COLUMN key_ms bigint NOT NULL DEFAULT 0",
    # Who worked before there were duties goes on with all of them.
    "UPDATE node.accounts SET duties = '{billing,metering,operations,trading}' WHERE kind = 'staff'",
    "UPDATE node.accounts SET kind = 'officer' WHERE kind = 'auditor'",
    """
    CREATE TABLE node.sessions (
        id bytea PRIMARY KEY CHECK (octet_length(id) = 16),
        account text NOT NULL REFERENCES node.accounts (name),
        key text NOT NULL,
        created_ms bigint NOT NULL,
        seen_ms bigint NOT NULL,
        until_ms bigint NOT NULL,
        ended_ms bigint
    )
    """,
    "CREATE INDEX sessions_account ON node.sessions (account)",
    # Digests only. One that was exchanged stays until its session is forgotten: its second use is what is looked for.
    """
    CREATE TABLE node.refresh_tokens (
        digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
        session bytea NOT NULL REFERENCES node.sessions (id) ON DELETE CASCADE,
        used boolean NOT NULL
    )
    """,
    "CREATE INDEX refresh_tokens_session ON node.refresh_tokens (session)",
    """
    CREATE TABLE node.second_factors (
        account text PRIMARY KEY REFERENCES node.accounts (name),
        sealed bytea NOT NULL,
        confirmed boolean NOT NULL,
        last_step bigint NOT NULL
    )
    """,
    """
    CREATE TABLE node.recovery_codes (
        account text NOT NULL REFERENCES node.second_factors (account) ON DELETE CASCADE,
        digest bytea NOT NULL CHECK (octet_length(digest) = 32),
        PRIMARY KEY (account, digest)
    )
    """,
    """
    CREATE TABLE node.invitations (
        account text PRIMARY KEY,
        digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
        kind text NOT NULL,
        duties text[] NOT NULL,
        given_by text NOT NULL,
        until_ms bigint NOT NULL,
        recovers boolean NOT NULL,
        needs_two boolean NOT NULL,
        confirmed_by text NOT NULL
    )
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """A ledger goes forward only."""
    raise NotImplementedError
