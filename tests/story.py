"""One hour of a market in records sealed with real keys, and its nodes' reading routes to ask about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
from fastapi import FastAPI

from consortium.energy.contracts.terms import GridTerms, MandateTerms, MarketTerms, SupplyTerms, WalletTerms, dump
from consortium.energy.market.proofs import book_tree
from consortium.energy.metering import Reading, to_rfc3339
from consortium.energy.payloads.contracts import ContractFrame, ContractStep, ContractTerms
from consortium.energy.payloads.market import (
    Gate,
    Order,
    OrderResult,
    Prices,
    Reserve,
    Result,
    TradeMoney,
    TradePoints,
    TradeTerms,
    Verdict,
)
from consortium.energy.payloads.money import EntryLine
from consortium.energy.payloads.settlement import (
    Certificate,
    Delivery,
    Dispute,
    Line,
    StatementMoney,
    StatementPhysical,
    StatementTerms,
)
from consortium.energy.reports.book import session_book
from consortium.energy.wallets import Account, next_entry
from consortium.errors import NotAuthenticated
from consortium.ports.accounts import DUTIES
from consortium.ports.callers import Caller
from consortium.web import problems
from consortium.web.routes import holdings, markets, me, records
from tests.marketworld import MarketWorld

START = 1_497_549_600_000  # 2017-06-15T18:00:00Z
HOUR = 3_600_000
FROM = 1_496_300_400_000
BUYER, SELLER = "home-09@cityretail", "home-01@suncoop"
OPERATORS = "gridco suncoop"
MEMBERS = "gridco suncoop cityretail"
GRID = GridTerms(local_fee=20, grid_fee=80, operators=("gridco", "suncoop"))
DAY = {"from": "2017-06-15T08:00:00Z", "to": "2017-06-16T08:00:00Z"}
RULES = MarketTerms(
    name="local",
    zone="-08:00",
    currency="USD",
    price_min=0,
    price_max=1000,
    operators=("gridco", "suncoop"),
    agree=2,
    settlement_agent="gridco",
    grid_operator="gridco",
    members=tuple(MEMBERS.split()),
    local_fee=20,
)


class Story:
    """One hour of a market: home-09 buys 500 Wh from home-01 at 130, then takes 100 Wh more from its retailer."""

    def __init__(self) -> None:
        self.world = MarketWorld()
        self.accounts: dict[str, Account] = {}
        self.market = self.contract("gridco", "market", "gridco", "suncoop", RULES, "")
        self.contracts()
        self.world.add(
            "gridco",
            (Prices(start_ms=START, series="carbon", unit="g/kWh", interval_s=3600, values=(250, 300)), MEMBERS),
        )
        self.deposit = self.pay("home-09", BUYER, ("deposit", 10_000_000, 0, bytes(16)))
        self.orders()
        self.clear()
        self.settle()

    def add(self, author, *sections):
        return self.world.add(author, *sections)

    def contract(self, author, kind, provider, customer, terms, point, **more):
        sides = MEMBERS if kind == "market" else f"{provider} {customer}"
        frame = ContractFrame(
            start_ms=FROM,
            kind=kind,
            end_ms=0,
            provider=provider,
            customer=customer,
            proposer=provider,
            point=point or None,
            area="area-1" if point else None,
            **more,
        )
        readers = f"{sides} gridco" if point else sides
        if kind == "mandate":
            sides = readers = f"{sides} {OPERATORS}"
        if kind == "grid":
            readers = f"{readers} {OPERATORS}"
        section = ContractTerms(start_ms=FROM, currency="USD", terms=dump(terms))
        id = self.add(author, (frame, readers), (section, sides))
        step = ContractStep(start_ms=FROM, contract=id, by=customer, step="countersigned")
        self.signed = self.add(customer.rpartition("@")[2], (step, readers))
        return id

    def contracts(self):
        supply = SupplyTerms.model_validate({"tariff": {"type": "fixed", "price": 340}, "feed_in": 50})
        self.supply = self.contract("cityretail", "supply", "cityretail", BUYER, supply, "p-9", grid_fee=80)
        self.contract("gridco", "grid", "gridco", BUYER, GRID, "p-9")
        self.contract("gridco", "grid", "gridco", SELLER, GRID, "p-1")
        wallet = WalletTerms(account=BUYER, credit_limit=5_000)
        self.contract("gridco", "wallet", "gridco", BUYER, wallet, "")
        limits = MandateTerms(
            market="local",
            bid_share_percent=60,
            ask_share_percent=10,
            max_wh=5000,
            price_min=0,
            price_max=1000,
            operators=("gridco", "suncoop"),
        )
        self.mandate = self.contract("cityretail", "mandate", "cityretail", BUYER, limits, "")

    def pay(self, user, account, *lines, verdict=None):
        """An entry of the account by the settlement agent."""
        known = self.accounts.get(account, Account(account, account, "USD"))
        made = [EntryLine(kind=k, amount=a, reserved=r, cause=c, clause="x") for k, a, r, c in lines]
        self.accounts[account], entry = next_entry(known, made, START)
        sections = [] if verdict is None else [(verdict, f"{account} cityretail {OPERATORS}")]
        return self.add("gridco", *sections, (entry, f"{account} gridco"))

    def order(self, owner, side, wh, price, mandate=None, point="p-9"):
        member = owner.rpartition("@")[2]
        order = Order(
            start_ms=START,
            market="local",
            session_s=3600,
            side=side,
            owner=owner,
            point=point,
            area="area-1",
            wh=wh,
            price=price,
            currency="USD",
            mandate=mandate,
        )
        reserve = Reserve(start_ms=START, market="local", owner=owner, amount=wh * (price + 20), currency="USD")
        more = [(reserve, f"{owner} {member} gridco")] if side == "bid" else []
        return self.add(member, (order, f"{owner} {member} {OPERATORS}"), *more)

    def orders(self):
        self.bid = self.order(BUYER, "bid", 600, 150, self.mandate)
        self.ask = self.order(SELLER, "ask", 500, 110, point="p-1")
        held = Verdict(start_ms=START, market="local", order=self.bid, held=True, amount=600 * 170)
        self.pay("home-09", BUYER, ("reserve", 0, 600 * 170, self.bid), verdict=held)
        self.gate = self.add("gridco", (Gate(start_ms=START, market="local", round=0, last=True), MEMBERS))
        self.late = self.order(SELLER, "ask", 700, 90, point="p-1")

    def book(self):
        view = self.world.nodes["gridco"].view
        contract = view.market_contract("local", START)
        return session_book(view, contract, contract.terms, view.session("local", START), None).rounds[-1].outcome

    def clear(self):
        outcome = self.book()
        tree = book_tree(outcome.book)
        for number, match in enumerate(outcome.matches):
            self.trade(number, match)
        root = {"book_root": tree.root, "book_size": tree.size}
        result = Result(
            start_ms=START,
            market="local",
            session_s=3600,
            gate=self.gate,
            round=0,
            last=True,
            price=outcome.price,
            wh=outcome.wh,
            trades=len(outcome.matches),
            **root,
        )
        self.result = self.add("gridco", (result, MEMBERS))
        for leaf, order in enumerate(outcome.book):
            counted = OrderResult(
                start_ms=START,
                market="local",
                order=order.id,
                gate=self.gate,
                state="counted",
                wh=outcome.wh_of.get(order.id, 0),
                leaf=leaf,
                proof=tree.proof(leaf),
                **root,
            )
            self.add("gridco", (counted, f"{order.owner} {order.owner.rpartition('@')[2]}"))
        refused = OrderResult(
            start_ms=START, market="local", order=self.late, gate=self.gate, state="refused", reason="late", **root
        )
        self.add("gridco", (refused, f"{SELLER} suncoop"))

    def trade(self, number, match):
        buyer, seller, value = match.bid.owner, match.ask.owner, match.value
        base = {"start_ms": START, "market": "local"}
        points = TradePoints(
            **base, session_s=3600, buyer_point="p-9", seller_point="p-1", wh=match.wh, fee=match.wh * 20
        )
        terms = TradeTerms(
            **base,
            gate=self.gate,
            number=number,
            buyer=buyer,
            seller=seller,
            bid=match.bid.id,
            ask=match.ask.id,
            price=match.price,
            value=value,
            currency="USD",
        )
        money = TradeMoney(
            **base,
            bid=match.bid.id,
            buyer=buyer,
            seller=seller,
            grid="gridco",
            value=value,
            fee=points.fee,
            currency="USD",
        )
        both = f"{buyer} {seller} suncoop cityretail"
        self.deal = self.add(
            "gridco",
            (points, f"{both} {OPERATORS}"),
            (terms, f"{both} {OPERATORS}"),
            (money, f"{buyer} {seller} gridco"),
        )
        self.pay(
            "home-09",
            buyer,
            ("release", 0, -600 * 170, match.bid.id),
            ("trade", -value, 0, self.deal),
            ("fee", -points.fee, 0, self.deal),
        )
        self.pay("home-01", seller, ("trade", value, 0, self.deal))

    def settle(self):
        reading = Reading.model_validate({"subject": BUYER, "interval_start": to_rfc3339(START), "load_wh": 600})
        directory = self.world.nodes["cityretail"].view
        (section,) = reading.sections(directory)
        self.add("cityretail", (section, BUYER))
        base = {"start_ms": START, "contract": self.supply, "version": 1}
        self.add(
            "gridco",
            (
                Delivery(interval_s=3600, subject=BUYER, bought_wh=100, sold_back_wh=0, **base),
                f"{BUYER} cityretail gridco",
            ),
        )
        lines = (Line(clause="supply.price", wh=100, price=340, amount=34_000),)
        physical = StatementPhysical(interval_s=3600, by=BUYER, wh_out=100, wh_in=0, grid_fee=8_000, **base)
        terms = StatementTerms(by=BUYER, lines=lines, amount=34_000, currency="USD", **base)
        money = StatementMoney(
            by=BUYER,
            customer=BUYER,
            provider="cityretail",
            grid="gridco",
            amount=34_000,
            grid_fee=8_000,
            currency="USD",
            **base,
        )
        sides = f"{BUYER} cityretail"
        self.bill = self.add("cityretail", (physical, f"{sides} gridco"), (terms, sides), (money, f"{sides} gridco"))
        self.pay("home-09", BUYER, ("bill", -34_000, 0, self.bill))
        made = Certificate(
            start_ms=START,
            interval_s=3600,
            producer=SELLER,
            event="issued",
            use="local",
            first=0,
            count=500,
            cancelled=0,
            holder=SELLER,
            version=1,
        )
        self.add("gridco", (made, f"{SELLER} gridco"))
        where = Dispute(
            statements=(self.bill, bytes(16)), by="cityretail", provider=lines, customer=lines, where="line 1", **base
        )
        self.add("cityretail", (where, sides))


class Tokens:
    """The token is kind:name, of staff kind+duty+duty:name (without duties: all of them)."""

    def __init__(self, member):
        self._member = member

    async def verify(self, token, proof=None):
        role, _, name = token.partition(":")
        if not name:
            raise NotAuthenticated("no valid token")
        kind, *duties = role.split("+")
        given = frozenset(duties) if duties else DUTIES if kind == "staff" else frozenset()
        return Caller(name, self._member, kind, given)


def asker(story: Story) -> Callable[..., Awaitable[httpx.Response]]:
    """Ask a node as a caller: `await ask("user:home-09@cityretail", "/v1/orders")`."""

    async def get(who, path, member=None, headers=None, **params):
        role, _, party = who.partition(":")
        name, _, home = party.rpartition("@")
        app = FastAPI()
        app.state.services = story.world.services(member or home, Tokens(member or home))
        for part in (me, holdings, markets, records):
            app.include_router(part.router)
        problems.install(app)
        sent = {"authorization": f"Bearer {role}:{name or 'someone'}", **(headers or {})}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://node", headers=sent
        ) as client:
            return await client.get(path, params=params)

    return get
