"""The vectors are what `make.py` makes, and a second implementation, written from docs/formats.md, agrees with them.

That second implementation is this file: it uses hashlib, PyNaCl and `cbor2` on the vectors' hex, and none of the code
that made them. The project's own readers are then tried on the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import Any

import cbor2
import pytest
from nacl import bindings
from nacl.public import Box, PrivateKey, PublicKey, SealedBox
from nacl.signing import VerifyKey

from consortium.crypto import hints, sealing
from consortium.crypto.merkle import verify_consistency, verify_inclusion
from consortium.crypto.notes import VerifierKey, parse_note, verified_by
from consortium.crypto.padding import padme, unpad
from consortium.crypto.receipts import parse_receipt, verify_receipt
from consortium.crypto.trust import parse_policy
from consortium.errors import Malformed
from consortium.ledger.admission import open_entry, reopen
from consortium.ledger.state import initial
from consortium.ledger.transition import transition
from consortium.model.batches import parse_batch, parse_head
from consortium.model.blocks import LogEntry
from consortium.model.encoding import decode, encode
from consortium.model.kept import decode_kept_block
from consortium.model.members import Genesis
from consortium.model.records import parse_header
from tests.vectors import make


def load(name: str) -> Any:
    return json.loads((make.DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def blake2b(data: bytes, key: bytes, person: bytes, salt: bytes = b"", size: int = 32) -> bytes:
    return hashlib.blake2b(data, digest_size=size, key=key, person=person, salt=salt).digest()


@pytest.mark.parametrize("name", make.VECTORS)
def test_the_committed_file_is_what_make_gives(name):
    assert (make.DIRECTORY / f"{name}.json").read_text(encoding="utf-8") == make.text_of(name)


def test_there_are_no_other_files():
    assert {p.stem for p in make.DIRECTORY.glob("*.json")} == set(make.VECTORS)


# --- encoding, padding ---


def thawed(value: Any) -> Any:
    if isinstance(value, tuple):
        return [thawed(v) for v in value]
    return {k: thawed(v) for k, v in value.items()} if hasattr(value, "items") else value


def test_encoding():
    vectors = load("encoding")
    for case in vectors["accepted"]:
        assert thawed(decode(raw(case["cbor"]))) == case["value"]
        assert encode(case["value"]).hex() == case["cbor"]
    for case in vectors["accepted_bytes"]:
        assert decode(raw(case["cbor"])).hex() == case["bytes"]
    for case in vectors["refused"]:
        with pytest.raises(Malformed):
            decode(raw(case["cbor"]))


def test_padding():
    vectors = load("padding")
    for case in vectors["padme"]:
        assert padme(case["length"]) == case["padded"]
    for case in vectors["pad"]:
        plaintext = raw(case["plaintext"])
        framed = struct.pack(">I", len(plaintext)) + plaintext
        padded = raw(case["padded"])
        assert padded.startswith(framed)
        assert set(padded[len(framed) :]) <= {0}
        assert len(padded) == max(256, padme(len(framed)))
        assert unpad(padded) == plaintext


# --- genesis ---


def test_genesis():
    vectors = load("genesis")
    encoded = raw(vectors["encoded"])
    assert cbor2.loads(encoded) == vectors["genesis"]
    assert sha256(vectors["domain"].encode() + encoded).hex() == vectors["digest"]
    genesis = Genesis.from_json(json.dumps(vectors["genesis"]))
    assert genesis.digest().hex() == vectors["digest"]
    for member in genesis.members:
        secrets = vectors["seeds"][member.name]
        for purpose in ("signing", "log", "witness", "token"):
            assert bindings.crypto_sign_seed_keypair(raw(secrets[purpose]))[0] == getattr(member.keys, purpose)
        assert bytes(PrivateKey(raw(secrets["encryption"])).public_key) == member.keys.encryption


# --- header, sealing ---


def test_header():
    v = load("header")
    fields = [
        v["version"],
        raw(v["id"]),
        v["kind"],
        v["author"],
        v["created_ms"],
        [[raw(s["commitment"]), raw(s["body_sha256"]), s["size_class"]] for s in v["sections"]],
        b"".join(map(raw, v["hints"])),
        raw(v["wraps_sha256"]),
        v["body"],
    ]
    assert cbor2.loads(raw(v["encoded"])) == fields
    assert sha256(b"\x00" + raw(v["encoded"])).hex() == v["leaf_hash"]
    header = parse_header(raw(v["encoded"]))
    assert (header.id.hex(), header.author, header.created_ms) == (v["id"], v["author"], v["created_ms"])
    assert [slot.hex() for slot in header.slots()] == v["hints"]


def sealing_cases() -> list[Any]:
    return load("sealing")["cases"]


@pytest.mark.parametrize("case", sealing_cases(), ids=lambda c: c["name"])
def test_entropy_is_the_counters(case):
    label = load("sealing")["entropy"]["label"].encode()
    for number, call in enumerate(case["entropy_calls"]):
        assert hashlib.shake_128(label + struct.pack(">I", number)).digest(len(raw(call))).hex() == call


@pytest.mark.parametrize("case", sealing_cases(), ids=lambda c: c["name"])
def test_sections_are_sealed_as_documented(case):
    record_id = raw(case["id"])
    for number, s in enumerate(case["sections"]):
        key = raw(s["content_key"])
        assert key.hex() == case["entropy_calls"][number]
        enc = blake2b(b"", key, b"consortium encr", record_id)
        com = blake2b(b"", key, b"consortium comm", record_id)
        assert (enc.hex(), com.hex()) == (s["encryption_subkey"], s["commitment_subkey"])
        aad = cbor2.dumps([1, record_id, case["author"], case["kind"], number], canonical=True)
        assert aad.hex() == s["associated_data"]
        padded = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(raw(s["body"]), aad, bytes(24), enc)
        assert padded.hex() == s["padded"]
        plaintext = raw(s["plaintext"])
        assert padded[:4] == struct.pack(">I", len(plaintext))
        assert padded[4 : 4 + len(plaintext)] == plaintext
        assert blake2b(plaintext, com, b"consortium cmmt").hex() == s["commitment"]
        assert sha256(raw(s["body"])).hex() == s["body_sha256"]
        assert s["size_class"] == len(padded)


@pytest.mark.parametrize("case", sealing_cases(), ids=lambda c: c["name"])
def test_wraps_and_hints_are_made_as_documented(case):
    record_id, author = raw(case["id"]), PublicKey(raw(case["author_public"]))
    all_hints, all_wraps = raw(case["hints"]), raw(case["wraps"])
    count = len(all_hints) // 16
    length = 24 + 16 + 1 + 16 + 1 + 48 + 32 * len(case["sections"])
    assert len(all_wraps) == count * length
    assert count == max(2, 1 << (len(case["recipients"]) - 1).bit_length())
    assert sha256(all_wraps).hex() == case["wraps_sha256"]
    for r in case["recipients"]:
        box = Box(PrivateKey(raw(r["member_secret"])), author)
        assert bytes(box).hex() == r["pair_key"]
        hint_key = blake2b(b"", raw(r["pair_key"]), b"consortium hkey")
        assert hint_key.hex() == r["hint_key"]
        mark = blake2b(record_id + bytes([r["ordinal"]]), hint_key, b"consortium hint", size=16)
        assert mark.hex() == r["hint"] == all_hints[16 * r["slot"] : 16 * r["slot"] + 16].hex()
        assert blake2b(r["party"].encode(), bytes(32), b"consortium party", size=16).hex() == r["party_tag"]
        wrap = all_wraps[length * r["slot"] : length * (r["slot"] + 1)]
        assert wrap.hex() == r["wrap"]
        opened = box.decrypt(wrap)
        assert opened.hex() == r["box"]
        _check_box(case, r, opened)


def _check_box(case: Any, r: Any, opened: bytes) -> None:
    own, user = r["own_secret"] is not None, "@" in r["party"]
    assert opened[0] == (2 if own else 1 if user else 0)
    assert opened[1:17].hex() == r["party_tag"]
    mask, body = opened[17], opened[18:]
    assert mask == sum(1 << n for n, s in enumerate(case["sections"]) if r["party"] in s["readers"])
    keys = SealedBox(PrivateKey(raw(r["own_secret"]))).decrypt(body) if own else body[: 32 * len(case["sections"])]
    assert own or body[len(keys) :] == bytes(48)
    for number, s in enumerate(case["sections"]):
        key = keys[32 * number : 32 * number + 32].hex()
        assert (key == s["content_key"]) == bool(mask >> number & 1)


@pytest.mark.parametrize("case", sealing_cases(), ids=lambda c: c["name"])
def test_the_projects_own_readers_open_them(case):
    header = parse_header(raw(case["header"]))
    wraps = sealing.split_wraps(header, raw(case["wraps"]))
    for r in case["recipients"]:
        shared = hints.pair_key(raw(r["member_secret"]), raw(case["author_public"]))
        assert r["slot"] in hints.my_slots(hints.hint_key(shared), header.id, header.slots())
        wrap = sealing.open_wrap(header, wraps[r["slot"]], shared)
        if r["own_secret"]:
            wrap = sealing.open_own_wrap(header, wrap, raw(r["own_secret"]), raw(r["own_public"]))
        for number, s in enumerate(case["sections"]):
            key = wrap.keys[number]
            assert (key is not None) == (r["party"] in s["readers"])
            if key is not None:
                assert sealing.open_section(header, number, raw(s["body"]), key).hex() == s["plaintext"]


# --- batch, block ---


def naive_root(entries: list[bytes]) -> bytes:
    if len(entries) < 2:
        return sha256(b"\x00" + entries[0]) if entries else sha256(b"")
    k = 1 << (len(entries) - 1).bit_length() - 1
    return sha256(b"\x01" + naive_root(entries[:k]) + naive_root(entries[k:]))


def test_batch():
    v = load("batch")
    head = raw(v["head_encoded"])
    assert cbor2.loads(head) == [raw(x) if k == "root" else x for k, x in v["head"].items()]
    assert naive_root([raw(r["header"]) for r in v["records"]]).hex() == v["head"]["root"]
    VerifyKey(raw(v["signing_public"])).verify(v["domain"].encode() + head, raw(v["signature"]))
    records = [[raw(r["header"]), [raw(b) for b in r["bodies"]], raw(r["wraps"])] for r in v["records"]]
    assert cbor2.loads(raw(v["encoded"])) == [head, raw(v["signature"]), records]
    parsed = parse_batch(raw(v["encoded"]))
    assert parse_head(parsed.head).sequence == v["head"]["sequence"]
    assert [list(r.bodies) for r in parsed.records] == [r[1] for r in records]


BLOCK_FIELDS = (
    "version", "height", "previous", "epoch", "position", "member", "sequence", "batch_digest", "batch_created_ms",
    "time_ms", "refusal", "count", "rejections", "size", "root",
)  # fmt: skip
DIGESTS = ("previous", "batch_digest", "root")


def test_blocks():
    v = load("block")
    previous, leaves = raw(v["genesis_digest"]), []
    for item in v["log"]:
        block, encoded = item["block"], raw(item["encoded"])
        assert tuple(block) == BLOCK_FIELDS
        assert cbor2.loads(encoded) == [raw(x) if k in DIGESTS else x for k, x in block.items()]
        assert sha256(v["domain"].encode() + encoded).hex() == item["digest"]
        assert block["previous"] == previous.hex()
        previous = raw(item["digest"])
        data = raw(item["entry"]["data"])
        evidence = {int(k): raw(x) for k, x in item["evidence"].items()}
        kept = cbor2.loads(raw(item["kept"]))
        assert kept[:2] == [1, cbor2.loads(encoded)]
        if block["refusal"]:
            assert block["batch_digest"] == sha256(data).hex()
            assert kept[2] == data
            continue
        head, signature, records = cbor2.loads(data)
        proofs = b"".join(sha256(evidence[n]) for n in sorted(evidence))
        assert block["batch_digest"] == sha256(head + signature + proofs).hex()
        assert kept[2] == [head, signature, [r[0] for r in records], [[n, evidence[n]] for n in sorted(evidence)]]
        assert all(cbor2.loads(evidence[n]) == records[n] for n in evidence)
        refused = dict(block["rejections"])
        leaves += [r[0] for n, r in enumerate(records) if n not in refused]
        assert (block["size"], block["root"]) == (len(leaves), naive_root(leaves).hex())
        assert block["count"] == len(records)
    assert [dict(i["block"]["rejections"]) for i in v["log"]] == [
        {1: "duplicate-id", 2: "wrong-ciphertext"},
        {},
        {},
        {},
    ]


def test_the_projects_own_transition_gives_the_blocks():
    v = load("block")
    genesis = Genesis.from_json(json.dumps(load("genesis")["genesis"]))
    by_log, by_kept, taken = initial(genesis), initial(genesis), set()
    for item in v["log"]:
        e = item["entry"]
        entry = LogEntry(e["member"], e["sequence"], e["position"], raw(e["data"]))
        one = transition(by_log, open_entry(genesis, entry), taken)
        kept = decode_kept_block(raw(item["kept"]))
        two = transition(by_kept, reopen(genesis, kept.batch), taken)
        assert one.block == two.block == kept.block
        assert one.block.digest().hex() == item["digest"]
        by_log, by_kept = one.state, two.state
        taken |= {r.verdict.id for r in one.accepted}


# --- tree, notes, receipts ---


def test_tree():
    v = load("tree")
    entries = [e.encode() for e in v["entries"]]
    leaves = [raw(x) for x in v["leaf_hashes"]]
    assert leaves == [sha256(b"\x00" + e) for e in entries]
    assert sha256(b"\x01" + leaves[0] + leaves[1]).hex() == v["node_hash_of_0_and_1"]
    roots = [raw(x) for x in v["roots"]]
    assert roots == [naive_root(entries[:n]) for n in range(len(entries) + 1)]
    for p in v["inclusion"]:
        verify_inclusion(leaves[p["index"]], p["index"], p["size"], [raw(x) for x in p["proof"]], roots[p["size"]])
    for p in v["consistency"]:
        verify_consistency(p["old"], p["new"], roots[p["old"]], roots[p["new"]], [raw(x) for x in p["proof"]])


def test_tiles():
    v = load("tree")["tiles_of_700"]
    entries = [b"entry %d" % n for n in range(700)]
    leaves = [sha256(b"\x00" + e) for e in entries]
    assert naive_root(entries).hex() == v["root"]
    full = [{"level": 0, "index": n, "sha256": sha256(b"".join(leaves[256 * n : 256 * n + 256])).hex()} for n in (0, 1)]
    assert v["full"] == full
    level_1 = [naive_root(entries[256 * n : 256 * n + 256]) for n in (0, 1)]
    assert [n.hex() for n in level_1] == v["level_1"]
    assert v["partial"] == [
        {"level": 0, "width": 188, "sha256": sha256(b"".join(leaves[512:])).hex()},
        {"level": 1, "width": 2, "sha256": sha256(b"".join(level_1)).hex()},
    ]


def test_notes():
    v, genesis = load("notes"), load("genesis")["genesis"]
    text, signatures = v["signed_note"].split("\n\n")
    assert text + "\n" == v["checkpoint_text"]
    origin, size, root = text.split("\n")
    block = load("block")["log"][-1]["block"]
    assert (origin, int(size), base64.b64decode(root).hex()) == (genesis["origin"], block["size"], block["root"])
    lines = [line.split(" ") for line in signatures.split("\n") if line]
    for (dash, name, encoded), said in zip(lines, v["signature_lines"], strict=True):
        data = base64.b64decode(encoded)
        assert (dash, name, data[:4].hex(), data[4:].hex()) == ("—", said["name"], said["key_id"], said["signature"])
        kind, member = (1, "suncoop") if name == origin else (4, name.rsplit("/", 1)[1])
        keys = next(m["keys"] for m in genesis["members"] if m["name"] == member)
        public = raw(keys["log" if kind == 1 else "witness"])
        assert sha256(name.encode() + b"\n" + bytes([kind]) + public)[:4] == data[:4]
        vkey = f"{name}+{data[:4].hex()}+{base64.b64encode(bytes([kind]) + public).decode()}"
        assert vkey == (v["log_vkeys"] if kind == 1 else v["witness_vkeys"])[member]
        if kind == 1:
            VerifyKey(public).verify(v["checkpoint_text"].encode(), data[4:])
        else:
            stamp = struct.unpack(">Q", data[4:12])[0]
            VerifyKey(public).verify(f"cosignature/v1\ntime {stamp}\n{v['checkpoint_text']}".encode(), data[12:])
    assert v["cosigned_message"].encode() == f"cosignature/v1\ntime 1497492003\n{v['checkpoint_text']}".encode()
    keys = [VerifierKey.parse(x) for x in (*v["log_vkeys"].values(), *v["witness_vkeys"].values())]
    assert len(verified_by(parse_note(v["signed_note"]), keys)) == 4


def test_receipts():
    v = load("receipt")
    policy = parse_policy(v["trust_file"])
    for receipt in v["receipts"]:
        lines = receipt["text"].split("\n\n")[0].split("\n")
        assert lines[0] == "c2sp.org/tlog-proof@v1"
        header = base64.b64decode(lines[1].removeprefix("extra "))
        assert cbor2.loads(header)[1].hex() == receipt["id"]
        assert lines[2] == f"index {receipt['index']}"
        node = sha256(b"\x00" + header)
        for sibling in map(base64.b64decode, lines[3:]):  # two leaves: one sibling
            node = sha256(b"\x01" + (sibling + node if receipt["index"] else node + sibling))
        assert base64.b64encode(node).decode() == receipt["text"].split("\n\n")[1].split("\n")[2]
        proven = verify_receipt(parse_receipt(receipt["text"]), policy)
        assert (proven.header.id.hex(), proven.index) == (receipt["id"], receipt["index"])
