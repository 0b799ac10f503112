"""Random logs for hypothesis: good, refused and half-refused batches, as recipes that shrink well."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from consortium.ledger.governance.settings import LedgerSettings
from consortium.ledger.governance.terms import AdmitMember, ChangeSettings, Keys, RemoveMember, RotateKeys, Terms
from consortium.model.batches import MAX_BATCH_BYTES
from consortium.model.blocks import LogEntry
from consortium.model.members import Genesis
from consortium.model.public import Acknowledgement, Ballot, Body, Proposal, Tombstone
from consortium.model.records import SealedRecord
from consortium.model.verdicts import BatchRefusal, RecordRefusal
from tests.builders import (
    T0,
    Chain,
    broken_body,
    broken_header,
    broken_wraps,
    make_batch,
    make_genesis,
    make_head,
    make_member,
    make_public,
    make_record,
    noise,
    sign_batch,
)

GENESIS = make_genesis(3)
MEMBERS = tuple(m.name for m in GENESIS.members)

PUBLIC = ("proposal", "removal", "ballot", "no", "tombstone", "acknowledgement")
RECORDS = ("good", "two sections", *RecordRefusal, "same id in the batch", "missing body", "extra body", *PUBLIC)
BATCHES = ("good", "garbage", "empty", "truncated", "changed", "stranger", "not theirs", *BatchRefusal)


@dataclass(frozen=True)
class Recipe:
    """One entry: by whom, of which sort, with which records, how much later than the one before."""

    member: str
    batch: str = "good"
    records: tuple[str, ...] = ()
    later_ms: int = 1000
    spot: int = 0


recipes = st.builds(
    Recipe,
    member=st.sampled_from(MEMBERS),
    batch=st.sampled_from(["good"] * 12 + list(BATCHES)),
    records=st.lists(st.sampled_from(["good"] * 5 + list(RECORDS)), max_size=4).map(tuple),
    later_ms=st.integers(-5000, 5000),
    spot=st.integers(0, 400),
)
logs = st.lists(recipes, max_size=12)


def cook(recipe_list: list[Recipe], genesis: Genesis = GENESIS) -> Chain:
    """The log of these recipes, and the ledger that it makes."""
    chain = Chain(genesis)
    for number, recipe in enumerate(recipe_list):
        chain.now_ms = max(T0, chain.now_ms + recipe.later_ms)
        member = recipe.member if recipe.batch != "stranger" else "stranger"
        data = _batch(chain, number, recipe)
        chain.add_raw(member, data, sequence=number if member == "stranger" else None)
    return chain


def _batch(chain: Chain, number: int, recipe: Recipe) -> bytes:
    genesis, member = chain.genesis, recipe.member
    sequence = chain.state.next_sequence(member)
    records = [_record(chain, (number, i), recipe, sort) for i, sort in enumerate(recipe.records)]
    records = [
        replace_id(r, records[0]) if sort == "same id in the batch" else r
        for r, sort in zip(records, recipe.records, strict=True)
    ]
    good = make_batch(genesis, member, sequence, chain.now_ms, records)
    head = make_head(genesis, member, sequence, chain.now_ms, records)
    spot = recipe.spot % len(good)
    match recipe.batch:
        case "garbage" | BatchRefusal.MALFORMED:
            return noise("garbage", number, recipe.spot, size=recipe.spot)
        case "empty":
            return b""
        case "truncated":
            return good[:spot]
        case "changed":
            return good[:spot] + bytes([good[spot] ^ 1 + recipe.spot % 255]) + good[spot + 1 :]
        case "not theirs":
            other = MEMBERS[(MEMBERS.index(member) + 1) % 3]
            return make_batch(genesis, other, chain.state.next_sequence(other), chain.now_ms, records)
        case BatchRefusal.TOO_LARGE:
            return good + bytes(MAX_BATCH_BYTES)
        case BatchRefusal.UNKNOWN_MEMBER:
            return sign_batch(replace(head, member="nobody"), records, signer=member)
        case BatchRefusal.MISPLACED:
            wrong = ({"sequence": sequence + 1}, {"epoch": 2}, {"network": "other"}, {"channel": "other"})
            return sign_batch(replace(head, **wrong[recipe.spot % 4]), records)
        case BatchRefusal.BAD_SIGNATURE:
            return sign_batch(head, records, signer=MEMBERS[(MEMBERS.index(member) + 1) % 3])
        case BatchRefusal.WRONG_COUNT:
            return sign_batch(replace(head, count=head.count + 1), records)
        case BatchRefusal.WRONG_ROOT:
            return sign_batch(replace(head, root=noise("root")), records)
        case _:
            return good


def _record(chain: Chain, label: object, recipe: Recipe, sort: str) -> SealedRecord:
    author, now = recipe.member, chain.now_ms
    good = make_record(author, label, created_ms=now, body_bytes=32)
    match sort:
        case "two sections":
            return make_record(author, label, created_ms=now, sections=2, slots=4, body_bytes=32)
        case RecordRefusal.MALFORMED_HEADER:
            return broken_header(good)
        case RecordRefusal.WRONG_AUTHOR:
            return make_record(MEMBERS[(MEMBERS.index(author) + 1) % 3], label, created_ms=now, body_bytes=32)
        case RecordRefusal.CREATED_AFTER_BATCH:
            return make_record(author, label, created_ms=now + 1, body_bytes=32)
        case RecordRefusal.WRONG_CIPHERTEXT:
            return broken_body(good)
        case RecordRefusal.WRONG_WRAPS:
            return broken_wraps(good)
        case RecordRefusal.DUPLICATE_ID:
            taken = sorted(chain.taken)
            return make_record(author, label, id=taken[recipe.spot % len(taken)], created_ms=now) if taken else good
        case RecordRefusal.MALFORMED_BODY:
            return _public(author, label, Proposal(kind="declare-war", terms={}, expires_ms=now + 1), now)
        case RecordRefusal.NOT_ENTITLED:
            return _public(author, label, _rotation(MEMBERS[(MEMBERS.index(author) + 1) % 3], now), now)
        case RecordRefusal.NO_SUCH_SUBJECT:
            return _public(author, label, Ballot(proposal=noise("none", size=16), yes=True), now)
        case RecordRefusal.NOT_OPEN:
            return _public(author, label, _proposal(_settings(recipe), 0), now)
        case RecordRefusal.CONFLICT:
            return _public(author, label, _proposal(_admission(author), now + 60_000), now)
        case "proposal":
            return _public(author, label, _proposal(_settings(recipe), now + 60_000), now)
        case "removal":
            return _public(author, label, _proposal(RemoveMember(name=MEMBERS[recipe.spot % 3]), now + 60_000), now)
        case "ballot" | "no" | RecordRefusal.ALREADY_DONE:
            open_ones = sorted(chain.state.governance.proposals) or [noise("none", size=16)]
            body = Ballot(proposal=open_ones[recipe.spot % len(open_ones)], yes=sort != "no")
            return _public(author, label, body, now)
        case "tombstone":
            return _public(author, label, Tombstone(records=(noise("a", size=16),), ground="user"), now)
        case "acknowledgement":
            stones = sorted(chain.state.governance.erasures) or [noise("none", size=16)]
            body = Acknowledgement(tombstone=stones[recipe.spot % len(stones)], state="done")
            return _public(author, label, body, now)
        case "missing body":
            return replace(good, bodies=())
        case "extra body":
            return replace(good, bodies=(*good.bodies, b"more"))
        case _:
            return good


def _public(author: str, label: object, body: Body, now: int) -> SealedRecord:
    return make_public(author, label, body, created_ms=now)


def _proposal(terms: Terms, expires_ms: int) -> Proposal:
    return Proposal(kind=terms.KIND, terms=terms.model_dump(), expires_ms=expires_ms)


def _settings(recipe: Recipe) -> ChangeSettings:
    return ChangeSettings(settings=LedgerSettings(disclosure_s=recipe.spot + 1))


def _rotation(name: str, now: int) -> Proposal:
    return _proposal(RotateKeys(name=name, keys=Keys.of(make_member("other").keys)), now + 60_000)


def _admission(name: str) -> AdmitMember:
    return AdmitMember(name=name, roles=(), keys=Keys.of(make_member(name).keys))


def replace_id(record: SealedRecord, other: SealedRecord) -> SealedRecord:
    """The record under the other's id."""
    header = replace(record.header, id=other.header.id)
    return replace(record, header=header, header_bytes=header.encoded())


def entries(recipe_list: list[Recipe]) -> list[LogEntry]:
    """The log alone."""
    return cook(recipe_list).entries
