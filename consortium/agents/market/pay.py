"""The settlement agent: keeps the accounts, holds money for bids, pays what was cleared and what both sides agree on.

It works off its causes in the ledger's order, one after the other: so what it writes follows from the ledger alone,
and an agent that starts again, or runs twice, writes the same links of the same chains.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from consortium.agents.market.duty import Cause, Done, Duty, Given, contained
from consortium.agents.market.readers import named, operators, owner_and_member
from consortium.energy import payments
from consortium.energy.payloads.market import Funded, OrderDone, Reserve, TradeMoney, Verdict
from consortium.energy.payloads.money import Deposit, Entry, Refusal
from consortium.energy.payloads.settlement import StatementMoney
from consortium.energy.view.facts import Fact
from consortium.energy.view.view import View
from consortium.energy.wallets import Account, Moves, Paid, Refused, pay
from consortium.model.names import Party
from consortium.model.records import DraftSection

Work = Callable[[], Iterator[Duty]]


class Payer:
    """Keeps the accounts of which this member is the settlement agent."""

    def __init__(self, view: View, done: Done) -> None:
        self._view = view
        self._done = done
        self._queue: deque[Work] = deque()
        self._ahead: dict[str, Account] = {}
        """Accounts as they will stand once what is on its way has arrived."""
        self._on_way: dict[Cause, None] = {}
        self._unpaid: dict[Cause, Work] = {}

    def see(self, fact: Fact) -> None:
        """Queue what the fact calls for."""
        for part in fact.parts:
            match part:
                case Deposit() if fact.author == self._view.member:
                    self._queue.append(partial(self._deposit, fact, part))
                case Reserve() if fact.speaks_for(part.owner):
                    self._queue.append(partial(self._verdict, fact, part))
                case TradeMoney():
                    self._queue.append(partial(self._trade, fact, part))
                case OrderDone():
                    self._queue.append(partial(self._release, fact, part))
                case StatementMoney() if self._agreed(part, part.version) is not None:
                    # Due with its second statement, not the first: what came between goes before it on every replica.
                    self._queue.append(partial(self._bill, part))
                case _:
                    pass
        if fact.type == "gate":
            self._queue.append(partial(self._funded, fact))

    def due(self) -> Iterable[Given]:
        """The payments of what has come since."""
        self._on_way = {cause: None for cause in self._on_way if not self._done(cause)}
        if not self._on_way:
            self._ahead.clear()
        while self._queue:
            yield from contained(self._queue.popleft()())

    # --- causes ----------------------------------------------------------------------------------------------

    def _deposit(self, fact: Fact, deposit: Deposit) -> Iterator[Duty]:
        moves = payments.deposit_moves(deposit.account, deposit.amount, fact.id)
        yield from self._pay(("payment", fact.id), fact.start_ms, moves)
        for work in list(self._unpaid.values()):
            yield from work()

    def _verdict(self, fact: Fact, reserve: Reserve) -> Iterator[Duty]:
        """Hold a bid's money, or say that it is not there."""
        rules = self._view.market(reserve.market, fact.start_ms)
        cause: Cause = ("payment", fact.id)
        if rules is None or rules.settlement_agent != self._view.member or self._known(cause):
            return
        right = reserve.currency == rules.currency
        moves = payments.reserve_moves(reserve.owner, fact.id, reserve.amount) if reserve.amount else {}
        paid = self._book(fact.start_ms, moves) if right else Refused(reserve.owner, "another currency")
        verdict = Verdict(
            start_ms=fact.start_ms,
            market=reserve.market,
            order=fact.id,
            held=isinstance(paid, Paid),
            amount=reserve.amount if isinstance(paid, Paid) else 0,
            reason="" if isinstance(paid, Paid) else "funds",
        )
        readers = (*owner_and_member(reserve.owner), *operators(rules))
        yield self._duty(cause, fact.start_ms, paid, (verdict.section(readers),))

    def _funded(self, gate: Fact) -> Iterator[Duty]:
        """All bids before the gate have been answered by now: they were queued before it."""
        name = getattr(gate.parts[0], "market", "")
        rules = self._view.market(name, gate.start_ms)
        cause: Cause = ("funded", gate.id)
        if rules is None or (rules.settlement_agent, rules.lead) != (self._view.member, gate.author):
            return
        if not self._known(cause):
            said = Funded(start_ms=gate.start_ms, market=name, gate=gate.id)
            yield Duty(cause, said.TYPE, gate.start_ms, (said.section(operators(rules)),))

    def _trade(self, fact: Fact, trade: TradeMoney) -> Iterator[Duty]:
        rules = self._view.market(trade.market, fact.start_ms)
        buyer = self._account(trade.buyer)
        if rules is None or buyer is None:
            return
        right = (rules.settlement_agent, rules.lead, rules.grid_operator) == (
            self._view.member,
            fact.author,
            trade.grid,
        )
        if right and (self._known(("payment", fact.id)) or self._covered(fact, trade, buyer)):
            moves = payments.trade_moves(trade, fact.id, buyer)
            yield from self._pay(("payment", fact.id), fact.start_ms, moves, again=partial(self._trade, fact, trade))

    def _covered(self, fact: Fact, trade: TradeMoney, buyer: Account) -> bool:
        """Whether the buyer itself set that much aside for this bid: no lead's word alone takes money from anybody."""
        if not self._ordered(trade.market, fact.start_ms, trade.bid, trade.buyer) or trade.currency != buyer.currency:
            return False
        return trade.value + trade.fee <= buyer.reserved.get(trade.bid, 0)

    def _ordered(self, market: str, start_ms: int, bid: bytes, owner: str) -> bool:
        """Whether that is a bid of that owner in this very session."""
        session = self._view.sessions.get((market, start_ms))
        ordered = session.orders.get(bid) if session is not None else None
        reserve = ordered.find(Reserve) if ordered is not None else None
        return reserve is not None and reserve.owner == owner

    def _release(self, fact: Fact, done: OrderDone) -> Iterator[Duty]:
        rules = self._view.market(done.market, fact.start_ms)
        account = self._account(done.owner)
        if rules is None or account is None or rules.lead != fact.author:
            return
        if not self._ordered(done.market, fact.start_ms, done.order, done.owner):
            return
        moves = payments.release_moves(account, done.order)
        if moves and rules.settlement_agent == self._view.member:
            yield from self._pay(("payment", fact.id), fact.start_ms, moves)

    def _bill(self, money: StatementMoney) -> Iterator[Duty]:
        """Pay once both sides say the same; a later version takes the earlier payment back and pays anew."""
        found = self._agreed(money, money.version)
        if found is None:
            return
        statement, bill = found
        if self._view.keeper(bill.customer) != self._view.member:
            return  # a side reads it as well, and has nothing to pay or to refuse
        versions = self._view.statement_versions(bill.contract, bill.start_ms)
        paid = [n for n in versions if self._known(_bill_cause(bill, n))]
        if any(n > bill.version for n in paid):
            return  # a correction of it is paid already
        self._unpaid = {cause: work for cause, work in self._unpaid.items() if not _older(cause, bill)}
        moves = self._moves(bill, statement)
        before = [n for n in paid if n < bill.version]
        earlier = self._agreed(bill, before[-1]) if before else None
        if earlier is not None:
            moves = payments.correction_moves(self._moves(earlier[1], earlier[0]), moves)
        cause = _bill_cause(bill, bill.version)
        yield from self._pay(cause, bill.start_ms, moves, again=partial(self._bill, money))

    def _agreed(self, money: StatementMoney, version: int) -> tuple[bytes, StatementMoney] | None:
        """The customer's statement, if the provider's says the same and the two own the accounts.

        Only of the accounts that `money` names: others may write statements with the same contract's id.
        """
        sides = self._view.statements.get((money.contract, money.start_ms, version), {})
        bills = {by: (fact.id, bill) for by, fact in sides.items() if (bill := fact.find(StatementMoney)) is not None}
        for by, (record_id, bill) in bills.items():
            if (bill.customer, bill.provider) != (money.customer, money.provider):
                continue
            customer, provider = self._account(bill.customer), self._account(bill.provider)
            if customer is None or provider is None or by != customer.owner or bill.currency != customer.currency:
                continue
            if min(bill.grid_fee, bill.local_fee) < 0:
                continue  # whom they name as the grid signs nothing: it may be given money, and loses none
            other = bills.get(provider.owner)
            if other is not None and other[0] != record_id and _same(bill, other[1]):
                return record_id, bill
        return None

    def _moves(self, bill: StatementMoney, statement: bytes) -> Moves:
        contract = self._view.contract(bill.contract)
        clause = bill.clause or f"{contract.frame.kind if contract is not None else 'supply'}.price"
        if clause.startswith("balance."):
            return payments.balance_moves(bill, statement)
        return payments.bill_moves(bill, statement, clause=clause)

    # --- booking ---------------------------------------------------------------------------------------------

    def _pay(self, cause: Cause, start_ms: int, moves: Moves, *, again: Work | None = None) -> Iterator[Duty]:
        if self._known(cause):
            return
        paid = self._book(start_ms, moves)
        if isinstance(paid, Paid):
            self._unpaid.pop(cause, None)
            if paid.entries:
                yield self._duty(cause, start_ms, paid, ())
            return
        if again is not None:
            self._unpaid[cause] = again
        refused = ("refused", *cause)
        owner = self._account(paid.account)
        line = moves[paid.account][0]
        if not self._known(refused) and owner is not None:
            said = Refusal(
                start_ms=start_ms, account=paid.account, owner=owner.owner, cause=line.cause, reason=paid.reason
            )
            self._on_way[refused] = None
            yield Duty(refused, said.TYPE, start_ms, (said.section(self._readers(owner.owner)),))

    def _book(self, start_ms: int, moves: Moves) -> Paid | Refused:
        accounts = {name: account for name in moves if (account := self._account(name)) is not None}
        kept = [name for name in moves if self._view.keeper(name) == self._view.member]
        if len(kept) != len(moves):
            return Refused(next(name for name in moves if name not in kept), "no account here")
        paid = pay(accounts, moves, start_ms)
        if isinstance(paid, Paid):
            self._ahead.update(paid.accounts)
        return paid

    def _duty(self, cause: Cause, start_ms: int, paid: Paid | Refused, first: tuple[DraftSection, ...]) -> Duty:
        entries = paid.entries if isinstance(paid, Paid) else ()
        self._on_way[cause] = None
        sections = tuple(entry.section(self._readers(entry.owner)) for entry in entries)
        return Duty(cause, Entry.TYPE, start_ms, (*first, *sections))

    def _readers(self, owner: str) -> tuple[Party, ...]:
        return named(owner, self._view.member)

    def _account(self, name: str) -> Account | None:
        return self._ahead.get(name) or self._view.accounts.get(name)

    def _known(self, cause: Cause) -> bool:
        return cause in self._on_way or self._done(cause)


def _bill_cause(bill: StatementMoney, version: int) -> Cause:
    """By its accounts too: who names another's contract pays a bill of its own, and not that one."""
    return ("payment", bill.contract, bill.start_ms, bill.customer, bill.provider, version)


def _older(cause: Cause, bill: StatementMoney) -> bool:
    """Whether a cause is an earlier version of the bill."""
    return cause[:-1] == _bill_cause(bill, 0)[:-1] and cause != _bill_cause(bill, bill.version)


def _same(one: StatementMoney, other: StatementMoney) -> bool:
    return one.model_dump(exclude={"by"}) == other.model_dump(exclude={"by"})
