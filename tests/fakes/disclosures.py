"""What was disclosed, in memory, held to the same suite as Postgres (tests/ports/test_disclosure_store.py).

Set `away` to make every method raise `StoreUnavailable`, as when Postgres is down. `ledger` says where records stand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from consortium.errors import StoreUnavailable
from consortium.model.records import parse_header
from consortium.ports.disclosures import Claim, Standing, State


class MemoryDisclosures:
    """A `DisclosureStore`."""

    def __init__(self) -> None:
        self.away = False
        self.private: dict[bytes, bytes] = {}
        self.claims: dict[tuple[bytes, int, str], Claim] = {}
        self.ledger: dict[bytes, Standing] = {}
        self.marked = 0

    def _require(self) -> None:
        if self.away:
            raise StoreUnavailable("the store is away")

    def _sorted(self, grant: bytes) -> list[Claim]:
        return [self.claims[key] for key in sorted(self.claims) if key[0] == grant]

    async def save_key(self, grant: bytes, sealed: bytes) -> bytes:
        self._require()
        return self.private.setdefault(grant, sealed)

    async def key(self, grant: bytes) -> bytes | None:
        self._require()
        return self.private.get(grant)

    async def keys(self) -> Sequence[bytes]:
        self._require()
        return sorted(self.private.keys() | {grant for grant, _, _ in self.claims})

    async def mark(self) -> int:
        self._require()
        return self.marked

    async def add(self, claims: Sequence[Claim], mark: int) -> None:
        self._require()
        for claim in claims:
            self.claims.setdefault((claim.grant, claim.index, claim.holder), claim)
        self.marked = max(self.marked, mark)

    async def waiting(self, grant: bytes, limit: int, without: Collection[str] = ()) -> Sequence[Claim]:
        self._require()
        found = [one for one in self._sorted(grant) if one.state is State.WAITING and one.holder not in without]
        return found[:limit]

    async def settle(self, claims: Sequence[Claim]) -> None:
        self._require()
        for claim in claims:
            key = (claim.grant, claim.index, claim.holder)
            known = self.claims.get(key)
            if known is not None and known.state is State.WAITING:
                self.claims[key] = claim

    async def of_records(self, grant: bytes, records: Collection[bytes]) -> Sequence[Claim]:
        self._require()
        return [one for one in self._sorted(grant) if one.record in records]

    async def page(
        self, grant: bytes, *, type: str | None, from_ms: int | None, to_ms: int | None, after: int, limit: int
    ) -> Sequence[bytes]:
        self._require()
        found = [
            one.record
            for one in self._sorted(grant)
            if one.state is State.OPEN
            and one.index > after
            and (type is None or one.type == type)
            and (from_ms is None or one.start_ms >= from_ms)
            and (to_ms is None or one.start_ms < to_ms)
        ]
        return list(dict.fromkeys(found))[:limit]

    async def all(self, grant: bytes, after: tuple[int, str] = (-1, ""), limit: int = 1000) -> Sequence[Claim]:
        self._require()
        found = [one for one in self._sorted(grant) if (one.index, one.holder) > after]
        return [replace(one, sealed=b"") if one.state is State.REFUSED else one for one in found[:limit]]

    async def drop(self, grant: bytes) -> None:
        self._require()
        self.private.pop(grant, None)
        self.claims = {key: one for key, one in self.claims.items() if key[0] != grant}

    async def public(self, kinds: Collection[str]) -> Sequence[Standing]:
        self._require()
        found = [one for one in self.ledger.values() if parse_header(one.header_bytes).kind in kinds]
        return sorted(found, key=lambda one: one.index)

    async def standing(self, records: Collection[bytes]) -> Mapping[bytes, Standing]:
        self._require()
        return {record: self.ledger[record] for record in records if record in self.ledger}
