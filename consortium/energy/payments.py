"""What moves for what: the lines of each kind of payment, by account. Pure; `energy.wallets.pay` books them.

Every payment between accounts comes to 0 over all of them; only a deposit or a withdrawal changes what there is. A
party that stands on two sides (the grid operator that also buys) gets one entry with all its lines.
"""

from __future__ import annotations

from collections.abc import Iterable

from consortium.energy.payloads.market import TradeMoney
from consortium.energy.payloads.money import EntryLine, Movement
from consortium.energy.payloads.settlement import StatementMoney
from consortium.energy.wallets import Account, Moves

RESERVE = "wallet.reserve"
TRADE_PRICE = "market.price"
LOCAL_FEE = "grid.local-fee"
GRID_FEE = "supply.grid-fee"
DEPOSIT = "wallet.deposit"


def deposit_moves(account: str, amount: int, cause: bytes) -> Moves:
    """Money that came in from outside, or went out if negative. `cause` is the deposit's record."""
    kind: Movement = "deposit" if amount >= 0 else "withdrawal"
    return {account: (EntryLine(kind=kind, amount=amount, cause=cause, clause=DEPOSIT),)}


def reserve_moves(account: str, order: bytes, amount: int) -> Moves:
    """Set `amount` aside for an order: the most that it may cost, fees included."""
    return {account: (EntryLine(kind="reserve", amount=0, reserved=amount, cause=order, clause=RESERVE),)}


def release_moves(account: Account, order: bytes) -> Moves:
    """Give back all that is still reserved for an order that takes part no more; nothing to do gives no lines."""
    held = account.reserved.get(order, 0)
    return {account.account: (_release(order, held),)} if held else {}


def trade_moves(trade: TradeMoney, cause: bytes, buyer: Account, reserved: int | None = None) -> Moves:
    """A trade: the buyer's reservation shrinks, the value goes to the seller and the fee to the grid's account.

    `reserved` is what was set aside for the traded energy (wh times limit and fees); by default as much as the trade
    costs, so that the saving stays reserved until the order is done. Never more than the order still holds.
    """
    cost = trade.value + trade.fee
    shrink = min(buyer.reserved.get(trade.bid, 0), cost if reserved is None else reserved)
    return _gather(
        [
            *([(trade.buyer, _release(trade.bid, shrink))] if shrink > 0 else []),
            *_transfer("trade", trade.buyer, trade.seller, trade.value, cause, TRADE_PRICE),
            *_transfer("fee", trade.buyer, trade.grid, trade.fee, cause, LOCAL_FEE),
        ]
    )


def bill_moves(bill: StatementMoney, cause: bytes, clause: str = "supply.price", fee_clause: str = GRID_FEE) -> Moves:
    """A bill on which both sides agree: the amount to the provider, of it the grid fee to the grid's account, and the
    customer's own fee for local energy.
    """
    return _gather(
        [
            *_transfer("bill", bill.customer, bill.provider, bill.amount, cause, clause),
            *_transfer("fee", bill.provider, bill.grid, bill.grid_fee, cause, fee_clause),
            *_transfer("fee", bill.customer, bill.grid, bill.local_fee, cause, LOCAL_FEE),
        ]
    )


def balance_moves(bill: StatementMoney, cause: bytes) -> Moves:
    """A supplier's imbalance, paid to the wholesale account (or by it)."""
    return _gather(
        _transfer("imbalance", bill.customer, bill.provider, bill.amount, cause, "balance.imbalance")
        + _transfer("fee", bill.provider, bill.grid, bill.grid_fee, cause, GRID_FEE)
    )


def correction_moves(earlier: Moves, later: Moves) -> Moves:
    """A corrected payment: the earlier one's money goes back line by line, then the new one moves; both visible.

    Reservations are not restored: the order that they were for is done.
    """
    back = [
        (name, EntryLine(kind="reversal", amount=-one.amount, cause=one.cause, clause=one.clause))
        for name, lines in earlier.items()
        for one in lines
        if one.amount
    ]
    return _gather(back + [(name, one) for name, lines in later.items() for one in lines])


def change(moves: Moves) -> int:
    """What a payment changes over all its accounts: 0 unless money came in or went out."""
    return sum(one.amount for lines in moves.values() for one in lines)


def _release(order: bytes, held: int) -> EntryLine:
    return EntryLine(kind="release", amount=0, reserved=-held, cause=order, clause=RESERVE)


def _transfer(
    kind: Movement, payer: str, payee: str, amount: int, cause: bytes, clause: str
) -> list[tuple[str, EntryLine]]:
    if not amount:
        return []
    return [
        (payer, EntryLine(kind=kind, amount=-amount, cause=cause, clause=clause)),
        (payee, EntryLine(kind=kind, amount=amount, cause=cause, clause=clause)),
    ]


def _gather(lines: Iterable[tuple[str, EntryLine]]) -> Moves:
    """By account, in the order in which they came."""
    moves: dict[str, tuple[EntryLine, ...]] = {}
    for account, one in lines:
        moves[account] = (*moves.get(account, ()), one)
    return moves
