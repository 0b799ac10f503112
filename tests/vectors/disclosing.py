"""Vectors of what opens by a grant or a vote: a box of content keys, content keys in parts, a key from its seed."""

from __future__ import annotations

from typing import Any

from nacl import bindings

from consortium.crypto.disclosing import KeyEntry, seal_keys
from consortium.crypto.escrow import private_key, public_key, split_keys
from tests.builders_core import counter_entropy
from tests.vectors.payloads import digest, record


def disclosing() -> dict[str, Any]:
    """The file's content."""
    return {"disclosures": _disclosures(), "escrow": _escrow()}


def _disclosures() -> dict[str, Any]:
    secret, grant = digest("grant secret"), record("grant")
    public = bindings.crypto_scalarmult_base(secret)
    entries = [
        KeyEntry(record("trade"), 0, digest("content key", "0"), ("area-1",)),
        KeyEntry(record("trade"), 1, digest("content key", "1"), ("area-1", "home-01@suncoop")),
    ]
    return {
        "entropy": "disclosures",
        "secret": secret.hex(),
        "public": public.hex(),
        "grant": grant.hex(),
        "entries": [
            {"record": one.record.hex(), "section": one.section, "key": one.key.hex(), "words": list(one.words)}
            for one in entries
        ],
        "box": seal_keys(grant, entries, public, counter_entropy("disclosures")).hex(),
    }


def _escrow() -> dict[str, Any]:
    seeds = [digest("seed", name)[:16] for name in ("gridco", "suncoop")]
    keys = [digest("content key", str(number)) for number in range(3)]
    boxes = split_keys(keys, [public_key(seed) for seed in seeds], counter_entropy("escrow"))
    return {
        "entropy": "escrow",
        "seeds": [seed.hex() for seed in seeds],
        "privates": [private_key(seed).hex() for seed in seeds],
        "publics": [public_key(seed).hex() for seed in seeds],
        "keys": [key.hex() for key in keys],
        "boxes": [box.hex() for box in boxes],
        # By PyCryptodome 3.24's Shamir.split(2, 3, seed of gridco); any two of them give it back.
        "shares": SHARES,
    }


SHARES = [
    "019d89218fc4169df1812e11ae430aeb55",
    "02c4e708f170692f7da8a0725c1ba7265c",
    "030c3d1024e3bc41064fda530dd3c39d26",
]
