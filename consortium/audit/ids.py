"""A set of record ids at 16 bytes a slot, for ledgers of many millions of records.

Python's own set takes about 90 bytes an id. The order of slots depends on Python's keyed hash, which differs per
process, so that nobody can prepare ids that collide; what the set answers does not depend on it.
"""

from __future__ import annotations

from consortium.model.names import ID_BYTES

_FREE = bytes(ID_BYTES)
_FIRST_SLOTS = 1024


class IdSet:
    """Open addressing with linear probing; at most half full."""

    def __init__(self) -> None:
        self._slots = _FIRST_SLOTS
        self._table = bytearray(self._slots * ID_BYTES)
        self._count = 0
        self._has_zero_id = False  # sixteen zero bytes mark a free slot, and are an id as well

    def __len__(self) -> int:
        return self._count + self._has_zero_id

    def __contains__(self, record_id: bytes) -> bool:
        if record_id == _FREE:
            return self._has_zero_id
        return self._at(self._find(record_id)) == record_id

    def add(self, record_id: bytes) -> None:
        """Add an id of 16 bytes; adding it again changes nothing."""
        if record_id == _FREE:
            self._has_zero_id = True
            return
        slot = self._find(record_id)
        if self._at(slot) == record_id:
            return
        self._put(slot, record_id)
        self._count += 1
        if self._count * 2 > self._slots:
            self._grow()

    def _find(self, record_id: bytes) -> int:
        """The id's slot, or the free one where it belongs."""
        slot = hash(record_id) % self._slots
        while self._at(slot) not in (record_id, _FREE):
            slot = (slot + 1) % self._slots
        return slot

    def _at(self, slot: int) -> bytes:
        return bytes(self._table[slot * ID_BYTES : (slot + 1) * ID_BYTES])

    def _put(self, slot: int, record_id: bytes) -> None:
        self._table[slot * ID_BYTES : (slot + 1) * ID_BYTES] = record_id

    def _grow(self) -> None:
        old = self._table
        self._slots *= 2
        self._table = bytearray(self._slots * ID_BYTES)
        for start in range(0, len(old), ID_BYTES):
            record_id = bytes(old[start : start + ID_BYTES])
            if record_id != _FREE:
                self._put(self._find(record_id), record_id)
