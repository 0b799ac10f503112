"""The demo's day, 2017-06-15, from meters to money and certificates: every figure of it, by the pure rules alone."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

import consortium.devnet
from consortium.energy.certificates.holdings import Holdings
from consortium.energy.certificates.issuing import Metering, Sold, issue, uses
from consortium.energy.settlement import balance_lines, deliver, settle_columns, supply_lines

DATA = Path(consortium.devnet.__file__).parent / "data"
DAY, BEFORE = "2017-06-15", "2017-06-14"
FEED_IN, LOCAL_FEE, GRID_FEE = 50, 20, 80
HOMES = range(1, 18)


def meters(day):
    with (DATA / "meters.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["interval_start"].startswith(day)]
    return {
        (int(row["interval_start"][11:13]), int(row["home"][5:])): (int(row["load_wh"]), int(row["pv_wh"]))
        for row in rows
    }


def prices(day):
    with (DATA / "prices.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["interval_start"].startswith(day)]
    return [(int(row["retail_micro_per_wh"]), int(row["wholesale_micro_per_wh"])) for row in rows]


def walk(retail, forecast):
    """The hour's uniform-price book by hand: (trades as (buyer, seller, wh), price)."""
    gain = retail - FEED_IN - LOCAL_FEE
    bids = [[FEED_IN + gain * (60 + 2 * i) // 100, i, wh] for i, wh in forecast if wh > 0]
    asks = [[FEED_IN + gain * (10 + 3 * i) // 100, i, -wh] for i, wh in forecast if wh < 0]
    bids.sort(key=lambda one: (-one[0], one[1]))
    asks.sort()
    trades, price = [], None
    while bids and asks and bids[0][0] >= asks[0][0]:
        wh = min(bids[0][2], asks[0][2])
        price = (bids[0][0] + asks[0][0]) // 2
        trades.append((bids[0][1], asks[0][1], wh))
        for side in (bids, asks):
            side[0][2] -= wh
            if not side[0][2]:
                side.pop(0)
    return trades, price


@pytest.fixture(scope="module")
def day():
    """All sums of the day, settled home by home and hour by hour."""
    read, before, tariff = meters(DAY), meters(BEFORE), prices(DAY)
    sums, accounts, holdings = Counter(), Counter(), Holdings()
    for hour, (retail, wholesale) in enumerate(tariff):
        trades, price = walk(retail, [(i, before[hour, i][0] - before[hour, i][1]) for i in HOMES])
        net = settle_hour(hour, retail, read, trades, sums, accounts, holdings)
        for buyer, seller, wh in trades:
            value, fee = wh * price, wh * LOCAL_FEE
            accounts[buyer] -= value + fee
            accounts[seller] += value
            accounts["gridco"] += fee
            sums.update(local_wh=wh, local_value=value, local_fee=fee, trades=1)
        amount = balance_lines(net, wholesale)[1]
        accounts["cityretail"] -= amount
        accounts["wholesale"] += amount
    return sums, accounts, holdings


def settle_hour(hour, retail, read, trades, sums, accounts, holdings):
    net = 0
    for i in HOMES:
        load, pv = read[hour, i]
        position = sum(wh * ((i == buyer) - (i == seller)) for buyer, seller, wh in trades)
        bought, back = deliver(load, pv, position)
        _, amount, fee = supply_lines(bought, back, retail, FEED_IN, GRID_FEE)
        accounts[i] -= amount
        accounts["cityretail"] += amount - fee
        accounts["gridco"] += fee
        net += bought - back
        only = supply_lines(max(0, load - pv), max(0, pv - load), retail, FEED_IN, GRID_FEE)[1]
        sums.update(load=load, pv=pv, bought=bought, back=back, retail_only=-only)
        sold = tuple(Sold(bytes(16), f"home-{buyer:02}", wh) for buyer, seller, wh in trades if i == seller)
        metering = Metering(f"home-{i:02}", "cityretail", load, pv, sold)
        for change in issue(metering, owed=0):
            assert holdings.change(metering.producer, hour, change) == ""
    return net


def test_the_market_of_the_day(day):
    sums = day[0]
    assert (sums["trades"], sums["local_wh"], sums["local_value"]) == (111, 100_963, 16_558_147)
    assert sums["local_fee"] == 2_019_260


def test_the_energy_of_the_day(day):
    sums = day[0]
    assert (sums["load"], sums["pv"], sums["bought"], sums["back"]) == (580_104, 206_606, 400_036, 26_538)
    assert sums["load"] - sums["pv"] == sums["bought"] - sums["back"] == 373_498


def test_the_accounts_of_the_day(day):
    sums, accounts, _ = day
    homes = sum(accounts[i] for i in HOMES)
    assert homes == -127_433_720
    assert (accounts["cityretail"], accounts["wholesale"]) == (76_822_091, 16_589_489)
    assert accounts["gridco"] == 34_022_140
    assert (accounts[1], accounts[17]) == (-3_347_912, -24_317_347)
    assert sum(accounts.values()) == 0
    assert sums["retail_only"] == -136_885_060


def test_the_certificates_of_the_day(day):
    holdings = day[2]
    intervals = [interval for i in HOMES for _, interval in holdings.of(f"home-{i:02}")]
    assert uses(intervals) == {"self": 121_136, "local": 68_097, "retail": 17_373, "held": 0}


def test_the_columns_come_to_the_same_day(day):
    read, tariff = meters(DAY), prices(DAY)
    keys = sorted(read)
    loads, pvs = zip(*(read[key] for key in keys), strict=True)
    retail = [tariff[hour][0] for hour, _ in keys]
    columns = settle_columns(loads, pvs, [0] * len(keys), retail, feed_in=FEED_IN, grid_fee=GRID_FEE)
    assert -sum(columns.amount) == day[0]["retail_only"]
    assert (sum(columns.bought_wh), sum(columns.sold_back_wh)) == (458_968, 85_470)
