"""Names of members, users and parties, and the id of a record.

A **party** is written `member` or `user@member`: `gridco`, `home-01@suncoop`. A party's name says by itself which
node holds its key (custodial users) or forwards to it (users who keep their own).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from consortium.errors import InvalidRequest

ID_BYTES = 16
NO_MEMBER = frozenset({"none", "members"})
"""Words of a trust file (C2SP tlog-policy) beside members' names: no member can have one for its own."""
MONTH = r"^(19[7-9][0-9]|2[0-9]{3})-(0[1-9]|1[0-2])$"
"""A month as `2017-06`, of years that every calendar has."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")


def is_name(text: object) -> bool:
    """Whether `text` may name a member or a user: 2 to 32 of a-z, 0-9 and hyphen, a letter first."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Party:
    """A member (`user` empty) or a user of a member."""

    member: str
    user: str = ""

    def __str__(self) -> str:
        return f"{self.user}@{self.member}" if self.user else self.member

    @classmethod
    def parse(cls, text: object) -> Party:
        """Read `member` or `user@member`. Raises `InvalidRequest`."""
        if isinstance(text, str):
            user, at, member = text.rpartition("@")
            if is_name(member) and (is_name(user) if at else True):
                return cls(member, user)
        raise InvalidRequest(
            "a party is written 'member' or 'user@member'", hint="for example gridco or home-01@suncoop"
        )


def parse_record_id(text: str) -> bytes:
    """A record's id from its 32 hex digits. Raises `InvalidRequest`."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != ID_BYTES or raw.hex() != text:
        raise InvalidRequest("a record id is 32 lowercase hex digits", field="id")
    return raw
