"""Field groups: what of a record a role may see, section by section and, for names, field by field.

A section is `physical`, `terms` or `money` as a whole, and has a key of its own: what a caller may not see of a record
is not opened for them. Which section is which the node has to know before it opens any: it knows the record's type by
its index, and the sections of a type stand in one order (`KINDS`), of which only the last ones may be missing; a type
whose sections are all of one group may have any number of them. Any member may have written a record, so that what was
opened is looked at once more, and dropped where it is not what its place says.

`identity` goes across the sections: fields that may hold a user's name. They are masked by who shows them, not by
keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consortium.energy.payloads.base import KINDS, Part
from consortium.energy.sections import typed  # with it every kind of section registers
from consortium.errors import InvalidRequest
from consortium.model.names import Party

PHYSICAL, TERMS, MONEY, IDENTITY = "physical", "terms", "money", "identity"
GROUPS = frozenset({PHYSICAL, TERMS, MONEY, IDENTITY})
TYPES = frozenset(type for type, _ in KINDS)
A_USER = "(a user)"
"""What stands in a sentence in a name's place."""
_ORDER = {type: tuple(kind.GROUP for (of, _), kind in KINDS.items() if of == type) for type in TYPES}
_FREE_WORDS = frozenset(name for kind in KINDS.values() for name in kind.FREE_WORDS)
_NAME = re.compile(r"[a-z][a-z0-9-]*@[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Permitted:
    """What somebody may see of a record that the node's index calls `type`: the field groups."""

    type: str
    groups: frozenset[str]

    @property
    def whole(self) -> bool:
        """Whether nothing is withheld."""
        return self.groups == GROUPS

    @property
    def names(self) -> bool:
        """Whether users' names may be seen."""
        return IDENTITY in self.groups

    def opens(self, number: int) -> bool:
        """Whether section `number` may be opened. Where its group cannot be known, only with all groups."""
        group = group_of(self.type, number)
        return self.whole or (group is not None and group in self.groups)

    def keeps(self, plaintext: bytes) -> bool:
        """Whether an opened section is what its place says, and may be seen: of what this code does not know nobody can
        tell the group.
        """
        if self.whole:
            return True
        part = typed(plaintext)
        return part is not None and self.type == part.TYPE and part.GROUP in self.groups


WHOLE = Permitted("", GROUPS)
"""A record with nothing withheld."""


def group_of(type: str, number: int) -> str | None:
    """The field group of a record's section by its place, or None if that does not follow."""
    order = _ORDER.get(type, ())
    if len(set(order)) == 1:
        return order[0]
    return order[number] if number < len(order) else None


def users_in(parts: Sequence[Part | Mapping[str, Any]]) -> tuple[Party, ...]:
    """The users whom opened sections name, each once, sorted. Free words are not searched."""
    found = {text for part in parts for text in _texts(part.model_dump() if isinstance(part, Part) else part)}
    return tuple(sorted((party for text in found if (party := _user(text)) is not None), key=str))


def without_names(words: Any, but: str = "") -> tuple[Any, tuple[str, ...]]:
    """An answer in plain values with all users' names but `but` taken out: null in a field, `A_USER` in a sentence.

    Free words (a reason, a reference) go as a whole, since anybody may be named in them. Also the paths of what was
    taken (`physical.customer`), sorted; places in lists are not told.
    """
    taken: set[str] = set()
    masked = _masked(words, "", "", but, taken)
    return masked, tuple(sorted(taken))


def _masked(value: Any, name: str, path: str, but: str, taken: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _masked(item, str(key), f"{path}.{key}" if path else str(key), but, taken)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(item, name, path, but, taken) for item in value]
    if not isinstance(value, str) or not value:
        return value
    if name in _FREE_WORDS or (value != but and _NAME.fullmatch(value)):
        taken.add(path)
        return None
    hidden = _NAME.sub(lambda found: found[0] if found[0] == but else A_USER, value)
    if hidden != value:
        taken.add(path)
    return hidden


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _user(text: str) -> Party | None:
    if "@" not in text:
        return None
    try:
        return Party.parse(text)
    except InvalidRequest:
        return None
