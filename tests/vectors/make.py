"""Makes the test vectors: `python -m tests.vectors.make` writes tests/vectors/*.json, always the same bytes.

Seeds and secrets are SHA-256 of a text, so that anyone can compute them; random bytes come from a counter (see
`sealing.json`, "entropy"). docs/formats.md says what each field means.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nacl import bindings

from consortium.crypto import hints, sealing, signing
from consortium.crypto.merkle import EMPTY_ROOT, Tree, consistency_plan, fold, inclusion_plan, leaf_hash, node_hash
from consortium.crypto.notes import Checkpoint, SignedNote, cosign, sign_note
from consortium.crypto.padding import pad, padme
from consortium.crypto.receipts import make_receipt
from consortium.crypto.sealing import Recipient
from consortium.ledger.admission import open_entry
from consortium.ledger.state import initial
from consortium.ledger.transition import Transition, transition
from consortium.ledger.witnessing import log_keys, trust_file, witness_keys
from consortium.model.batches import BATCH_CONTEXT, BatchHead, encode_batch
from consortium.model.blocks import KeptBlock, LogEntry
from consortium.model.encoding import encode
from consortium.model.kept import encode_kept_block
from consortium.model.members import Genesis, Member, MemberKeys
from consortium.model.names import Party
from consortium.model.records import SEALED, Draft, DraftSection, SealedRecord
from tests.vectors.disclosing import disclosing
from tests.vectors.market import market
from tests.vectors.payloads import payloads
from tests.vectors.public import public

DIRECTORY = Path(__file__).parent
T0 = 1_497_484_800_000
ENTROPY = "consortium vectors entropy"


def seed(*words: str) -> bytes:
    """SHA-256 of the words joined by '/', after 'consortium vectors'."""
    return hashlib.sha256("/".join(("consortium vectors", *words)).encode()).digest()


class Entropy:
    """Call n (from 0) for s bytes gives SHAKE-128(label || n as 4 bytes big-endian), s bytes."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []

    def __call__(self, size: int) -> bytes:
        number = len(self.calls).to_bytes(4, "big")
        self.calls.append(hashlib.shake_128(ENTROPY.encode() + number).digest(size))
        return self.calls[-1]


def x25519(name: str) -> tuple[bytes, bytes]:
    secret = seed("x25519", name)
    return secret, bindings.crypto_scalarmult_base(secret)


MEMBERS = {
    "cityretail": ("retailer",),
    "gridco": ("grid-operator", "utility"),
    "regulator": ("compliance",),
    "suncoop": ("cooperative",),
}
PURPOSES = ("signing", "log", "witness", "token")


def make_genesis() -> Genesis:
    members = []
    for name, roles in MEMBERS.items():
        ed25519 = {p: signing.public_key(seed(p, name)) for p in PURPOSES}
        members.append(Member(name, roles, MemberKeys(**ed25519, encryption=x25519(name)[1])))
    return Genesis("demo", "trades", 1, "consortium.example/demo/trades/1", tuple(members))


GENESIS = make_genesis()


def genesis() -> dict[str, Any]:
    secrets = {
        name: {**{p: seed(p, name).hex() for p in PURPOSES}, "encryption": x25519(name)[0].hex()} for name in MEMBERS
    }
    return {
        "seeds": secrets,
        "genesis": GENESIS.as_dict(),
        "encoded": encode(GENESIS.as_dict()).hex(),
        "domain": "consortium/genesis/v1\n",
        "digest": GENESIS.digest().hex(),
    }


def encoding() -> dict[str, Any]:
    values: list[Any] = [
        0, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, (1 << 63) - 1, -1, -24, -25, -(1 << 63),
        None, True, False, "", "a", "kWh", "ü", "水", [], [1, [2, [3]]], {}, {"b": 1, "a": 2}, {"aa": 1, "b": 2},
        {"type": "reading", "energy_wh": 1250, "period": {"start_ms": T0, "end_ms": T0 + 3_600_000}},
    ]  # fmt: skip
    refused = {
        "an integer that is not minimal": "1817",
        "a length that is not minimal": "580100",
        "keys out of order": "a2616200616100",
        "a key twice": "a2616100616101",
        "a key that is no text": "a10000",
        "a float": "f93e00",
        "undefined": "f7",
        "a tag": "c11a514b67b0",
        "a bignum": "c249010000000000000000",
        "an integer above 63 bits": "1b8000000000000000",
        "an indefinite length": "9f00ff",
        "text that is not UTF-8": "61ff",
        "trailing bytes": "0000",
        "truncated": "8200",
        "nothing": "",
    }
    return {
        "accepted": [{"value": value, "cbor": encode(value).hex()} for value in values],
        "accepted_bytes": [{"bytes": b.hex(), "cbor": encode(b).hex()} for b in (b"", b"\x00", bytes(24), bytes(256))],
        "refused": [{"why": why, "cbor": data} for why, data in refused.items()],
    }


def padding() -> dict[str, Any]:
    lengths = [0, 1, 2, 3, 8, 9, 10, 100, 255, 256, 257, 300, 1000, 1023, 1025, 4096, 5000, 65_537, 1_000_000]
    return {
        "padme": [{"length": n, "padded": padme(n)} for n in lengths],
        "pad": [
            {"plaintext_length": n, "plaintext": (b"p" * n).hex(), "padded": pad(b"p" * n).hex()}
            for n in (0, 1, 100, 252, 253, 300)
        ],
    }


def recipient(author: str, party: str, *, own_key: bool = False) -> Recipient:
    parsed = Party.parse(party)
    pair = hints.pair_key(x25519(author)[0], x25519(parsed.member)[1])
    return Recipient(parsed, pair, hints.hint_key(pair), x25519(party)[1] if own_key else None)


def draft_of(label: str, sections: list[tuple[str, Any, list[str]]]) -> Draft:
    made = tuple(DraftSection(n, encode(v), tuple(Party.parse(r) for r in readers)) for n, v, readers in sections)
    return Draft(seed("id", label)[:16], SEALED, "suncoop", T0 + 3_600_000, made)


READING = {"type": "reading", "energy_wh": 1250, "start_ms": T0, "end_ms": T0 + 3_600_000}
TRADE = [
    ("physical", {"energy_wh": 5000, "start_ms": T0}, ["suncoop", "cityretail", "gridco"]),
    ("terms", {"price": "31.5", "currency": "EUR"}, ["suncoop", "cityretail", "home-09@cityretail"]),
]
CASES: dict[str, tuple[list[tuple[str, Any, list[str]]], tuple[str, ...]]] = {
    "a reading for a home, its member and the grid operator": (
        [("reading", READING, ["home-01@suncoop", "suncoop", "gridco"])],
        (),
    ),
    "a trade in two sections, one reader with a key of their own": (TRADE, ("home-09@cityretail",)),
}


def seal_case(name: str) -> tuple[Draft, list[Recipient], SealedRecord, Entropy]:
    sections, own = CASES[name]
    draft, entropy = draft_of(name, sections), Entropy()
    readers = list(dict.fromkeys(str(r) for s in draft.sections for r in s.readers))
    recipients = [recipient("suncoop", r, own_key=r in own) for r in readers]
    return draft, recipients, sealing.seal(draft, recipients, entropy), entropy


def _section(draft: Draft, record: SealedRecord, number: int, key: bytes) -> dict[str, Any]:
    section, seal = draft.sections[number], record.header.sections[number]
    return {
        "name": section.name,
        "readers": [str(r) for r in section.readers],
        "plaintext": section.plaintext.hex(),
        "content_key": key.hex(),
        "encryption_subkey": sealing._subkey(key, b"consortium encr", draft.id).hex(),
        "commitment_subkey": sealing._subkey(key, b"consortium comm", draft.id).hex(),
        "associated_data": sealing._aad(draft.id, draft.author, draft.kind, number).hex(),
        "padded": pad(section.plaintext).hex(),
        "body": record.bodies[number].hex(),
        "commitment": seal.commitment.hex(),
        "body_sha256": seal.digest.hex(),
        "size_class": seal.size_class,
    }


def _recipient(made: Recipient, ordinal: int, record: SealedRecord) -> dict[str, Any]:
    mark = hints.hint(made.hint, record.header.id, ordinal)
    slot = record.header.slots().index(mark)
    wrap = sealing.split_wraps(record.header, record.wraps)[slot]
    own = made.own_key is not None
    return {
        "party": str(made.party),
        "member_secret": x25519(made.party.member)[0].hex(),
        "member_public": x25519(made.party.member)[1].hex(),
        "own_secret": x25519(str(made.party))[0].hex() if own else None,
        "own_public": made.own_key.hex() if made.own_key else None,
        "pair_key": made.pair.hex(),
        "hint_key": made.hint.hex(),
        "party_tag": sealing.party_tag(made.party).hex(),
        "ordinal": ordinal,
        "hint": mark.hex(),
        "slot": slot,
        "box": bindings.crypto_box_open_easy_afternm(wrap[24:], wrap[:24], made.pair).hex(),
        "wrap": wrap.hex(),
    }


def sealing_vectors() -> dict[str, Any]:
    cases = []
    for name in CASES:
        draft, recipients, record, entropy = seal_case(name)
        ordinals: dict[str, int] = {}
        described = []
        for made in recipients:
            ordinal = ordinals.get(made.party.member, 0)
            ordinals[made.party.member] = ordinal + 1
            described.append(_recipient(made, ordinal, record))
        cases.append(
            {
                "name": name,
                "id": draft.id.hex(),
                "kind": draft.kind,
                "author": draft.author,
                "author_secret": x25519(draft.author)[0].hex(),
                "author_public": x25519(draft.author)[1].hex(),
                "created_ms": draft.created_ms,
                "entropy_calls": [call.hex() for call in entropy.calls],
                "sections": [_section(draft, record, n, entropy.calls[n]) for n in range(len(draft.sections))],
                "recipients": described,
                "hints": record.header.hints.hex(),
                "wraps": record.wraps.hex(),
                "wraps_sha256": record.header.wraps_digest.hex(),
                "header": record.header_bytes.hex(),
            }
        )
    rule = "call n (from 0) for s bytes gives the first s bytes of SHAKE-128(label || n as 4 bytes big-endian)"
    return {"entropy": {"label": ENTROPY, "rule": rule}, "cases": cases}


def header() -> dict[str, Any]:
    _, _, record, _ = seal_case(next(iter(CASES)))
    head = record.header
    return {
        "version": 1,
        "id": head.id.hex(),
        "kind": head.kind,
        "author": head.author,
        "created_ms": head.created_ms,
        "sections": [
            {"commitment": s.commitment.hex(), "body_sha256": s.digest.hex(), "size_class": s.size_class}
            for s in head.sections
        ],
        "hints": [slot.hex() for slot in head.slots()],
        "wraps_sha256": head.wraps_digest.hex(),
        "body": None,
        "encoded": record.header_bytes.hex(),
        "leaf_hash": leaf_hash(record.header_bytes).hex(),
    }


def good_batch(
    member: str, sequence: int, created_ms: int, records: list[SealedRecord]
) -> tuple[BatchHead, bytes, bytes]:
    root = Tree().extend([leaf_hash(r.header_bytes) for r in records])[0].root()
    head = BatchHead("demo", "trades", 1, member, sequence, created_ms, len(records), root)
    signature = signing.sign(BATCH_CONTEXT + head.encoded(), signing.expand(seed("signing", member)))
    return head, signature, encode_batch(head.encoded(), signature, records)


def steps() -> list[tuple[LogEntry, Transition]]:
    """A short log: a batch with a good, a doubled and a broken record; a garbled one; a heartbeat."""
    records = [seal_case(name)[2] for name in CASES]
    broken = SealedRecord(
        records[1].header, records[1].header_bytes, (bytes(272), records[1].bodies[1]), records[1].wraps
    )
    batches = [
        ("suncoop", 0, good_batch("suncoop", 0, T0 + 7_200_000, [records[0], records[0], broken])[2]),
        ("gridco", 0, b"garbled"),
        ("cityretail", 0, good_batch("cityretail", 0, T0 + 7_201_000, [])[2]),
        ("suncoop", 1, good_batch("suncoop", 1, T0 + 7_202_000, [records[1]])[2]),
    ]
    state, taken, made = initial(GENESIS), set[bytes](), []
    for number, (member, sequence, data) in enumerate(batches):
        entry = LogEntry(member, sequence, 5 + 2 * number, data)
        step = transition(state, open_entry(GENESIS, entry), taken)
        state = step.state
        taken |= {r.verdict.id for r in step.accepted}
        made.append((entry, step))
    return made


def batch() -> dict[str, Any]:
    record = seal_case(next(iter(CASES)))[2]
    head, signature, data = good_batch("suncoop", 0, T0 + 7_200_000, [record])
    return {
        "signing_seed": seed("signing", "suncoop").hex(),
        "signing_public": signing.public_key(seed("signing", "suncoop")).hex(),
        "domain": BATCH_CONTEXT.decode(),
        "head": {
            "version": 1,
            "network": head.network,
            "channel": head.channel,
            "epoch": head.epoch,
            "member": head.member,
            "sequence": head.sequence,
            "created_ms": head.created_ms,
            "count": head.count,
            "root": head.root.hex(),
        },
        "head_encoded": head.encoded().hex(),
        "signature": signature.hex(),
        "records": [
            {
                "header": record.header_bytes.hex(),
                "bodies": [b.hex() for b in record.bodies],
                "wraps": record.wraps.hex(),
            }
        ],
        "encoded": data.hex(),
    }


def block() -> dict[str, Any]:
    made = []
    for entry, step in steps():
        fields = {name: getattr(step.block, name) for name in step.block.__slots__}
        fields = {
            k: v.hex() if isinstance(v, bytes) else str(v) if isinstance(v, str) else v for k, v in fields.items()
        }
        fields["rejections"] = [[item, str(reason)] for item, reason in step.block.rejections]
        made.append(
            {
                "entry": {
                    "member": entry.member,
                    "sequence": entry.sequence,
                    "position": entry.position,
                    "data": entry.data.hex(),
                },
                "block": {"version": 1, **fields},
                "encoded": encode(step.block.fields()).hex(),
                "digest": step.block.digest().hex(),
                "evidence": {str(item): data.hex() for item, data in step.batch.evidence.items()},
                "kept": encode_kept_block(KeptBlock(step.block, step.batch)).hex(),
            }
        )
    return {"domain": "consortium/block/v1\n", "genesis_digest": GENESIS.digest().hex(), "log": made}


def tree() -> dict[str, Any]:
    entries = [b"entry %d" % n for n in range(11)]
    leaves = [leaf_hash(e) for e in entries]
    whole = Tree().extend(leaves)[0]

    def tile(_: tuple[int, int]) -> bytes:
        return b"".join(whole.tails[0])

    inclusion = [
        {"index": i, "size": n, "proof": [fold(c, tile).hex() for c in inclusion_plan(i, n)]}
        for n in (1, 2, 7, 8, 11)
        for i in sorted({0, n // 2, n - 1})
    ]
    consistency = [
        {"old": o, "new": n, "proof": [fold(c, tile).hex() for c in consistency_plan(o, n)]}
        for o, n in [(0, 5), (1, 2), (3, 7), (4, 7), (4, 8), (6, 11), (11, 11)]
    ]
    large, tiles = Tree().extend(leaf_hash(b"entry %d" % n) for n in range(700))
    return {
        "entries": [e.decode() for e in entries],
        "leaf_hashes": [leaf.hex() for leaf in leaves],
        "node_hash_of_0_and_1": node_hash(leaves[0], leaves[1]).hex(),
        "roots": [EMPTY_ROOT.hex(), *(Tree().extend(leaves[:n])[0].root().hex() for n in range(1, 12))],
        "inclusion": inclusion,
        "consistency": consistency,
        "tiles_of_700": {
            "entries": "'entry 0' to 'entry 699'",
            "root": large.root().hex(),
            "full": [
                {"level": t.level, "index": t.index, "sha256": hashlib.sha256(t.hashes).hexdigest()} for t in tiles
            ],
            "partial": [
                {"level": n, "width": len(tail), "sha256": hashlib.sha256(b"".join(tail)).hexdigest()}
                for n, tail in enumerate(large.tails)
            ],
            "level_1": [node.hex() for node in large.tails[1]],
        },
    }


def signed_checkpoint(cosigners: tuple[str, ...]) -> SignedNote:
    state = steps()[-1][1].state
    text = Checkpoint(GENESIS.origin, state.tree.size, state.tree.root()).text()
    names = [m.name for m in GENESIS.members]
    log = log_keys(GENESIS)[names.index("suncoop")]
    signatures = [sign_note(text, log, signing.expand(seed("log", "suncoop")))]
    for n, name in enumerate(cosigners):
        signatures.append(
            cosign(text, witness_keys(GENESIS)[name], signing.expand(seed("witness", name)), 1_497_492_003 + n)
        )
    return SignedNote(text, tuple(signatures))


def notes() -> dict[str, Any]:
    note = signed_checkpoint(("gridco", "suncoop", "regulator"))
    names = [m.name for m in GENESIS.members]
    return {
        "log_vkeys": {name: str(key) for name, key in zip(names, log_keys(GENESIS), strict=True)},
        "witness_vkeys": {name: str(key) for name, key in witness_keys(GENESIS).items()},
        "checkpoint_text": note.text,
        "cosigned_message": f"cosignature/v1\ntime 1497492003\n{note.text}",
        "signed_note": str(note),
        "signature_lines": [
            {"name": s.name, "key_id": s.key_id.hex(), "signature": s.signature.hex()} for s in note.signatures
        ],
    }


def receipt() -> dict[str, Any]:
    note = signed_checkpoint(("gridco", "suncoop", "regulator"))
    made = steps()
    accepted = [r for _, step in made for r in step.accepted]
    state = made[-1][1].state

    def tile(_: tuple[int, int]) -> bytes:
        return b"".join(state.tree.tails[0])

    receipts = []
    for record in accepted:
        proof = [fold(cover, tile) for cover in inclusion_plan(record.verdict.index, state.tree.size)]
        receipts.append(
            {
                "id": record.verdict.id.hex(),
                "index": record.verdict.index,
                "text": str(make_receipt(record.header_bytes, record.verdict.index, proof, note)),
            }
        )
    return {"trust_file": trust_file(GENESIS), "receipts": receipts}


VECTORS: dict[str, Callable[[], dict[str, Any]]] = {
    "encoding": encoding,
    "padding": padding,
    "genesis": genesis,
    "payloads": payloads,
    "header": header,
    "sealing": sealing_vectors,
    "disclosing": disclosing,
    "batch": batch,
    "block": block,
    "tree": tree,
    "notes": notes,
    "receipt": receipt,
    "market": market,
    "public": public,
}


def text_of(name: str) -> str:
    """The file's content."""
    return json.dumps(VECTORS[name](), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    for name in VECTORS:
        (DIRECTORY / f"{name}.json").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
