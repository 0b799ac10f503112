"""Deterministic CBOR (RFC 8949 section 4.2.1), the one encoding of everything that is hashed, signed or sealed.

Allowed values: int (64 bit), bytes, str, bool, None, lists/tuples of them, and maps with text keys. No floats, no
tags, no indefinite lengths. With text keys alone the length-first order of `cbor2` and the bytewise order of the
RFC are the same order.
"""

from __future__ import annotations

from typing import Any

import cbor2
from cbor2 import frozendict

from consortium.errors import Malformed

MAX_DEPTH = 16
_INT_LIMIT = 1 << 63
# All tags that cbor2 decodes by itself; its tag hook sees the others. By shared values (28, 29) or strings (25, 256) a
# kilobyte would become terabytes when it is encoded again, on every node that reads it.
_TAGS = (*range(6), 25, *range(28, 31), *range(35, 38), 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)


def encode(value: Any) -> bytes:
    """Encode a plain value. The caller passes only the allowed types; `decode` refuses what slips through."""
    return cbor2.dumps(value, canonical=True)


def encode_ordered(value: Any) -> bytes:
    """`encode` for values without maps, or whose maps are in the RFC's order already: at most half of the work."""
    return cbor2.dumps(value)


def decode(data: bytes) -> Any:
    """Decode strictly: arrays become tuples, and the value must re-encode to exactly `data`.

    Raises `Malformed` for anything else.
    """
    value = decode_flat(data)
    _require_plain(value)
    return value


def decode_flat(data: bytes) -> Any:
    """`decode` without the walk over the types, for formats without maps whose readers check every field's type.

    They must: a float, or a map in any order, re-encodes to itself as well. Raises `Malformed`.
    """
    try:
        value = cbor2.loads(
            data,
            immutable=True,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            strict_hashable_types=True,  # other keys can be made to collide
            semantic_decoders=_NO_TAGS,
            tag_hook=_refuse_tag,
        )
        again = cbor2.dumps(value)
    except Exception as error:  # the decoder's own family, and what a lone surrogate or the like raises
        raise Malformed("not deterministic CBOR") from error
    if again != data:
        raise Malformed("CBOR is not in its deterministic form")
    return value


def _refuse_tag(*_: Any) -> Any:
    raise Malformed("a tag has no place here")


_NO_TAGS = dict.fromkeys(_TAGS, _refuse_tag)


def _require_plain(value: Any) -> None:
    kind = type(value)
    if kind is bytes or kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -_INT_LIMIT <= value < _INT_LIMIT:
            raise Malformed("an integer exceeds 64 bits")
    elif kind is tuple:
        for item in value:
            _require_plain(item)
    elif kind is frozendict:
        _require_map(value)
    else:
        raise Malformed(f"a {kind.__name__} has no place in a payload")


def _require_map(value: Any) -> None:
    """Text keys in the RFC's order: what re-encodes to itself still has the order that it came in."""
    before = (-1, b"")
    for key, item in value.items():
        if type(key) is not str:
            raise Malformed("a map key is not text")
        encoded = key.encode()
        place = (len(encoded), encoded)
        if place <= before:
            raise Malformed("the keys of a map are not in their order")
        before = place
        _require_plain(item)
