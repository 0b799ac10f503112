"""Wallets: none below its credit, every payment comes to 0, every chain verifies, no change to one stays hidden."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.energy import payments
from consortium.energy.payloads.base import read_part
from consortium.energy.payloads.market import TradeMoney
from consortium.energy.payloads.money import Entry, EntryLine
from consortium.energy.payloads.settlement import StatementMoney
from consortium.energy.wallets import Account, Paid, Refused, digest, follow, next_entry, pay, verify_chain
from consortium.errors import DefectError

CREDIT = {"home-01@suncoop": 500, "home-02@suncoop": 0, "cityretail": 2_000, "gridco": 0}
NAMES = list(CREDIT)


def record(number):
    return number.to_bytes(16, "big")


def opened():
    return {name: Account(name, name, "USD", credit) for name, credit in CREDIT.items()}


def trade(buyer, seller, value, fee, bid=b"o" * 16):
    return TradeMoney(
        start_ms=0, market="local", bid=bid, buyer=buyer, seller=seller, grid="gridco", value=value, fee=fee,
        currency="USD",
    )  # fmt: skip


def bill(amount, fee, customer="home-01@suncoop", provider="cityretail"):
    return StatementMoney(
        start_ms=0, contract=b"c" * 16, by="cityretail", version=1, customer=customer, provider=provider,
        grid="gridco", amount=amount, grid_fee=fee, currency="USD",
    )  # fmt: skip


def paid(accounts, moves, **options):
    result = pay(accounts, moves, 0, **options)
    assert isinstance(result, Paid), result
    return result.accounts


name = st.sampled_from(NAMES)
money = st.integers(-800, 800)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("deposit"), name, money),
        st.tuples(st.just("reserve"), name, st.integers(0, 5), st.integers(0, 600)),
        st.tuples(st.just("release"), name, st.integers(0, 5)),
        st.tuples(st.just("trade"), name, name, st.integers(0, 5), st.integers(-50, 300), st.integers(0, 60)),
        st.tuples(st.just("bill"), name, name, money, st.integers(-90, 90)),
        st.tuples(st.just("balance"), name, name, money),
        st.tuples(st.just("correct"), money, money, st.integers(0, 90)),
    ),
    max_size=20,
)


def moves_of(step, accounts, cause):
    kind, *rest = step
    if kind == "deposit":
        return payments.deposit_moves(*rest, cause)
    if kind == "reserve":
        return payments.reserve_moves(rest[0], record(rest[1]), rest[2])
    if kind == "release":
        return payments.release_moves(accounts[rest[0]], record(rest[1]))
    if kind == "trade":
        buyer, seller, bid, value, fee = rest
        return payments.trade_moves(trade(buyer, seller, value, fee, record(bid)), cause, accounts[buyer])
    if kind == "bill":
        customer, provider, amount, fee = rest
        return payments.bill_moves(bill(amount, fee, customer, provider), cause)
    if kind == "balance":
        return payments.balance_moves(bill(rest[2], 0, rest[0], rest[1]), cause)
    earlier, later = (payments.bill_moves(bill(amount, rest[2]), cause) for amount in rest[:2])
    return payments.correction_moves(earlier, later)


def played(script):
    """Accounts and entries after a script; what may not happen is refused on the way."""
    accounts, chains, inside = opened(), {name: [] for name in NAMES}, 0
    for number, step in enumerate(script, start=1_000):
        moves = moves_of(step, accounts, record(number))
        if step[0] == "deposit":
            inside += step[2] * isinstance(pay(accounts, moves, 0), Paid)
        else:
            assert payments.change(moves) == 0
        result = pay(accounts, moves, number)
        if isinstance(result, Refused):
            assert result.account in moves
            assert result.reason
            continue
        accounts = result.accounts
        for entry in result.entries:
            chains[entry.account].append(entry)
        for account in accounts.values():
            assert account.available >= 0
            assert account.balance >= -account.credit_limit
            assert min(account.reserved.values(), default=1) > 0
    assert sum(account.balance for account in accounts.values()) == inside
    return accounts, chains


@settings(max_examples=60, deadline=None)
@given(steps)
def test_accounts_keep_their_limit_and_chains_verify(script):
    accounts, chains = played(script)
    for owner, chain in chains.items():
        account = accounts[owner]
        assert verify_chain(chain, head=account.previous) == ""
        folded = reduce(follow, chain, opened()[owner])
        assert folded == account
        if chain:
            assert (chain[-1].balance, chain[-1].reserved) == (account.balance, sum(account.reserved.values()))


def a_chain():
    """Five entries of every kind that a home meets, and the digest of the newest."""
    home, order = "home-01@suncoop", record(7)
    accounts, chain = opened(), []
    first, later = (Account(home, home, "USD", reserved={order: held}) for held in (400, 160))
    for moves in (
        payments.deposit_moves(home, 1_000, record(1)),
        payments.reserve_moves(home, order, 400),
        payments.trade_moves(trade(home, "home-02@suncoop", 200, 40, order), record(2), first),
        payments.release_moves(later, order),
        payments.bill_moves(bill(300, 80), record(3)),
    ):  # fmt: skip
        result = pay(accounts, moves, len(chain))
        assert isinstance(result, Paid), result
        accounts = result.accounts
        chain += [entry for entry in result.entries if entry.account == home]
    return chain, accounts[home].previous


CHAIN, HEAD = a_chain()


def changed_lines(lines, index, field, value):
    return (*lines[:index], lines[index].model_copy(update={field: value}), *lines[index + 1 :])


def changes(entry):
    """Every field of an entry and of its lines, each with another value."""
    other = {
        "start_ms": 99, "account": "other", "owner": "gridco", "sequence": 9, "previous": b"x" * 32, "balance": 1,
        "reserved": 77, "currency": "EUR", "lines": entry.lines[1:],
    }  # fmt: skip
    assert set(other) == set(Entry.model_fields)
    for field, value in other.items():
        yield field, entry.model_copy(update={field: value})
    line = {"kind": "imbalance", "amount": 12_345, "reserved": 5, "cause": b"z" * 16, "clause": "none"}
    assert set(line) == set(EntryLine.model_fields)
    for index in range(len(entry.lines)):
        for field, value in line.items():
            lines = changed_lines(entry.lines, index, field, value)
            yield f"lines[{index}].{field}", entry.model_copy(update={"lines": lines})


def test_the_chain_as_it_was_written_verifies():
    assert len(CHAIN) == 5
    assert verify_chain(CHAIN, head=HEAD) == "" == verify_chain(CHAIN)
    assert [read_part(entry.plaintext()) for entry in CHAIN] == CHAIN


@pytest.mark.parametrize("place", range(5))
def test_any_single_change_is_found(place):
    for field, changed in changes(CHAIN[place]):
        forged = [*CHAIN[:place], changed, *CHAIN[place + 1 :]]
        assert verify_chain(forged, head=HEAD) != "", field
        if place < 4:
            assert verify_chain(forged).startswith("entry "), field


@pytest.mark.parametrize("place", range(5))
def test_an_entry_left_out_or_repeated_is_found(place):
    assert verify_chain(CHAIN[:place] + CHAIN[place + 1 :], head=HEAD) != ""
    assert verify_chain([*CHAIN[: place + 1], *CHAIN[place:]]) == (
        f"entry {place + 2}: its sequence is {place + 1}, and {place + 2} is due: left out, repeated or reordered"
    )


@pytest.mark.parametrize("place", range(4))
def test_two_entries_in_the_wrong_order_are_found(place):
    swapped = [*CHAIN[:place], CHAIN[place + 1], CHAIN[place], *CHAIN[place + 2 :]]
    assert verify_chain(swapped, head=HEAD).startswith(f"entry {place + 1}")


def test_no_entry_at_all_verifies_only_where_none_is_known():
    assert verify_chain([]) == "" == verify_chain([], head=bytes(32))
    assert verify_chain([], head=HEAD) != ""


def test_whoever_renumbers_and_relinks_is_found_by_the_head():
    """Who leaves an entry out and links the rest anew makes a chain that holds by itself: only the head tells."""
    account, forged = Account("home-01@suncoop", "home-01@suncoop", "USD", 500), []
    for entry in (CHAIN[0], CHAIN[4]):
        account, relinked = next_entry(account, entry.lines, entry.start_ms)
        forged.append(relinked)
    assert verify_chain(forged) == ""
    assert verify_chain(forged, head=HEAD) != ""


def test_a_reservation_beyond_the_money_is_refused():
    accounts = paid(opened(), payments.deposit_moves("home-02@suncoop", 100, record(1)))
    accounts = paid(accounts, payments.reserve_moves("home-02@suncoop", record(2), 70))
    refused = pay(accounts, payments.reserve_moves("home-02@suncoop", record(3), 31), 0)
    assert refused == Refused("home-02@suncoop", "31 are needed and 30 are available, the credit included")
    assert paid(accounts, payments.reserve_moves("home-02@suncoop", record(3), 30))["home-02@suncoop"].available == 0


def test_reserved_money_pays_no_bill():
    accounts = paid(opened(), payments.reserve_moves("home-01@suncoop", record(2), 450))
    refused = pay(accounts, payments.bill_moves(bill(51, 0), record(3)), 0)
    assert isinstance(refused, Refused)
    assert refused.account == "home-01@suncoop"


def test_a_refused_bill_moves_nothing_and_is_paid_when_money_came():
    accounts = opened()
    moves = payments.bill_moves(bill(501, 80), record(3))
    assert isinstance(pay(accounts, moves, 0), Refused)
    assert accounts == opened()
    accounts = paid(accounts, payments.deposit_moves("home-01@suncoop", 1, record(1)))
    after = paid(accounts, moves)
    assert {name: after[name].balance for name in ("home-01@suncoop", "cityretail", "gridco")} == {
        "home-01@suncoop": -500, "cityretail": 421, "gridco": 80,
    }  # fmt: skip


def test_a_negative_bill_goes_the_other_way():
    after = paid(opened(), payments.bill_moves(bill(-300, 0), record(3)))
    assert (after["home-01@suncoop"].balance, after["cityretail"].balance) == (300, -300)


def test_a_withdrawal_beyond_the_money_is_refused():
    assert isinstance(pay(opened(), payments.deposit_moves("home-02@suncoop", -1, record(1)), 0), Refused)


def test_who_is_below_the_limit_after_a_cut_may_still_be_paid():
    accounts = paid(opened(), payments.bill_moves(bill(500, 0), record(1)))
    cut = {**accounts, "home-01@suncoop": Account("home-01@suncoop", "home-01@suncoop", "USD", 100, balance=-500)}
    assert cut["home-01@suncoop"].available == -400
    assert paid(cut, payments.bill_moves(bill(-300, 0), record(2)))["home-01@suncoop"].available == -100
    assert isinstance(pay(cut, payments.bill_moves(bill(1, 0), record(2)), 0), Refused)


def test_a_trade_spends_the_reservation_and_leaves_the_saving_reserved():
    home, order = "home-01@suncoop", record(7)
    accounts = paid(opened(), payments.reserve_moves(home, order, 400))
    traded = paid(
        accounts, payments.trade_moves(trade(home, "home-02@suncoop", 200, 40, order), record(2), accounts[home])
    )
    assert (traded[home].balance, traded[home].reserved) == (-240, {order: 160})
    assert (traded["home-02@suncoop"].balance, traded["gridco"].balance) == (200, 40)
    done = paid(traded, payments.release_moves(traded[home], order))
    assert (done[home].reserved, done[home].available) == ({}, 260)
    assert payments.release_moves(done[home], order) == {}


def test_a_trade_may_free_all_that_was_set_aside_for_its_energy():
    home, order = "home-01@suncoop", record(7)
    accounts = paid(opened(), payments.reserve_moves(home, order, 400))
    moves = payments.trade_moves(trade(home, "home-02@suncoop", 200, 40, order), record(2), accounts[home], 300)
    assert paid(accounts, moves)[home].reserved == {order: 100}


def test_the_grid_operator_that_trades_gets_one_entry():
    accounts = paid(opened(), payments.deposit_moves("gridco", 500, record(1)))
    result = pay(
        accounts, payments.trade_moves(trade("gridco", "home-02@suncoop", 100, 20), record(2), accounts["gridco"]), 0
    )
    assert isinstance(result, Paid)
    assert [(entry.account, entry.balance, len(entry.lines)) for entry in result.entries] == [
        ("gridco", 400, 3), ("home-02@suncoop", 100, 1),
    ]  # fmt: skip


def test_a_correction_shows_both_and_moves_the_difference():
    accounts = paid(opened(), payments.bill_moves(bill(300, 80), record(3)))
    earlier, later = payments.bill_moves(bill(300, 80), record(3)), payments.bill_moves(bill(450, 120), record(4))
    result = pay(accounts, payments.correction_moves(earlier, later), 0)
    assert isinstance(result, Paid)
    shown = {entry.account: [(line.kind, line.amount, line.cause) for line in entry.lines] for entry in result.entries}
    assert shown["home-01@suncoop"] == [("reversal", 300, record(3)), ("bill", -450, record(4))]
    assert shown["gridco"] == [("reversal", -80, record(3)), ("fee", 120, record(4))]
    straight = paid(opened(), later)
    assert {n: a.balance for n, a in result.accounts.items()} == {n: a.balance for n, a in straight.items()}


def test_a_correction_of_a_trade_restores_no_reservation():
    home, order = "home-01@suncoop", record(7)
    accounts = paid(opened(), payments.reserve_moves(home, order, 400))
    moves = payments.trade_moves(trade(home, "home-02@suncoop", 200, 40, order), record(2), accounts[home], 400)
    back = paid(paid(accounts, moves), payments.correction_moves(moves, {}))
    assert (back[home].balance, back[home].reserved) == (0, {})


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 500), st.integers(0, 90), st.integers(0, 3))
def test_a_payment_that_was_stopped_half_way_is_finished(amount, fee, written):
    """Killed after any number of its entries, the agent books the rest, and the accounts are as if nothing happened."""
    moves = payments.bill_moves(bill(amount, fee), record(3))
    whole = pay(opened(), moves, 0)
    assert isinstance(whole, Paid)
    assert sum(line.amount for line in whole.entries[0].lines) < 0, "who loses comes first"
    stands = whole.entries[:written]
    accounts = opened()
    for entry in stands:
        after = follow(accounts[entry.account], entry)
        assert isinstance(after, Account)
        accounts[entry.account] = after
    rest = pay(accounts, moves, 0, done={entry.account for entry in stands})
    assert isinstance(rest, Paid)
    assert rest.accounts == whole.accounts
    assert rest.entries == whole.entries[written:]


def test_an_unknown_account_stops_the_payment():
    refused = pay({}, payments.deposit_moves("nobody", 5, record(1)), 0)
    assert refused == Refused("nobody", "there is no such account")


def test_more_than_is_reserved_cannot_be_released():
    line = EntryLine(kind="release", amount=0, reserved=-5, cause=record(1))
    account = opened()["gridco"]
    assert isinstance(pay({"gridco": account}, {"gridco": (line,)}, 0), Refused)
    with pytest.raises(DefectError):
        next_entry(account, (line,), 0)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"balance": 4}, "do not follow from the lines"),
        ({"reserved": 1}, "do not follow from the lines"),
        ({"lines": ()}, "do not follow from the lines"),
        ({"account": "suncoop"}, "another account, owner or currency"),
        ({"owner": "suncoop"}, "another account, owner or currency"),
        ({"currency": "EUR"}, "another account, owner or currency"),
        ({"sequence": 2}, "its sequence is 2"),
        ({"previous": b"x" * 32}, "does not name the entry before it"),
        ({"lines": (EntryLine(kind="deposit", amount=5, reserved=2, cause=record(1)),), "reserved": 2}, "reserves"),
        ({"lines": (EntryLine(kind="release", amount=5, reserved=-2, cause=record(1)),)}, "more is released"),
    ],
)
def test_an_entry_by_a_dishonest_agent_is_not_followed(changed, why):
    """Whatever links well and is wrong by itself: no later entry is needed to see it."""
    account = opened()["gridco"]
    _, entry = next_entry(account, (EntryLine(kind="deposit", amount=5, cause=record(1)),), 0)
    assert isinstance(follow(account, entry), Account)
    assert entry.previous == bytes(32) != digest(entry)
    assert why in str(follow(account, entry.model_copy(update=changed)))
