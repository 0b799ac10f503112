"""The ledger's state, rebuilt from the store at the start: a handful of rows whatever the ledger's length."""

from __future__ import annotations

from dataclasses import replace

from psycopg import AsyncConnection

from consortium.adapters.postgres.pool import fetch
from consortium.adapters.postgres.rows import BLOCK, block_of
from consortium.crypto.merkle import HASH_BYTES, TILE_BITS, TILE_WIDTH, Tree, leaf_hash, root_of
from consortium.errors import ConfigurationError, ProofInvalid, Tampering
from consortium.ledger.governance.constitution import founded
from consortium.ledger.governance.state import Governance
from consortium.ledger.governance.step import step
from consortium.ledger.state import LedgerState, MemberState, initial
from consortium.model.members import Genesis
from consortium.model.records import parse_header
from consortium.model.verdicts import RecordRefusal

# Two steps down an index per member, however many blocks there are. What it wrote before it was admitted counts for
# nothing.
_MEMBERS = """
SELECT name, last.sequence, good.batch_created_ms
FROM unnest(%b::text[], %b::bigint[]) AS known (name, admitted)
JOIN LATERAL (SELECT sequence FROM ledger.blocks WHERE member = name AND height >= admitted
    ORDER BY sequence DESC LIMIT 1) AS last ON true
LEFT JOIN LATERAL (SELECT batch_created_ms FROM ledger.blocks WHERE member = name AND height >= admitted
    AND refusal = '' ORDER BY sequence DESC LIMIT 1) AS good ON true
"""
_PUBLIC = """
SELECT header, height, time_ms, epoch FROM ledger.public_records JOIN ledger.records USING (tree_index)
JOIN ledger.blocks USING (height) ORDER BY tree_index
"""


async def load(conn: AsyncConnection, genesis: Genesis) -> LedgerState:
    """The state after the last block.

    Raises `ConfigurationError` if the store belongs to another network, `Tampering` if what it holds does not lead to
    the last block's root.
    """
    first = await fetch(conn, "SELECT previous FROM ledger.blocks WHERE height = 1")
    last = await fetch(conn, BLOCK + "ORDER BY height DESC LIMIT 1")
    if not first or not last:
        return _empty(genesis, bool(last))
    if first[0][0] != genesis.digest():
        raise ConfigurationError(
            "the database holds the ledger of another genesis", hint="check the genesis file and the database URL"
        )
    block = block_of(last[0])
    tree = await _tree(conn, block.size)
    if tree.root() != block.root:
        raise Tampering(f"the stored records do not lead to the root of block {block.height}", hint="run an audit")
    governance = await _since(conn, await _governance(conn, genesis), block.epoch)
    members = await _members(conn, governance)
    return LedgerState(genesis, governance, block.height, last[0][13], block.position, block.time_ms, tree, members)


def _empty(genesis: Genesis, has_blocks: bool) -> LedgerState:
    if has_blocks:
        raise Tampering("the first block was taken out of the store", hint="run an audit")
    return initial(genesis)


async def _governance(conn: AsyncConnection, genesis: Genesis) -> Governance:
    """What stands decided: the public records from the first one on."""
    governance = founded(genesis)
    for header, height, time_ms, epoch in await fetch(conn, _PUBLIC):
        after = step(replace(governance, epoch=epoch), parse_header(header), height, time_ms)
        if isinstance(after, RecordRefusal):
            raise Tampering("a public record in the store does not follow from those before it", hint="run an audit")
        governance = after
    return governance


async def _since(conn: AsyncConnection, governance: Governance, epoch: int) -> Governance:
    """The epoch of the last block, and the block that opened it."""
    if epoch == governance.genesis.epoch:
        return replace(governance, epoch=epoch)
    rows = await fetch(conn, "SELECT min(height) FROM ledger.blocks WHERE epoch = %b", [epoch])
    return replace(governance, epoch=epoch, epoch_since=rows[0][0])


async def _members(conn: AsyncConnection, governance: Governance) -> dict[str, MemberState]:
    members = {name: MemberState() for name in governance.standings}
    admitted = [max(known.first_admitted, governance.epoch_since) for known in governance.standings.values()]
    for name, sequence, latest_ms in await fetch(conn, _MEMBERS, [list(members), admitted]):
        members[name] = MemberState(sequence + 1, latest_ms)
    return members


async def _tree(conn: AsyncConnection, size: int) -> Tree:
    """The tree from its right edge: the headers of the partial tile, and the full tiles of the partial groups."""
    tails = [await _leaf_tail(conn, size)]
    while size >> TILE_BITS * len(tails):
        tails.append(await _tile_tail(conn, size, len(tails)))
    try:
        return Tree.from_tails(size, tails)
    except ProofInvalid as error:
        raise Tampering("records or tiles at the end of the ledger are missing in the store") from error


async def _leaf_tail(conn: AsyncConnection, size: int) -> list[bytes]:
    query = "SELECT header FROM ledger.records WHERE tree_index >= %b AND tree_index < %b ORDER BY tree_index"
    return [leaf_hash(header) for (header,) in await fetch(conn, query, [size - size % TILE_WIDTH, size])]


async def _tile_tail(conn: AsyncConnection, size: int, level: int) -> list[bytes]:
    """The roots of the full tiles, one level down, that the partial tile of `level` stands on."""
    end = size >> TILE_BITS * level
    query = "SELECT hashes FROM ledger.tiles WHERE level = %b AND idx >= %b AND idx < %b ORDER BY idx"
    rows = await fetch(conn, query, [level - 1, end - end % TILE_WIDTH, end])
    return [root_of([hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]) for (hashes,) in rows]
