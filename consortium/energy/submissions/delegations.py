"""A delegation as a user gives it, and its end.

These are no types of POST /v1/records: nobody but the user gives them, and the user is who asks.
"""

from __future__ import annotations

from collections.abc import Collection

from pydantic import ConfigDict, Field

from consortium.energy.delegations import NEVER, Delegated
from consortium.energy.field_groups import MONEY, PHYSICAL, TERMS, TYPES
from consortium.energy.metering import to_ms
from consortium.energy.payloads.access import MAX_PURPOSE, Delegation, DelegationEnd
from consortium.energy.payloads.base import PartyText
from consortium.energy.submissions.base import MAX_HINT, Moment, Submitted
from consortium.errors import InvalidRequest
from consortium.model.names import Party

GROUPS = (PHYSICAL, TERMS, MONEY)
"""What can be delegated. The names of those whom a user deals with are not the user's to hand on."""
LONGEST_MS = 731 * 86_400_000
"""A consent that nobody remembers is none: after two years at the latest it is to be given again."""


class DelegationGiven(Submitted):
    """Whom a user lets read what, and until when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "delegate": "adviser@suncoop",
                    "types": ["reading", "payment"],
                    "from": "2017-01-01T00:00:00-08:00",
                    "to": "2018-01-01T00:00:00-08:00",
                    "groups": ["physical", "money"],
                    "until": "2027-06-30T00:00:00-07:00",
                    "purpose": "tax return 2017",
                }
            ]
        }
    )
    delegate: PartyText = Field(description="Another user, or a service, of the same member, as user@member.")
    types: list[str] = Field(
        default_factory=list, max_length=64, description="Types of records (reading, contract, ...); none: all."
    )
    from_: Moment = Field(alias="from", description="Records of periods from here on, RFC 3339 with its offset.")
    to: Moment | None = Field(None, description="And before here; without it there is no end.")
    groups: list[str] = Field(
        default_factory=list, max_length=8, description="Field groups: physical, terms, money; none: these three."
    )
    until: Moment = Field(description="When the delegation ends by itself, at most two years from now.")
    purpose: str = Field("", max_length=MAX_PURPOSE, description="What for, in at most 100 characters.")

    def check(self, subject: Party, now_ms: int) -> None:
        """The rules between fields; `now_ms` is the ledger's time. Raises `InvalidRequest`."""
        delegate = Party.parse(self.delegate)
        if delegate.member != subject.member:
            hint = "whoever is to read for you needs an account at your own member; ask it to invite them"
            raise InvalidRequest("a delegate is of your own member", field="delegate", hint=hint)
        if not delegate.user or delegate == subject:
            raise InvalidRequest("a delegate is another user, or a service", field="delegate")
        if self.to is not None and self.to <= self.from_:
            raise InvalidRequest("a period ends after it starts", field="to")
        if not now_ms < to_ms(self.until) <= now_ms + LONGEST_MS:
            raise InvalidRequest("a delegation ends in the future, within two years", field="until")
        _known("types", self.types, TYPES - NEVER)
        _known("groups", self.groups, GROUPS)

    def part(self, subject: Party) -> Delegation:
        """The record's section."""
        return Delegation(
            start_ms=to_ms(self.from_),
            subject=str(subject),
            delegate=self.delegate,
            types=tuple(sorted(set(self.types))),
            to_ms=0 if self.to is None else to_ms(self.to),
            groups=tuple(sorted(set(self.groups or GROUPS))),
            until_ms=to_ms(self.until),
            purpose=self.purpose,
        )


def end_of(known: Delegated) -> DelegationEnd:
    """The end of a delegation. The same for the same delegation: two tries are one record."""
    terms = known.terms
    return DelegationEnd(start_ms=terms.start_ms, delegation=known.id, subject=terms.subject, delegate=terms.delegate)


def readers(part: Delegation | DelegationEnd) -> tuple[Party, ...]:
    """Subject, delegate, their member."""
    subject, delegate = Party.parse(part.subject), Party.parse(part.delegate)
    return (subject, delegate, Party(subject.member))


def _known(field: str, given: Collection[str], known: Collection[str]) -> None:
    if not set(given) <= set(known):
        hint = "known: " + ", ".join(sorted(known))
        raise InvalidRequest("one of these is not known", field=field, hint=hint[:MAX_HINT])
