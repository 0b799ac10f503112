"""Ledgers with cosigned checkpoints in a store, and exports of them, for tests of the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from consortium.audit.export import export
from consortium.crypto.notes import Checkpoint, SignedNote, cosign, sign_note
from consortium.ledger.witnessing import log_keys, trust_file, witness_keys
from consortium.model.members import Genesis
from tests.builders import Chain, signing_secret
from tests.fakes.store import MemoryStore


def checkpoint(genesis: Genesis, size: int, root: bytes, cosigners: Sequence[str], log: int = 0) -> SignedNote:
    """A checkpoint signed by the member number `log`, cosigned by the members named."""
    text = Checkpoint(genesis.origin, size, root).text()
    signer = genesis.members[log].name
    signatures = [sign_note(text, log_keys(genesis)[log], signing_secret(signer, "log"))]
    keys = witness_keys(genesis)
    signatures += [cosign(text, keys[name], signing_secret(name, "witness"), 1_497_484_800) for name in cosigners]
    return SignedNote(text, tuple(signatures))


async def filled_store(
    chain: Chain, cosigned: Sequence[int] = (), cosigners: Sequence[str] = ("alpha", "bravo")
) -> MemoryStore:
    """A store that holds the chain, with checkpoints after the blocks of the heights `cosigned`."""
    store = MemoryStore()
    await fill(store, store, chain, cosigned, cosigners)
    return store


async def fill(ledger, witness, chain: Chain, cosigned: Sequence[int], cosigners: Sequence[str]) -> None:
    for step in chain.steps:
        await ledger.commit(step, ())
        if step.block.height in cosigned:
            await witness.save(checkpoint(chain.genesis, step.block.size, step.block.root, cosigners))


def exported(chain: Chain, directory: Path, *, cosigned: Sequence[int] | None = None, per_file: int = 1000, **options):
    """Export the chain; by default every third block and the last have a cosigned checkpoint."""
    heights = [*range(3, len(chain.steps), 3), len(chain.steps)] if cosigned is None else cosigned

    async def run():
        store = await filled_store(chain, heights, **options)
        return await export(store, store, chain.genesis, trust_file(chain.genesis), directory, blocks_per_file=per_file)

    return asyncio.run(run())
