"""What comes after a member found nothing of an erased record (a grant disclosed it, say) goes before it says done."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from consortium.agents.erase import Eraser
from consortium.ledger.governance.constitution import founded
from consortium.ledger.governance.state import Erasure
from consortium.model.members import Genesis
from consortium.ports.erasure import Remains
from tests.builders import make_member, make_record

AUTHOR, OFFICE = "alpha", "regulator"


async def nothing(*_: object) -> None:
    return None


class Node:
    """The office's node, which holds nothing of the record until somebody discloses it."""

    def __init__(self) -> None:
        record = make_record(AUTHOR, 1)
        genesis = Genesis("testnet", "main", 1, "o.example/x", (make_member(AUTHOR), make_member(OFFICE)))
        self.erasure = Erasure(
            b"e" * 16, AUTHOR, (record.header.id,), "user", "", 1, 1000, held_back={AUTHOR: "a hold"}
        )
        self.disclosed = Remains(0, record.header.id, record.header_bytes, None)
        self.rows: list[Remains] = []
        self.said: list[str] = []
        self.state = SimpleNamespace(governance=founded(genesis), time_ms=1000, height=5)
        self.decided(self.erasure)
        judge = SimpleNamespace(in_the_way=lambda *_, **__: "", see=lambda _: None, known=lambda: None)
        clock, ids = SimpleNamespace(now_ms=lambda: 0), SimpleNamespace(derive_id=lambda _: bytes(16))
        oblivion = SimpleNamespace(close=lambda _: None, tags=lambda *_: ())
        self.eraser = Eraser(
            OFFICE, SimpleNamespace(judge=judge), oblivion, self, self, self, self, self, ids, clock,
            lambda: self.state, SimpleNamespace(answer=nothing), halted=lambda: "", level=lambda: True,
            forget=lambda _: None, observe=lambda _: None, interval_s=1e9,
        )  # fmt: skip
        self.eraser._retained_ms = 0

    def decided(self, erasure: Erasure) -> None:
        self.state.governance = replace(self.state.governance, erasures={erasure.id: erasure})
        self.state.time_ms += 60_000

    async def remains(self, _: object) -> list[Remains]:
        return list(self.rows)

    async def destroy(self, _: object) -> None:
        self.rows.clear()

    async def closed(self) -> list[bytes]:
        return []

    def publish(self, draft) -> object:
        self.said.append(draft.body.state)
        return SimpleNamespace()

    finish = nothing


async def test_what_was_disclosed_since_is_destroyed_before_the_word():
    node = Node()
    await node.eraser.round()
    assert "done" not in node.said, "its author holds it back"
    node.rows.append(node.disclosed)
    node.decided(replace(node.erasure, held_back={}, acknowledged=frozenset({AUTHOR})))
    for _ in range(3):
        await node.eraser.round()
        node.state.time_ms += 60_000
    assert node.rows == []
    assert node.said[-1] == "done"
