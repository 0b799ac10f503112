"""Keys that change while two nodes write and read: nothing is lost, nothing refused, nothing becomes unreadable."""

from __future__ import annotations

import asyncio

import pytest

from consortium.adapters import keyfile
from consortium.adapters.keysecrets import What
from consortium.adapters.tokens.node import NodeTokens
from consortium.adapters.tokens.peers import PeerTokens
from consortium.agents.rekey import RekeySettings
from consortium.crypto.hints import my_slots
from consortium.crypto.sealing import open_wrap, split_wraps
from consortium.errors import CommitmentMismatch, NotAuthenticated, NotReady, NotYet
from consortium.ledger.governance.terms import Keys, RevokeKeys
from consortium.model.public import Ballot, Proposal
from consortium.model.verdicts import BatchRefusal
from consortium.pipeline import rewraps
from tests.rekeyed import DEADLINE_S, EXPIRES_MS, UNLOCK, nodes

DAY_MS = 86_400_000


@pytest.fixture
async def net(tmp_path):
    async with nodes(tmp_path) as running:
        await running.gridco.write(1)  # both have spoken: the ledger has a time
        await running.suncoop.write(1)
        yield running


async def on_both(net):
    """Until both have applied what one of them has."""
    height = max(net.gridco.applier.state.height, net.suncoop.applier.state.height)
    for node in (net.gridco, net.suncoop):
        await node.until(height)


async def until(holds):
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110  of what the nodes do by themselves no event tells
            await asyncio.sleep(0)


def refused(node):
    return [step.block.refusal for step in node.store.steps if step.block.refusal]


async def a_day_later(net):
    """Ledger time moves on, by what both say."""
    net.clock.ms += DAY_MS
    for node in (net.gridco, net.suncoop):
        await node.write(0)
    await on_both(net)


# --- rotation ---


@pytest.mark.parametrize("what", list(What))
async def test_keys_change_under_load_and_no_record_is_lost_or_refused(net, what):
    before = net.suncoop.custody.public
    stop, written = asyncio.Event(), {}

    async def writing(node, first):
        wh = first
        while not stop.is_set():
            answer = await node.write(wh)
            assert answer.state == "accepted"
            written[answer.id] = wh
            wh += 1

    tasks = [asyncio.create_task(writing(net.suncoop, n * 1000)) for n in range(1, 9)]
    tasks += [asyncio.create_task(writing(net.gridco, n * 1000)) for n in range(10, 14)]
    for _ in range(3):
        count = len(written)
        answer = await net.suncoop.rekeyer.rotate(what)
        assert answer.state == "accepted"
        assert net.suncoop.custody.public == net.suncoop.applier.state.governance.member("suncoop").keys
        await until(lambda: len(written) >= count + 40)  # noqa: B023
    stop.set()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*tasks)
    await on_both(net)
    assert net.suncoop.custody.public != before
    for node in (net.gridco, net.suncoop):
        assert refused(node) == []
        assert node.faults == []
        assert [await node.reads(record) for record in written] == list(written.values())


async def test_the_batch_that_rotates_is_the_last_one_under_the_old_key(net):
    answer = await net.suncoop.rekeyer.rotate("signing")
    after = await net.suncoop.write(5)
    state = net.suncoop.applier.state
    periods = state.governance.standings["suncoop"].periods
    assert periods[-1].since == answer.height + 1
    assert after.height > answer.height
    assert refused(net.suncoop) == []


async def test_which_is_in_force_comes_into_the_file_afterwards(net):
    await net.suncoop.rekeyer.rotate("all")
    await net.suncoop.rekeyer.look()
    assert keyfile.open(net.suncoop.path, UNLOCK).public == net.suncoop.custody.public


async def test_a_node_that_died_between_proposal_and_switch_comes_up_with_the_right_keys(net):
    """Its file says that the new keys wait; the ledger says that they are in force."""
    await net.suncoop.rekeyer.rotate("all")
    again = keyfile.open(net.suncoop.path, UNLOCK)
    assert again.public != net.suncoop.custody.public
    assert again.use(net.suncoop.applier.state.governance.member("suncoop").keys)
    assert again.public == net.suncoop.custody.public


async def test_a_proposal_that_never_came_changes_nothing(net):
    before = net.suncoop.custody.public
    await net.suncoop.vault.prepare("all")
    answer = await net.suncoop.write(3)
    assert (answer.state, net.suncoop.custody.public) == ("accepted", before)


async def test_one_rotation_after_the_other_builds_on_the_keys_in_force(net):
    """Before the file has been told which these are: else keys would come back, and the ledger refuse them."""
    assert (await net.suncoop.rekeyer.rotate("signing")).state == "accepted"
    signing = net.suncoop.custody.public.signing
    assert (await net.suncoop.rekeyer.rotate("encryption")).state == "accepted"
    assert net.suncoop.custody.public.signing == signing


# --- revocation ---


async def stolen(net):
    """The others (here: gridco) take suncoop's keys from it and name new ones. The thief's batches come from a copy."""
    thief = keyfile.open(net.suncoop.path, UNLOCK)
    new = keyfile.create(net.suncoop.path.with_name("new.keys"), UNLOCK)
    terms = RevokeKeys(name="suncoop", keys=Keys.of(new.public))
    asked = await net.gridco.publish(Proposal(kind=terms.KIND, terms=terms.model_dump(), expires_ms=EXPIRES_MS))
    await net.gridco.publish(Ballot(proposal=asked.id, yes=True))
    await on_both(net)
    return thief, new


async def test_a_node_whose_keys_were_revoked_writes_nothing_says_so_and_reads_on(net):
    old = (await net.suncoop.write(7)).id
    await stolen(net)
    assert "does not hold the keys" in net.suncoop.alarms["keys"]
    with pytest.raises(NotReady, match="does not hold the keys"):
        await net.suncoop.write(8)
    assert await net.suncoop.reads(old) == 7
    height = net.gridco.applier.state.height
    for _ in range(5):
        await net.gridco.write(1)
    await net.suncoop.until(height + 5)
    later = [step.block for step in net.gridco.store.steps if step.block.height > height]
    assert [b for b in later if b.member == "suncoop"] == [], "not even signs of life, which nobody would take"


async def test_what_was_under_way_when_the_keys_were_taken_is_sent_again_under_the_new_ones(net):
    new = keyfile.change(net.suncoop.path, UNLOCK, lambda c: c.with_next(What.ALL, lambda n: b"\x07" * n))
    public = new.generations[-1].public()
    terms = RevokeKeys(name="suncoop", keys=Keys.of(public))
    asked = await net.gridco.publish(Proposal(kind=terms.KIND, terms=terms.model_dump(), expires_ms=EXPIRES_MS))

    async def writing():
        return [await net.suncoop.write(n) for n in range(200)]

    task = asyncio.create_task(writing())
    await net.gridco.publish(Ballot(proposal=asked.id, yes=True))
    async with asyncio.timeout(DEADLINE_S):
        answers = await task
    assert {answer.state for answer in answers} == {"accepted"}
    assert net.suncoop.custody.public == public
    assert set(refused(net.gridco)) <= {BatchRefusal.BAD_SIGNATURE}


async def test_what_a_thief_signs_after_the_revocation_is_refused_and_what_was_signed_before_stays(net):
    old = (await net.suncoop.write(7)).id
    thief, new = await stolen(net)
    net.suncoop.orderer._custody = thief
    sequence = net.suncoop.applier.state.next_sequence("suncoop")
    forged = net.suncoop.orderer._batch(sequence, [])
    await net.server.put("suncoop", sequence, forged)
    for node in (net.gridco, net.suncoop):
        await until(lambda: node.applier.state.next_sequence("suncoop") > sequence)  # noqa: B023
        assert refused(node)[-1] == BatchRefusal.BAD_SIGNATURE
        assert await node.reads(old) == 7
    kept = await net.gridco.store.blocks(1, 10_000)
    assert [k.block.refusal for k in kept][-1] == BatchRefusal.BAD_SIGNATURE, "so says who catches up, too"
    assert new.public == net.gridco.applier.state.governance.member("suncoop").keys


async def test_new_keys_that_are_put_in_place_let_the_node_write_again_without_a_restart(net):
    _, new = await stolen(net)
    assert not net.suncoop.belonging.now
    new_file = net.suncoop.path.with_name("new.keys")
    net.suncoop.path.write_bytes(new_file.read_bytes())
    await net.suncoop.rekeyer.look()
    assert (await net.suncoop.write(9)).state == "accepted"
    assert net.suncoop.alarms == {}
    assert net.suncoop.custody.public == new.public


async def test_peer_tokens_by_revoked_keys_are_refused_at_once(net):
    token = PeerTokens(net.suncoop.custody, net.clock, genesis=net.suncoop.membership, member="suncoop").issue("gridco")
    verifying = PeerTokens(net.gridco.custody, net.clock, genesis=net.gridco.membership, member="gridco")
    assert verifying.verify(token).member == "suncoop"
    await stolen(net)
    with pytest.raises(NotAuthenticated):
        verifying.verify(token)


async def test_tokens_of_the_node_outlive_a_rotation_for_their_life_and_a_revocation_not_at_all(net):
    tokens = NodeTokens(net.suncoop.custody, net.clock, network="testnet", member="suncoop", lifetime_s=60)
    net.suncoop.watch.listen(lambda revoked: tokens.switched(revoked=revoked))
    first = tokens.issue("home-01", "user", session=bytes(16)).token
    await net.suncoop.rekeyer.rotate("signing")
    assert tokens.verify(first).name == "home-01"
    second = tokens.issue("home-01", "user", session=bytes(16)).token
    assert len(tokens.jwks()["keys"]) == 2
    await net.suncoop.rekeyer.rotate("signing")  # soon after the first
    assert tokens.verify(first).name == tokens.verify(second).name == "home-01"
    assert len(tokens.jwks()["keys"]) == 3
    net.clock.ms += 61_000
    assert len(tokens.jwks()["keys"]) == 1
    with pytest.raises(NotAuthenticated):
        tokens.verify(first)
    third = tokens.issue("home-01", "user", session=bytes(16)).token
    assert tokens.verify(third)
    await stolen(net)
    net.suncoop.path.write_bytes(net.suncoop.path.with_name("new.keys").read_bytes())
    await net.suncoop.rekeyer.look()
    for token in (second, third):
        with pytest.raises(NotAuthenticated):
            tokens.verify(token)


# --- the end of old keys ---


async def test_old_records_are_readable_when_the_file_holds_no_old_key_any_more(net):
    mine = (await net.suncoop.write(11)).id
    theirs = (await net.gridco.write(12)).id
    await on_both(net)
    old_pair = net.suncoop.custody.pair(net.gridco.custody.public.encryption).pair
    await net.suncoop.rekeyer.rotate("encryption")
    await a_day_later(net)
    await net.suncoop.rekeyer.look()
    await net.suncoop.rekeyer.retire()
    await net.suncoop.rekeyer.look()
    opened = keyfile.open(net.suncoop.path, UNLOCK)
    assert [g.state for g in opened.chain.generations] == ["active"]
    left = [pair.pair for pair in net.suncoop.custody.pairs(net.gridco.custody.public.encryption)]
    assert old_pair not in left
    assert await net.suncoop.reads(mine) == 11
    assert await net.suncoop.reads(theirs) == 12
    held = await net.suncoop.store.held(theirs)
    header = (await net.suncoop.store.record(theirs)).header
    for wrap in split_wraps(header, held.wraps):
        with pytest.raises(CommitmentMismatch):
            open_wrap(header, wrap, left[0])
    after = (await net.gridco.write(13)).id
    await on_both(net)
    assert await net.suncoop.reads(after) == 13


async def test_what_the_destroyed_key_opened_is_still_recognised_and_served_to_its_parties(net):
    mine = (await net.suncoop.write(11)).id
    header = (await net.suncoop.store.record(mine)).header
    await net.suncoop.rekeyer.rotate("encryption")
    await a_day_later(net)
    await net.suncoop.rekeyer.look()
    await net.suncoop.rekeyer.retire()
    await net.suncoop.rekeyer.look()
    public = net.gridco.custody.public.encryption
    assert len(net.suncoop.custody.pairs(public)) == 1
    assert any(my_slots(hint, header.id, header.slots()) for hint in net.suncoop.custody.hints(public))


@pytest.mark.parametrize("why", ["too early", "behind", "missing", "nothing"])
async def test_old_keys_are_kept_as_long_as_somebody_may_need_them(net, why, monkeypatch):
    if why != "nothing":
        await net.suncoop.rekeyer.rotate("encryption")
        await net.suncoop.rekeyer.look()
    if why != "too early":
        await a_day_later(net)

    async def one():
        return 1

    async def nobody():
        return {}

    if why == "missing":
        monkeypatch.setattr(net.suncoop.store, "missing_count", one)
    if why == "behind":
        net.suncoop.rekeyer._cosigned = nobody
    net.suncoop.rekeyer._settings = RekeySettings(grace_s=3600)
    sentence = {"too early": "less than", "behind": "gridco", "missing": "1 payloads", "nothing": "none"}[why]
    with pytest.raises(NotYet, match=sentence):
        await net.suncoop.rekeyer.retire()
    await net.suncoop.rekeyer.look()
    assert len(net.suncoop.custody.generations) == (1 if why == "nothing" else 2)


async def test_a_member_that_was_silent_for_long_is_not_waited_for(net):
    await net.suncoop.rekeyer.rotate("encryption")
    await net.suncoop.rekeyer.look()
    await a_day_later(net)

    async def nobody():
        return {}

    net.suncoop.rekeyer._cosigned = nobody
    net.suncoop.rekeyer._settings = RekeySettings(grace_s=3600, away_s=0)
    state = net.suncoop.applier.state
    assert await net.suncoop.rekeyer._behind(state, state.tree.size) in ([], ["gridco"])


async def test_a_rewrapping_that_was_cut_off_is_finished(net, monkeypatch):
    ids = {(await net.gridco.write(n)).id: n for n in range(20, 30)}
    await on_both(net)
    await net.suncoop.rekeyer.rotate("encryption")
    await a_day_later(net)
    await net.suncoop.rekeyer.look()
    count, real = 0, net.suncoop.store.add_rewraps

    async def dies(held, sealed):
        nonlocal count
        count += 1
        if count == 4:
            raise RuntimeError("killed")
        await real(held, sealed)

    monkeypatch.setattr(net.suncoop.store, "add_rewraps", dies)
    await net.suncoop.rekeyer.retire()
    with pytest.raises(RuntimeError):
        await net.suncoop.rekeyer.look()
    assert len(keyfile.open(net.suncoop.path, UNLOCK).generations) == 2, "nothing is destroyed before all is wrapped"
    monkeypatch.setattr(net.suncoop.store, "add_rewraps", real)
    await net.suncoop.rekeyer.look()
    assert len(keyfile.open(net.suncoop.path, UNLOCK).generations) == 1
    assert {record: await net.suncoop.reads(record) for record in ids} == ids


async def test_by_schedule_keys_change_and_old_ones_end(net):
    net.suncoop.rekeyer._settings = RekeySettings(rotation_days=30, grace_s=3600)
    first, storage = net.suncoop.custody.public, net.suncoop.custody.chain.storage
    record = (await net.gridco.write(4)).id
    await on_both(net)
    await net.suncoop.rekeyer.look()
    assert net.suncoop.custody.public == first, "its time is not over"
    for _ in range(31):
        await a_day_later(net)
    await net.suncoop.rekeyer.look()
    second = net.suncoop.custody.public
    assert not {getattr(first, name) for name in first.__slots__} & {getattr(second, name) for name in second.__slots__}
    await net.suncoop.rekeyer.look()
    assert net.suncoop.custody.chain.storage != storage
    assert len(net.suncoop.custody.generations) == 2, "the grace is not over"
    await a_day_later(net)
    await net.suncoop.rekeyer.look()
    assert net.suncoop.custody.generations == (second,)
    assert await net.suncoop.reads(record) == 4


# --- storage ---


async def test_what_is_at_rest_is_sealed_anew_and_then_the_old_storage_key_is_destroyed(net):
    record = (await net.gridco.write(12)).id
    await on_both(net)
    await net.suncoop.rekeyer.rotate("encryption")
    await a_day_later(net)
    await net.suncoop.rekeyer.look()
    await net.suncoop.rekeyer.retire()
    await net.suncoop.rekeyer.look()
    before = [row.sealed for row in await net.suncoop.store.sealed_after("rewrap", None, 1000)]
    assert before
    assert await net.suncoop.rekeyer.rotate("storage") is None
    assert await net.suncoop.reads(record) == 12, "old and new both work until it is done"
    await net.suncoop.rekeyer.look()
    after = [row.sealed for row in await net.suncoop.store.sealed_after("rewrap", None, 1000)]
    assert len(after) == len(before)
    assert not set(before) & set(after)
    assert net.suncoop.vault.inventory().storage == ["active"]
    assert await net.suncoop.reads(record) == 12


async def test_sealing_anew_that_was_cut_off_is_finished(net, monkeypatch):
    for n in range(5):
        await net.gridco.write(n)
    await on_both(net)
    for held in await net.suncoop.store.held_after(-1, 100):
        header = (await net.suncoop.store.record(held.id)).header
        boxes = rewraps.rewrapped(net.suncoop.membership, net.suncoop.custody, held, header)
        await net.suncoop.store.add_rewraps(held, boxes)
    await net.suncoop.rekeyer.rotate("storage")
    count, real = 0, net.suncoop.store.replace_sealed

    async def dies(row, sealed):
        nonlocal count
        count += 1
        if count == 3:
            raise RuntimeError("killed")
        return await real(row, sealed)

    monkeypatch.setattr(net.suncoop.store, "replace_sealed", dies)
    with pytest.raises(RuntimeError):
        await net.suncoop.rekeyer.look()
    again = keyfile.open(net.suncoop.path, UNLOCK)
    assert [key.state for key in again.chain.storage] == ["old", "active"]
    monkeypatch.setattr(net.suncoop.store, "replace_sealed", real)
    await net.suncoop.rekeyer.look()
    assert len(keyfile.open(net.suncoop.path, UNLOCK).chain.storage) == 1
    for held in await net.suncoop.store.held_after(-1, 100):
        assert net.suncoop.opener.open_all(held).sections[0] is not None
