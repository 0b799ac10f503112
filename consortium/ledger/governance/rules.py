"""Who votes on what, and how many it takes. The rules stand in the genesis and change by vote like all else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from consortium.model.members import Membership

Voters = Literal["participants", "members", "others"]
Needed = Literal["majority", "two-thirds", "all"]
KINDS = (
    "admit-member", "remove-member", "rotate-keys", "revoke-keys", "change-policies", "change-rules",
    "change-settings", "open-grant", "emergency-grant", "confirm-grant", "end-grant", "erase", "legal-hold",
    "release-hold", "release-escrow", "recover",
)  # fmt: skip
OWN = frozenset({"rotate-keys"})
"""What a member decides alone about itself: in force at once, without a ballot."""


class Rule(BaseModel):
    """`voters`: participants (members without the role compliance), members (all), or others (participants but the one
    that it is about). `needed`: more than half, two thirds, all, or a number of them.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    voters: Voters = "participants"
    needed: Needed | Annotated[int, Field(ge=1, le=64)] = "majority"

    def electorate(self, membership: Membership, about: str) -> frozenset[str]:
        """The members that may vote on something about the member `about` ('' for nobody)."""
        names = {m.name for m in membership.members if self.voters == "members" or "compliance" not in m.roles}
        return frozenset(names - {about} if self.voters == "others" else names)

    def threshold(self, voters: int) -> int:
        """Yes votes needed of so many voters; at least one, and a number never exceeds the voters."""
        if isinstance(self.needed, int):
            return max(1, min(self.needed, voters))
        return max(1, {"majority": voters // 2 + 1, "two-thirds": -(-2 * voters // 3), "all": voters}[self.needed])


Rules = dict[str, Rule]


def default_rules() -> Rules:
    """A majority of the participants; one of them for an emergency grant, which must be confirmed by all rules after;
    of a member's removal and its stolen keys the others decide.
    """
    rules = {kind: Rule() for kind in KINDS if kind not in OWN}
    rules["emergency-grant"] = Rule(needed=1)
    rules["change-rules"] = Rule(needed="two-thirds")
    for kind in ("remove-member", "revoke-keys"):
        rules[kind] = Rule(voters="others")
    return rules
