"""The schemas `ledger` (the same bytes on every node) and `node` (this node's own).

Explicit DDL, so that what stands in the database can be read here. No column of `ledger` has a default, a clock or a
sequence: two nodes that are given the same log have the same rows.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LEDGER = [
    "CREATE SCHEMA ledger",
    """
    CREATE TABLE ledger.blocks (
        height bigint PRIMARY KEY,
        position bigint NOT NULL,
        sequence bigint NOT NULL,
        batch_created_ms bigint NOT NULL,
        time_ms bigint NOT NULL,
        size bigint NOT NULL,
        epoch bigint NOT NULL,
        count integer NOT NULL,
        member text NOT NULL,
        refusal text NOT NULL,
        digest bytea NOT NULL,
        previous bytea NOT NULL,
        batch_digest bytea NOT NULL,
        root bytea NOT NULL,
        head bytea NOT NULL,
        signature bytea NOT NULL
    )
    """,
    # For the start: each member's next batch and latest time, without reading the whole chain.
    "CREATE INDEX blocks_member_sequence ON ledger.blocks (member, sequence)",
    """
    CREATE TABLE ledger.records (
        tree_index bigint PRIMARY KEY,
        height bigint NOT NULL,
        item integer NOT NULL,
        id bytea NOT NULL CHECK (octet_length(id) = 16),
        header bytea NOT NULL,
        CONSTRAINT records_id UNIQUE (id)
    )
    """,
    # For the audit, which reads by block whatever the rows say.
    "CREATE INDEX records_height ON ledger.records (height)",
    # Digests and hints do not compress; trying costs time.
    "ALTER TABLE ledger.records ALTER COLUMN header SET STORAGE EXTERNAL",
    """
    CREATE TABLE ledger.rejections (
        height bigint NOT NULL,
        item integer NOT NULL,
        id bytea NOT NULL,
        reason text NOT NULL,
        header bytea NOT NULL,
        evidence bytea NOT NULL,
        PRIMARY KEY (height, item)
    )
    """,
    "CREATE INDEX rejections_id ON ledger.rejections (id, height, item)",
    "ALTER TABLE ledger.rejections ALTER COLUMN evidence SET STORAGE EXTERNAL",
    """
    CREATE TABLE ledger.refused_batches (
        height bigint PRIMARY KEY,
        raw bytea NOT NULL
    )
    """,
    "ALTER TABLE ledger.refused_batches ALTER COLUMN raw SET STORAGE EXTERNAL",
    """
    CREATE TABLE ledger.tiles (
        level smallint NOT NULL,
        idx bigint NOT NULL,
        hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
        PRIMARY KEY (level, idx)
    )
    """,
    "ALTER TABLE ledger.tiles ALTER COLUMN hashes SET STORAGE EXTERNAL",
]

NODE = [
    """
    CREATE TABLE node.held (
        tree_index bigint PRIMARY KEY,
        bodies bytea NOT NULL,
        wraps bytea NOT NULL,
        slots bytea NOT NULL
    )
    """,
    "ALTER TABLE node.held ALTER COLUMN bodies SET STORAGE EXTERNAL, ALTER COLUMN wraps SET STORAGE EXTERNAL",
    """
    CREATE TABLE node.missing (
        tree_index bigint PRIMARY KEY,
        id bytea NOT NULL,
        author text NOT NULL
    )
    """,
    # One line per party and record. The key serves paging in the order of the tree, the first index periods, the
    # second the row policies.
    """
    CREATE TABLE node.entries (
        tree_index bigint NOT NULL,
        start_ms bigint NOT NULL,
        party bytea NOT NULL,
        type text NOT NULL,
        PRIMARY KEY (party, tree_index)
    )
    """,
    "CREATE INDEX entries_period ON node.entries (party, type, start_ms)",
    "CREATE INDEX entries_tree_index ON node.entries (tree_index)",
    "CREATE TABLE node.marks (name text PRIMARY KEY, value bigint NOT NULL)",
    "INSERT INTO node.marks VALUES ('indexed_up_to', 0), ('cosigned_size', 0)",
    """
    CREATE TABLE node.checkpoints (
        size bigint NOT NULL,
        text text NOT NULL,
        note text NOT NULL,
        PRIMARY KEY (size, text)
    )
    """,
    "CREATE TABLE node.cosigners (name text PRIMARY KEY, size bigint NOT NULL)",
    """
    CREATE TABLE node.accounts (
        name text PRIMARY KEY,
        kind text NOT NULL,
        password_hash text NOT NULL,
        public_key bytea NOT NULL,
        own_key bytea NOT NULL,
        disabled boolean NOT NULL
    )
    """,
]

# Row-level security, forced on the owner too: the node is its database's owner. Without a setting nothing is
# visible. `current_setting` of an unknown setting is NULL, of one that was local to an ended transaction ''. CASE and
# not OR: the node must never pay for the subquery, and Postgres chooses in which order it looks at the sides of an OR.
_IS_NODE = "current_setting('consortium.scope', true) = 'node'"
_OWN = {
    "entries": """party = ANY (ARRAY(
        SELECT decode(tag, 'hex')
        FROM unnest(string_to_array(current_setting('consortium.parties', true), ',')) AS tag
    ))""",
    "held": "EXISTS (SELECT FROM node.entries WHERE entries.tree_index = held.tree_index)",
}
ROW_SECURITY = [
    statement.format(table=table, own=own, node=_IS_NODE)
    for table, own in _OWN.items()
    for statement in (
        "ALTER TABLE node.{table} ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE node.{table} FORCE ROW LEVEL SECURITY",
        "CREATE POLICY reads ON node.{table} FOR SELECT USING (CASE WHEN {node} THEN true ELSE {own} END)",
        "CREATE POLICY adds ON node.{table} FOR INSERT WITH CHECK ({node})",
        "CREATE POLICY changes ON node.{table} FOR UPDATE USING ({node})",
        "CREATE POLICY erases ON node.{table} FOR DELETE USING ({node})",
    )
]


def upgrade() -> None:
    for statement in (*LEDGER, *NODE, *ROW_SECURITY):
        op.execute(statement)


def downgrade() -> None:
    """A ledger goes forward only."""
    raise NotImplementedError
