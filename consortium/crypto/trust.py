"""C2SP tlog-policy: the trust file of receipts. Which logs, which witnesses, and which of them are a quorum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consortium.crypto.notes import COSIGNATURE_V1, ED25519, Checkpoint, SignedNote, VerifierKey, verified_by
from consortium.errors import Malformed, ProofInvalid

MAX_ENTRIES = 256
StandsFor = Callable[[VerifierKey], Sequence[VerifierKey]]


@dataclass(frozen=True, slots=True)
class Group:
    """At least `threshold` of `members` (names of witnesses or groups)."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """A parsed policy. `quorum` names a witness or a group, or is 'none'."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, Group]
    quorum: str

    def verify(self, note: SignedNote, stands_for: StandsFor = lambda key: (key,)) -> Checkpoint:
        """The checkpoint, if a listed log signed it and the quorum cosigned it. Raises `ProofInvalid`.

        `stands_for` are the keys whose signature counts as that of a listed one: where its holder has rotated it.
        """
        checkpoint = Checkpoint.parse(note.text)
        logs = [key for key in self.logs if key.name == checkpoint.origin]
        if not logs:
            raise ProofInvalid(f"the trust file lists no log of the origin {checkpoint.origin}")
        if not verified_by(note, [other for key in logs for other in stands_for(key)]):
            raise ProofInvalid("no listed log signed the checkpoint")
        known = {key: stands_for(key) for key in self.witnesses.values()}
        found = set(verified_by(note, [other for others in known.values() for other in others]))
        cosigned = {key for key, others in known.items() if not found.isdisjoint(others)}
        if not self._holds(self.quorum, cosigned):
            names = sorted(name for name, key in self.witnesses.items() if key in cosigned)
            raise ProofInvalid(f"the cosignatures of {', '.join(names) or 'nobody'} are no quorum")
        return checkpoint

    def _holds(self, name: str, cosigned: set[VerifierKey]) -> bool:
        if name == "none":
            return True
        group = self.groups.get(name)
        if group is None:
            return self.witnesses[name] in cosigned
        return sum(self._holds(member, cosigned) for member in group.members) >= group.threshold


def parse_policy(text: str) -> TrustPolicy:
    """Read a policy file. Raises `Malformed` with the line's number."""
    builder = _Builder()
    for number, line in enumerate(text.split("\n"), 1):
        if any((ord(c) < 0x20 and c != "\t") or ord(c) == 0x7F for c in line):
            raise Malformed(f"trust file, line {number}: control characters have no place in it")
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            builder.add(words)
        except Malformed as error:
            raise Malformed(f"trust file, line {number}: {error}") from None
    return builder.policy()


def render_policy(origin: str, logs: Sequence[VerifierKey], witnesses: Mapping[str, VerifierKey], needed: int) -> str:
    """The policy "any of these logs, `needed` of these witnesses"."""
    lines = [f"# Trust file (C2SP tlog-policy) for receipts of {origin}", ""]
    lines += [f"log {key}" for key in logs]
    lines += ["", *(f"witness {name} {key}" for name, key in witnesses.items()), ""]
    lines += [f"group members {needed} {' '.join(witnesses)}", "quorum members", ""]
    return "\n".join(lines)


class _Builder:
    """Collects the lines of a policy in their order: names must be defined before they are used."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._witnesses: dict[str, VerifierKey] = {}
        self._groups: dict[str, Group] = {}
        self._used: set[str] = set()
        self._quorum: str | None = None

    def add(self, words: list[str]) -> None:
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self._add_log(VerifierKey.parse(vkey))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self._add_witness(name, VerifierKey.parse(vkey))
            case ["group", name, threshold, first, *rest]:
                self._add_group(name, threshold, [first, *rest])
            case ["quorum", name]:
                if self._quorum is not None:
                    raise Malformed("there is one quorum line")
                self._quorum = name if name == "none" else self._defined(name)
            case _:
                raise Malformed(f"'{words[0]}' does not begin a line of a policy, or has wrong arguments")

    def policy(self) -> TrustPolicy:
        if self._quorum is None:
            raise Malformed("trust file: there is no quorum line")
        return TrustPolicy(tuple(self._logs), self._witnesses, self._groups, self._quorum)

    def _add_log(self, key: VerifierKey) -> None:
        if key.kind != ED25519:
            raise Malformed("a log's key has type 0x01")
        if any(key.public == other.public for other in self._logs):
            raise Malformed("a log's key stands twice")
        self._logs.append(key)
        self._check_size()

    def _add_witness(self, name: str, key: VerifierKey) -> None:
        if key.kind != COSIGNATURE_V1:
            raise Malformed("a witness's key has type 0x04")
        if any(key.public == other.public for other in self._witnesses.values()):
            raise Malformed("a witness's key stands twice")
        self._witnesses[self._fresh(name)] = key
        self._check_size()

    def _add_group(self, name: str, threshold: str, members: list[str]) -> None:
        for member in members:
            if self._defined(member) in self._used:
                raise Malformed(f"{member} is in a group already")
            self._used.add(member)
        words = {"any": 1, "all": len(members)}
        decimal = threshold.isascii() and threshold.isdigit() and len(threshold) <= len(str(MAX_ENTRIES))
        needed = words.get(threshold) or (int(threshold) if decimal else 0)
        if not 1 <= needed <= len(members):
            raise Malformed("a threshold is any, all, or 1 to the number of members")
        self._groups[self._fresh(name)] = Group(needed, tuple(members))
        self._check_size()

    def _fresh(self, name: str) -> str:
        if name == "none" or name in self._witnesses or name in self._groups:
            raise Malformed(f"the name {name} is taken")
        return name

    def _defined(self, name: str) -> str:
        if name not in self._witnesses and name not in self._groups:
            raise Malformed(f"{name} is not defined above")
        return name

    def _check_size(self) -> None:
        if max(len(self._logs), len(self._witnesses), len(self._groups)) > MAX_ENTRIES:
            raise Malformed(f"at most {MAX_ENTRIES} of a kind")
