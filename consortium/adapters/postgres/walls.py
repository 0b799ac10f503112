"""What a role could do, whatever it is meant to do: a node that could pass its own walls does not start.

Asked of the server, by the role itself: what counts is the power it has, by whatever grants and memberships.
"""

from __future__ import annotations

from psycopg import AsyncConnection

from consortium.errors import ConfigurationError

_HINT = "docs/operations.md, The database's roles"
_BYPASSES = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
_TABLES = """
SELECT COALESCE(bool_or({power}), false) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p') AND nspname = ANY (ARRAY[{schemas}])
"""
_OWNS = _TABLES.format(power="pg_has_role(current_user, relowner, 'MEMBER')", schemas="'ledger', 'node'")
_REWRITES = _TABLES.format(power="has_table_privilege(pg_class.oid, 'UPDATE, DELETE, TRUNCATE')", schemas="'ledger'")
_WRITES = _TABLES.format(
    power="has_table_privilege(pg_class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')", schemas="'ledger', 'node'"
)


async def require_bound(conn: AsyncConnection) -> None:
    """Raises `ConfigurationError` for a role that row-level security does not bind."""
    if await _one(conn, _BYPASSES):
        raise ConfigurationError("the database role bypasses row-level security", hint=_HINT)


async def require_node(conn: AsyncConnection) -> str:
    """The name of the node's role. Raises `ConfigurationError` if it owns the tables, or can change the ledger's."""
    if await _one(conn, _OWNS):
        raise ConfigurationError("the node's database role owns its tables, or can become who does", hint=_HINT)
    if await _one(conn, _REWRITES):
        raise ConfigurationError("the node's database role can change the ledger's rows", hint=_HINT)
    return str(await _one(conn, "SELECT current_user"))


async def require_reader(conn: AsyncConnection, node: str) -> None:
    """Raises `ConfigurationError` for a reader that is the node's role or can become it, owns tables, or can write."""
    powers = [await _one(conn, query) for query in (_OWNS, _WRITES)]
    powers.append(await _one(conn, "SELECT pg_has_role(current_user, %b::name, 'MEMBER')", node))
    if any(powers):
        raise ConfigurationError("the reader's database role may do more than read", hint=_HINT)


async def _one(conn: AsyncConnection, query: str, *values: str) -> object:
    row = await (await conn.execute(query, values)).fetchone()
    return row[0] if row else None
