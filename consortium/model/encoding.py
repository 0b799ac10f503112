"""Deterministic CBOR (RFC 8949 section 4.2.1), the one encoding of everything that is hashed, signed or sealed.

Allowed values: int (64 bit), bytes, str, bool, None, lists/tuples of them, and maps with text keys. No floats, no
tags, no indefinite lengths. With text keys alone the length-first order of `cbor2` and the bytewise order of the
RFC are the same order.
"""

from __future__ import annotations

from typing import Any

import cbor2

from consortium.errors import Malformed

MAX_DEPTH = 16
_INT_LIMIT = 1 << 63


def encode(value: Any) -> bytes:
    """Encode a plain value. The caller passes only the allowed types; `decode` refuses what slips through."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes) -> Any:
    """Decode strictly: arrays become tuples, and the value must re-encode to exactly `data`.

    Raises `Malformed` for anything else.
    """
    value = decode_shape(data)
    _require_plain(value)
    return value


def decode_shape(data: bytes) -> Any:
    """`decode` without the walk over the types, for callers that check every field's type themselves.

    They must: a float or a tagged value also re-encodes to itself. Raises `Malformed`.
    """
    try:
        value = cbor2.loads(data, immutable=True, max_depth=MAX_DEPTH, allow_indefinite=False)
        again = cbor2.dumps(value, canonical=True)
    except Exception as error:  # the decoder's own family, and whatever a semantic tag's decoder raises
        raise Malformed("not deterministic CBOR") from error
    if again != data:
        raise Malformed("CBOR is not in its deterministic form")
    return value


def _require_plain(value: Any) -> None:
    if value is None or isinstance(value, bytes | str | bool):
        return
    if isinstance(value, int):
        if not -_INT_LIMIT <= value < _INT_LIMIT:
            raise Malformed("an integer exceeds 64 bits")
        return
    if isinstance(value, tuple | list):
        for item in value:
            _require_plain(item)
        return
    # `immutable=True` gives a frozen mapping, which is not a dict.
    if hasattr(value, "items"):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Malformed("a map key is not text")
            _require_plain(item)
        return
    raise Malformed(f"a {type(value).__name__} has no place in a payload")
