"""Wallets: prefunded accounts as chains of entries. Pure: what a payment does to accounts, and whether it may.

A payment is `Moves`, lines per account (`energy.payments` makes them). `pay` turns them into the next link of each
account's chain, or refuses as a whole: nothing that an account loses may take it below its credit, and a later try
is the same call again. Whoever has only the entries has the account: `follow` folds them, `verify_chain` checks them.

Rule of reservations: a line with `reserved` is of kind reserve or release, and its `cause` is the order's id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from consortium.crypto.hashing import sha256
from consortium.energy.payloads.base import MAX_AMOUNT
from consortium.energy.payloads.money import Entry, EntryLine
from consortium.errors import DefectError

FIRST = bytes(32)
"""`previous` of an account's first entry."""
Moves = Mapping[str, tuple[EntryLine, ...]]
"""The lines of one payment by the account that they stand in."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account after its entry number `sequence` (0: none yet), whose digest is `previous`. Money in micro-units.

    `reserved` holds by order id what is set aside for it, never 0. `credit_limit` is the wallet contract's.
    """

    account: str
    owner: str
    currency: str
    credit_limit: int = 0
    sequence: int = 0
    previous: bytes = FIRST
    balance: int = 0
    reserved: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def available(self) -> int:
        """What may still be spent or reserved; below 0 only after the credit was cut."""
        return self.balance + self.credit_limit - sum(self.reserved.values())


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing moved: `account` could not take its part, for `reason` (shown to its owner)."""

    account: str
    reason: str


@dataclass(frozen=True, slots=True)
class Paid:
    """What moved: all accounts as they stand now, and the new entries, those of accounts that lose money first.

    Whoever writes them in this order and is stopped in between leaves nothing that could be spent twice.
    """

    accounts: dict[str, Account]
    entries: tuple[Entry, ...]


def digest(entry: Entry) -> bytes:
    """What the next entry names as `previous`: SHA-256 of the entry's plaintext."""
    return sha256(entry.plaintext())


def next_entry(account: Account, lines: Sequence[EntryLine], start_ms: int) -> tuple[Account, Entry]:
    """The account's next link with these lines, and the account after it. Whether it may: see `pay`.

    Raises `DefectError` if the lines release more than is reserved.
    """
    moved = _moved(account, lines)
    if any(held < 0 for held in moved.reserved.values()):
        raise DefectError("more would be released than is reserved for an order")
    entry = Entry(
        start_ms=start_ms,
        account=account.account,
        owner=account.owner,
        sequence=account.sequence + 1,
        previous=account.previous,
        lines=tuple(lines),
        balance=moved.balance,
        reserved=sum(moved.reserved.values()),
        currency=account.currency,
    )
    return replace(moved, sequence=entry.sequence, previous=digest(entry)), entry


def pay(accounts: Mapping[str, Account], moves: Moves, start_ms: int, *, done: Collection[str] = ()) -> Paid | Refused:
    """Book a payment on all its accounts, or refuse it as a whole. `accounts` stays as it is.

    `done` names the accounts whose entry of this payment stands on the ledger already: the rest is then booked
    without asking again, since the payment was decided when its first entry was written.
    """
    after, entries, order = dict(accounts), [], sorted(moves, key=lambda name: (_sum(moves[name]), name))
    for name in order:
        if name in done or not moves[name]:
            continue
        account = accounts.get(name)
        if account is None:
            return Refused(name, "there is no such account")
        reason = "" if done else _objection(account, moves[name])
        if reason:
            return Refused(name, reason)
        after[name], entry = next_entry(account, moves[name], start_ms)
        entries.append(entry)
    return Paid(after, tuple(entries))


def follow(account: Account, entry: Entry) -> Account | str:
    """The account after an entry that its agent wrote, or what is wrong with the entry."""
    wrong = _mismatch(account, entry)
    if wrong:
        return wrong
    moved = _moved(account, entry.lines)
    if any(held < 0 for held in moved.reserved.values()):
        return "more is released than was reserved for an order"
    if (entry.balance, entry.reserved) != (moved.balance, sum(moved.reserved.values())):
        return f"balance {entry.balance} and reserved {entry.reserved} do not follow from the lines"
    return replace(moved, sequence=entry.sequence, previous=digest(entry))


def verify_chain(entries: Iterable[Entry], *, head: bytes | None = None) -> str:
    """'' if the entries are one whole chain from its first link on, else what is wrong and where.

    `head` is the digest of the newest entry, where the owner knows it from elsewhere: without it a chain that was cut
    short, or whose last entry alone was changed in a cause or a time, follows from its lines as well.
    """
    account: Account | None = None
    for number, entry in enumerate(entries, start=1):
        account = account or Account(entry.account, entry.owner, entry.currency)
        after = follow(account, entry)
        if isinstance(after, str):
            return f"entry {number}: {after}"
        account = after
    if head is not None and head != (account.previous if account else FIRST):
        return "the newest entry is not the one that is known: entries are missing at the end, or it was changed"
    return ""


def _mismatch(account: Account, entry: Entry) -> str:
    if (entry.account, entry.owner, entry.currency) != (account.account, account.owner, account.currency):
        return "it is of another account, owner or currency"
    if entry.sequence != account.sequence + 1:
        return f"its sequence is {entry.sequence}, and {account.sequence + 1} is due: left out, repeated or reordered"
    if entry.previous != account.previous:
        return "it does not name the entry before it, which was changed, left out or reordered"
    if any(one.reserved and one.kind not in ("reserve", "release") for one in entry.lines):
        return "a line of another kind reserves"
    return ""


def _moved(account: Account, lines: Sequence[EntryLine]) -> Account:
    """The account after the lines; reservations that come to 0 are forgotten."""
    reserved = dict(account.reserved)
    for one in lines:
        if one.reserved:
            reserved[one.cause] = reserved.get(one.cause, 0) + one.reserved
    kept = {order: held for order, held in reserved.items() if held}
    return replace(account, balance=account.balance + _sum(lines), reserved=kept)


def _objection(account: Account, lines: Sequence[EntryLine]) -> str:
    """Why an account cannot take these lines, or ''. Who gains may always, also while below the limit."""
    moved = _moved(account, lines)
    if any(held < 0 for held in moved.reserved.values()):
        return "more is released than was reserved for the order"
    if abs(moved.balance) >= MAX_AMOUNT:
        return "the account would hold more than can be written"
    if moved.available < min(0, account.available):
        need = account.available - moved.available
        return f"{need} are needed and {max(0, account.available)} are available, the credit included"
    return ""


def _sum(lines: Sequence[EntryLine]) -> int:
    return sum(one.amount for one in lines)
