"""Checking the list of who read one's records, by oneself: chains computed anew, a verified receipt for every row.

What stays the node's word: that it listed all that it holds, and, where it keeps the user's key, that a section is what
the record's commitment is of. The ledger's time is given by the node as well; every member's node gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consortium.crypto.receipts import parse_receipt, verify_receipt
from consortium.crypto.trust import TrustPolicy
from consortium.energy.accesses import Told, Verified, verify
from consortium.energy.metering import to_ms
from consortium.energy.payloads.access import Access
from consortium.energy.payloads.base import read_part
from consortium.errors import Malformed, ProofInvalid


@dataclass(frozen=True, slots=True)
class CheckedAccesses:
    """What was found: the list with its chains, and a sentence for everything that does not hold."""

    verified: Verified
    problems: tuple[str, ...]


def check_accesses(
    rows: Sequence[Mapping[str, Any]], subject: str, receipt: Callable[[str], str], trust: TrustPolicy
) -> CheckedAccesses:
    """Check the rows of GET /v1/me/accesses?plaintexts=true, all pages of it, for the party `subject`.

    `receipt` gives the text of a record's receipt by its id in hex. Raises `Malformed` for rows that are none; what
    does not hold is among the problems.
    """
    told = [told_of(row) for row in rows]
    problems = [f"record {one.id} is about somebody else" for one in told if one.access.subject != subject]
    for one in told:
        problems += _receipt_problems(one, receipt(one.id), trust)
    verified = verify(told, subject)
    problems += [f"{chain.author}: {chain.wrong}" for chain in verified.chains if chain.wrong]
    problems += [f"record {row.told.id} of {row.told.author} is {row.timing}" for row in verified.rows if row.timing]
    return CheckedAccesses(verified, tuple(problems))


def told_of(row: Mapping[str, Any]) -> Told:
    """A row, by its section as it was sealed. Raises `Malformed`."""
    try:
        part = read_part(bytes.fromhex(row["plaintext"]))
        time_ms = to_ms(datetime.fromisoformat(row["ledger_time"]))
        found = str(row["id"]), int(row["index"]), str(row["author"])
    except (KeyError, TypeError, ValueError):
        raise Malformed("what the node lists is no access") from None
    if not isinstance(part, Access):
        raise Malformed("what the node lists is no access")
    return Told(*found, time_ms, part)


def _receipt_problems(told: Told, text: str, trust: TrustPolicy) -> list[str]:
    try:
        proven = verify_receipt(parse_receipt(text), trust)
    except (Malformed, ProofInvalid) as error:
        return [f"record {told.id}: its receipt does not hold: {error}"]
    if (proven.header.id.hex(), proven.header.author, proven.index) != (told.id, told.author, told.index):
        return [f"record {told.id}: its receipt is for another record, author or place"]
    return []
