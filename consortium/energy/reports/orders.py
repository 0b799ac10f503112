"""A party's own orders, what became of each, and the proof that it was counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from consortium.energy.market.proofs import verify_counted
from consortium.energy.opened import Opened
from consortium.energy.payloads.market import Order, OrderResult, Reserve, Verdict
from consortium.energy.sections import part_in_words
from consortium.errors import ProofInvalid

FOLLOWING = ("order-result", "payment")
"""Types of the records that say what became of an order; they start when its session does."""


def order_rows(orders: Iterable[Opened], following: Iterable[Opened]) -> list[dict[str, Any]]:
    """Each order's fields, `reserved`, `held` (None: not answered, or an ask), `state` and `result`."""
    verdicts: dict[bytes, Verdict] = {}
    results: dict[bytes, tuple[str, OrderResult]] = {}
    for record in following:
        for part in record.parts:
            if isinstance(part, Verdict):
                verdicts.setdefault(part.order, part)
            elif isinstance(part, OrderResult):
                results.setdefault(part.order, (record.id, part))
    rows = []
    for record in orders:
        order, id = record.part(Order), bytes.fromhex(record.id)
        if order is not None:
            rows.append(_row(record, order, verdicts.get(id), results.get(id)))
    return rows


def _row(
    record: Opened, order: Order, verdict: Verdict | None, result: tuple[str, OrderResult] | None
) -> dict[str, Any]:
    reserve = record.part(Reserve)
    return {
        "id": record.id,
        "index": record.index,
        **part_in_words(order),
        "reserved": reserve.amount if reserve else 0,
        "held": verdict.held if verdict else None,
        "state": _state(verdict, result),
        "result": None if result is None else result_words(*result),
    }


def _state(verdict: Verdict | None, result: tuple[str, OrderResult] | None) -> str:
    """ordered, held (the money is reserved), not-held, counted or refused."""
    if result is not None:
        return result[1].state
    return "ordered" if verdict is None else "held" if verdict.held else "not-held"


def result_words(id: str, result: OrderResult) -> dict[str, Any]:
    """An order's result with its record's id; the proof stands with its leaf, size and root, as one can check it."""
    words = part_in_words(result)
    proof = {"leaf": words.pop("leaf"), "path": words.pop("proof")}
    proof |= {"book_size": words.pop("book_size"), "book_root": words.pop("book_root")}
    return {"id": id, **words, "proof": proof if result.state == "counted" else None}


def proof_words(order: bytes, header: str, commitment: bytes, result: tuple[str, OrderResult] | None) -> dict[str, Any]:
    """What an owner needs to check that an order was counted: the commitment that `header` (hex) holds, its leaf in
    the book, and the node's own word on it, `holds`. Who trusts nobody checks it again.
    """
    found = result[1] if result else None
    words = {"order": order.hex(), "commitment": commitment.hex(), "header": header}
    return {**words, "result": result_words(*result) if result else None, "holds": _holds(commitment, found)}


def _holds(commitment: bytes, result: OrderResult | None) -> bool | None:
    """Whether the proof verifies; None where there is none to check."""
    if result is None or result.state != "counted":
        return None
    try:
        verify_counted(commitment, result.leaf, result.book_size, result.proof, result.book_root)
    except ProofInvalid:
        return False
    return True
