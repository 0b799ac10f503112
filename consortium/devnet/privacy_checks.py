"""What the demo shows of privacy: who may read what, that every read is told, and that it can be ended.

Everybody asks in their own name at their own member's node; what is refused is compared with what there never was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from consortium.devnet.checks import Check, Seen, make
from consortium.devnet.figures import rows
from consortium.devnet.market import AREA
from consortium.devnet.market_checks import command
from consortium.errors import OperatorError

_ABSENT = "0" * 32
OFFICER = "regulator-officer"
_PATIENCE_S = 60.0
_POLL_S = 0.1
BILLING_PURPOSE, ADVICE = "a question about the bill", "advice on saving"


async def run_all(seen: Seen) -> list[Check]:
    """All checks of privacy, in the order of the table."""
    people = People(seen)
    return await make([(name, _with(people, check)) for name, check in _CHECKS], seen)


Shown = tuple[bool, str]


@dataclass(frozen=True, slots=True)
class People:
    """Who takes part: the home that the checks look at, a neighbour, staff of its supplier."""

    seen: Seen

    @property
    def home(self) -> str:
        """The account of the first home."""
        return self.seen.day.homes[0].name

    @property
    def member(self) -> str:
        """Its member."""
        return self.seen.day.homes[0].member

    @property
    def neighbour(self) -> str:
        """Another home of the same member."""
        return next(h.name for h in self.seen.day.homes if h.member == self.member and h.name != self.home)

    async def ask(
        self, account: str, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Any answer to an account at its own member's node."""
        net = self.seen.net
        url = net.nodes[net.person(account).member].url
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=90.0) as http:
            auth = net.auth(self.seen.tokens[account])
            return await http.request(method, path, auth=auth, headers=dict(headers or {}), **more)

    async def json(self, account: str, method: str, path: str, **more: Any) -> Any:
        """The JSON of an answer that must be 200. Raises `OperatorError`."""
        response = await self.ask(account, method, path, **more)
        if response.status_code != 200:
            raise OperatorError(f"{account} {method} {path}: {response.status_code} {response.text[:200]}")
        return response.json()

    async def until(self, found: Callable[[], Awaitable[Any]], what: str) -> Any:
        """Wait for a condition. Raises `OperatorError`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _PATIENCE_S
        while loop.time() < end:
            if value := await found():
                return value
            await asyncio.sleep(_POLL_S)
        raise OperatorError(f"it did not come about that {what}")

    async def accesses(self, purpose: str = "", basis: str = "") -> list[dict[str, Any]]:
        """The home's list of who read its records, narrowed."""
        found = await self.json(self.home, "GET", "/v1/me/accesses", params={"limit": 500})
        if not found["whole"]:
            return []
        return [
            row
            for row in found["rows"]
            if (not purpose or row["purpose"] == purpose) and (not basis or row["basis"] == basis)
        ]


def _with(people: People, check: Callable[[People], Awaitable[Shown]]) -> Callable[[Seen], Awaitable[Shown]]:
    return lambda _: check(people)


async def _own_contract(people: People) -> Shown:
    """A home sees its supply contract whole, its bill, and who read: its supplier's billing staff just did."""
    supply = await _supply(people)
    billing = f"{supply['frame']['provider']}-billing"
    record = await people.json(
        billing, "GET", f"/v1/records/{supply['id']}", headers={"Consortium-Purpose": BILLING_PURPOSE}
    )
    day = people.seen.day
    period = {"from": day.start.isoformat(), "to": day.end.isoformat()}
    invoice = await people.json(people.home, "GET", "/v1/invoices", params=period)
    told = await people.until(lambda: people.accesses(BILLING_PURPOSE), "the home sees who read its contract")
    held = "terms" in supply and "terms" in record["data"] and supply["id"] in told[0]["records"] and invoice
    reader = f"{told[0]['role']} of {told[0]['member']}, {', '.join(told[0]['duties'])}"
    return bool(held), f"{people.home} opens contract and bill; who read: {reader}, for {told[0]['purpose']!r}"


async def _metering(people: People) -> Shown:
    """The supplier's metering staff see the volumes of the same contract, and no price."""
    supply = await _supply(people)
    metering = f"{supply['frame']['provider']}-metering"
    record = await people.json(metering, "GET", f"/v1/records/{supply['id']}")
    market = await people.ask(metering, "GET", "/v1/invoices", params={"from": _at(people, 0), "to": _at(people, 24)})
    held = "physical" in record["data"] and "terms" not in record["data"] and market.status_code == 403
    parts = ", ".join(sorted(record["data"]))
    return held, f"{metering} opens {parts} of it; asks for bills and gets {market.status_code}"


async def _delegation(people: People) -> Shown:
    """A neighbour reads the home's meter while the home lets them, and the home sees it."""
    day = people.seen.day
    given = {
        "delegate": f"{people.neighbour}@{people.member}",
        "types": ["reading"],
        "from": day.start.isoformat(),
        "to": day.end.isoformat(),
        "groups": ["physical"],
        "until": (day.end + timedelta(days=30)).isoformat(),
        "purpose": ADVICE,
    }
    reading = people.seen.ids_of(people.home)[0]
    before = await _as_delegate(people, reading)
    made = await people.json(people.home, "POST", "/v1/delegations", json=given)
    during = await people.until(lambda: _when(people, reading, 200), "the neighbour reads by the delegation")
    beyond = await _as_delegate(people, (await _supply(people))["id"])
    await people.json(people.home, "DELETE", f"/v1/delegations/{made['id']}")
    after = await people.until(lambda: _when(people, reading, 404), "the delegation has ended")
    told = await people.until(lambda: people.accesses(basis="delegation"), "the home sees the delegate's read")
    held = (before.status_code, beyond.status_code) == (404, 404) and reading in told[0]["records"]
    codes = f"before {before.status_code}, during {during.status_code}, beyond it {beyond.status_code}"
    return held, f"{people.neighbour} reads {people.home}'s meter: {codes}, ended {after.status_code}; the home sees it"


async def _officer(people: People) -> Shown:
    """Without a grant nothing; two members vote; then the trades of one area and morning, and none of the evening."""
    day = people.seen.day
    period = {"from": _at(people, 0), "to": _at(people, 24), "type": "trade"}
    trades = await rows(day.calls, "gridco", "/v1/records", period)
    noon = day.start + timedelta(hours=12)
    morning = {one["id"] for one in trades if _start(one) < noon}
    evening = [one["id"] for one in trades if _start(one) >= noon]
    nothing = [
        (await people.ask(OFFICER, "GET", f"/v1/records/{id}")).status_code for id in (*sorted(morning)[:1], _ABSENT)
    ]
    grant = await _granted(people, _at(people, 0), _at(people, 12))
    path = f"/v1/grants/{grant}/records"

    async def disclosed() -> list[str] | None:
        found = await _pages(people, path)
        return found if set(found) >= morning else None

    found = await people.until(disclosed, "the holders have disclosed the morning's trades")
    refused = [(await people.ask(OFFICER, "GET", f"{path}/{id}")).status_code for id in (*evening[:1], _ABSENT)]
    told = await _told_of_grant(people, found, grant)
    held = evening and set(found) == morning and set(nothing) == set(refused) == {404} and told
    return bool(held), (
        f"without a grant {nothing[0]}; 2 of 3 members vote; {len(found)} trades of the morning, "
        f"one of the evening {refused[0]}; {told}"
    )


async def _granted(people: People, start: str, end: str) -> str:
    """A grant for the trades of the demo's area in a period, by the votes of two members; its id."""
    asked = {
        "types": ["trade"],
        "areas": [AREA],
        "groups": ["physical", "terms", "identity"],
        "from": start,
        "to": end,
        "purpose": "market surveillance",
        "basis": "Regulation (EU) No 1227/2011, Art. 13",
        "until": (people.seen.day.end + timedelta(days=30)).isoformat(),
    }
    made = await people.json(OFFICER, "POST", "/v1/grants", json=asked)
    for admin in ("gridco-admin", "suncoop-admin"):
        ballot = {"proposal": made["id"], "yes": True}
        await people.until(lambda a=admin, b=ballot: _ballot(people, a, b), f"{admin} votes")  # type: ignore[misc]
    return str(made["id"])


async def _ballot(people: People, admin: str, ballot: Mapping[str, Any]) -> bool:
    """Whether the ballot was counted; not while the proposal has still to reach the member's node."""
    response = await people.ask(admin, "POST", "/v1/governance/ballots", json=ballot)
    return response.status_code == 200 and response.json()["state"] == "accepted"


async def _pages(people: People, path: str) -> list[str]:
    """The ids of all records under a grant."""
    found: list[str] = []
    after = -1
    while True:
        response = await people.ask(OFFICER, "GET", path, params={"after": after, "limit": 100})
        if response.status_code != 200:
            return []
        body = response.json()
        found += [row["id"] for row in body["rows"]]
        if body["next"] is None:
            return found
        after = body["next"]


async def _told_of_grant(people: People, found: list[str], grant: str) -> str:
    """That a home whose trades were read sees it in its list, with the officer's name and the grant."""
    for home in people.seen.day.homes:
        rows_ = (await people.json(home.name, "GET", "/v1/me/accesses", params={"limit": 500}))["rows"]
        mine = [row for row in rows_ if row["basis"] == "grant" and row["under"] == grant]
        if any(set(row["records"]) & set(found) for row in mine):
            return f"{home.name} sees that {mine[0]['name']} read"
    return ""


async def _erased(people: People) -> Shown:
    """A home has a reading erased: every member acknowledges, nobody reads it any more, and the export still audits."""
    reading = people.seen.ids_of(people.home)[-1]
    asked = await people.json(people.home, "POST", "/v1/erasures", json={"records": [reading]})
    (row,) = asked["rows"]
    if row["by"] is None:
        return False, f"{row['state']}: {row['reason']}"

    async def acknowledged() -> Any:
        response = await people.ask(people.home, "GET", f"/v1/erasures/{row['by']}")
        return response.json() if response.status_code == 200 and not response.json()["awaited"] else None

    done = await people.until(acknowledged, "every member acknowledges the erasure")
    readers = (people.home, f"{people.member}-staff", "gridco-staff")
    codes = {(await people.ask(reader, "GET", f"/v1/records/{reading}")).status_code for reader in readers}
    net = people.seen.net
    folder = str(net.directory / "export")
    exported = await command("export", folder, "--config", str(net.nodes["gridco"].config))
    audited = await command("audit", folder, "--trust", str(net.trust_file))
    held = codes == {404} and (exported, audited) == (0, 0)
    return (
        held,
        f"{len(done['acknowledged'])} members acknowledge; readers get {max(codes)}; the export audits: {audited}",
    )


def _start(record: Mapping[str, Any]) -> datetime:
    """The start of the session that a trade belongs to."""
    return datetime.fromisoformat(next(iter(record["data"].values()))["start"])


async def _as_delegate(people: People, record: str) -> httpx.Response:
    behalf = {"Consortium-Behalf": f"{people.home}@{people.member}"}
    return await people.ask(people.neighbour, "GET", f"/v1/records/{record}", headers=behalf)


async def _when(people: People, record: str, status: int) -> httpx.Response | None:
    response = await _as_delegate(people, record)
    return response if response.status_code == status else None


async def _supply(people: People) -> dict[str, Any]:
    """The home's supply contract as the home sees it."""
    day = people.seen.day
    found = await rows(day.calls, day.homes[0].party, "/v1/contracts", {"at": day.start.isoformat()})
    return next(one for one in found if one["frame"]["kind"] == "supply")


def _at(people: People, hour: int) -> str:
    return (people.seen.day.start + timedelta(hours=hour)).isoformat()


_CHECKS: tuple[tuple[str, Callable[[People], Awaitable[Shown]]], ...] = (
    ("a home sees its own, and who read", _own_contract),
    ("metering staff see no price", _metering),
    ("a delegation, and its end", _delegation),
    ("an officer, by grant alone", _officer),
    ("erased, and still provable", _erased),
)
