"""Three roles of a node's database, and what each may touch: a rule per table, stated here and nowhere else.

- the **owner** migrates: it owns schemas and tables, and nothing that serves anybody connects as it;
- the **node** applies: it reads and writes rows, of `ledger` it only adds; it has no DDL, and cannot lift a row policy;
- the **reader** answers callers: it reads, and of held records and their index only the rows of the parties that its
  transaction names by their blinded tags (16 bytes that nobody can guess, and that it cannot list).

Which rows a connection sees follows from the role that it logged in as, and from no setting that SQL could change:
each policy names its role (PostgreSQL documentation, "Row Security Policies").
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from consortium.errors import ConfigurationError

SCHEMAS = ("ledger", "node")
ADD = ("SELECT", "INSERT")
ADD_AND_ERASE = (*ADD, "DELETE")
WRITE = (*ADD, "UPDATE", "DELETE")
ALL, NONE = "true", ""
_OF_THE_PARTIES = """party = ANY (ARRAY(
    SELECT decode(tag, 'hex')
    FROM unnest(string_to_array(current_setting('consortium.parties', true), ',')) AS tag
))"""
_INDEXED = "EXISTS (SELECT FROM node.entries WHERE entries.tree_index = {table}.tree_index)"


@dataclass(frozen=True, slots=True)
class Rule:
    """What the node may do with a table, and which of its rows the reader sees: NONE (the table is closed to it), ALL,
    or a condition. With a condition the table has row-level security, which binds the node as well (it sees all).
    """

    node: Sequence[str]
    reader: str = NONE

    @property
    def by_row(self) -> bool:
        """Whether row policies decide."""
        return self.reader not in (ALL, NONE)


RULES = {
    # What every node has alike. It is never changed: even the node itself can only add.
    "ledger.blocks": Rule(ADD),
    "ledger.records": Rule(ADD, ALL),  # public headers: found records are read with theirs
    "ledger.rejections": Rule(ADD),
    "ledger.refused_batches": Rule(ADD),
    "ledger.tiles": Rule(ADD),
    "ledger.public_records": Rule(ADD),
    # What this node holds as a party, and for whom.
    "node.held": Rule(ADD_AND_ERASE, _INDEXED.format(table="held")),
    "node.rewraps": Rule(WRITE, _INDEXED.format(table="rewraps")),
    "node.entries": Rule(ADD_AND_ERASE, _OF_THE_PARTIES),
    "node.missing": Rule(ADD_AND_ERASE),
    # The node's own bookkeeping.
    "node.marks": Rule(("SELECT", "UPDATE")),
    "node.checkpoints": Rule(WRITE),
    "node.cosigners": Rule(WRITE),
    # Accounts and what they sign in with: digests, and second factors sealed. None is ever taken out of the list.
    "node.accounts": Rule(("SELECT", "INSERT", "UPDATE")),
    "node.sessions": Rule(WRITE),
    "node.refresh_tokens": Rule(WRITE),
    "node.second_factors": Rule(WRITE),
    "node.recovery_codes": Rule(WRITE),
    "node.invitations": Rule(WRITE),
    "node.accesses": Rule(ADD_AND_ERASE),  # reads that wait to be told, and the chains that tell them
    "node.access_chains": Rule(("SELECT", "INSERT", "UPDATE")),
    "node.access_records": Rule(ADD_AND_ERASE),
    "node.grant_keys": Rule(WRITE),  # an officer's node: keys of grants, and what was disclosed to them
    "node.disclosed": Rule(WRITE),
    "node.erased": Rule(ADD),  # what was erased stays noted
    "node.closed": Rule(ADD),
    "node.schema_version": Rule(("SELECT",)),
}
UNSTATED = {"ledger": Rule(ADD), "node": Rule(WRITE)}
"""A table without a rule is closed to the reader. A test fails until it has one (tests/integration)."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The names of the two roles that a node works as."""

    node: str
    reader: str


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """libpq URLs of one database for its three roles; `owner` is empty where nobody is to migrate."""

    node: str = field(repr=False)
    reader: str = field(repr=False)
    owner: str = field(default="", repr=False)

    @property
    def roles(self) -> Roles:
        """Raises `ConfigurationError` unless the two URLs name two roles."""
        found = Roles(_user(self.node), _user(self.reader))
        if not found.node or not found.reader or found.node == found.reader:
            raise ConfigurationError(
                "the database URLs do not name two roles", hint="docs/operations.md, The database's roles"
            )
        return found


_GRANTEES = """
SELECT DISTINCT rolname FROM pg_roles JOIN (
    SELECT grantee, relowner AS owner FROM pg_class, aclexplode(relacl)
    WHERE relnamespace::regnamespace::text = ANY (%s)
) AS granted ON granted.grantee = pg_roles.oid AND grantee <> owner
"""

_RIGHTS = """
SELECT relname || relrowsecurity || COALESCE(relacl::text, '') AS line FROM pg_class
WHERE relnamespace::regnamespace::text = ANY (%(schemas)s)
UNION ALL
SELECT nspname || COALESCE(nspacl::text, '') FROM pg_namespace WHERE nspname = ANY (%(schemas)s)
UNION ALL
SELECT tablename || policyname || roles::text || cmd || COALESCE(qual, '') || COALESCE(with_check, '') FROM pg_policies
WHERE schemaname = ANY (%(schemas)s) ORDER BY 1
"""


def apply_rules(conn: psycopg.Connection, roles: Roles) -> bool:
    """Give both roles what the rules say, and take all else from everybody but the owner; whether there was anything
    to do.

    For the owner, in a transaction of the caller's. The comment of the schema `node` notes what was done last and what
    it came to: only when something differs are policies touched, which locks their tables.
    """
    query = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = ANY (%s) ORDER BY 1"
    tables = [name for (name,) in conn.execute(query, [list(SCHEMAS)])]
    grantees = {name for (name,) in conn.execute(_GRANTEES, [list(SCHEMAS)])} | {roles.node, roles.reader}
    statements = [statement.as_string(conn) for statement in _statements(tables, roles, sorted(grantees))]
    noted = conn.execute("SELECT obj_description('node'::regnamespace, 'pg_namespace')").fetchone()
    if noted == (_note(conn, statements),):
        return False
    for statement in statements:
        conn.execute(statement.encode())
    conn.execute(sql.SQL("COMMENT ON SCHEMA node IS {}").format(_note(conn, statements)))
    return True


def _note(conn: psycopg.Connection, statements: Sequence[str]) -> str:
    """A digest of the rules and of the rights that stand in the database: a restored dump has the rules' note alone."""
    rights = [row[0] for row in conn.execute(_RIGHTS, {"schemas": list(SCHEMAS)})]
    return "rules " + hashlib.sha256("\0".join([*statements, *rights]).encode()).hexdigest()


def _statements(tables: Sequence[str], roles: Roles, grantees: Sequence[str]) -> Iterator[sql.Composed]:
    both = sql.SQL(", ").join([sql.Identifier(roles.node), sql.Identifier(roles.reader)])
    anybody = sql.SQL(", ").join([sql.SQL("PUBLIC"), *map(sql.Identifier, grantees)])
    for schema in SCHEMAS:
        name = sql.Identifier(schema)
        yield sql.SQL("REVOKE ALL ON SCHEMA {} FROM {}").format(name, anybody)
        for kind in ("TABLES", "SEQUENCES", "ROUTINES"):
            yield sql.SQL("REVOKE ALL ON ALL {} IN SCHEMA {} FROM {}").format(sql.SQL(kind), name, anybody)
        yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name, both)
        yield sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {} TO {}").format(name, sql.Identifier(roles.node))
    for table in tables:
        yield from _of_table(table, RULES.get(table) or UNSTATED[table.partition(".")[0]], roles)


def _of_table(table: str, rule: Rule, roles: Roles) -> Iterator[sql.Composed]:
    name, node, reader = sql.Identifier(*table.split(".")), sql.Identifier(roles.node), sql.Identifier(roles.reader)
    yield sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(", ").join(map(sql.SQL, rule.node)), name, node)
    if rule.reader != NONE:
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(name, reader)
    for policy in ("applies", "answers"):
        yield sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(sql.Identifier(policy), name)
    if rule.by_row:
        yield sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name)
        yield sql.SQL("CREATE POLICY applies ON {} TO {} USING (true) WITH CHECK (true)").format(name, node)
        condition = sql.SQL(rule.reader)
        yield sql.SQL("CREATE POLICY answers ON {} FOR SELECT TO {} USING ({})").format(name, reader, condition)


def _user(url: str) -> str:
    try:
        return str(conninfo_to_dict(url).get("user") or "")
    except psycopg.ProgrammingError:  # it would quote the URL
        return ""
