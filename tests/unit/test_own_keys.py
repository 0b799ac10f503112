"""A user who keeps their own key: all seal to it, the node opens by mandate alone, the device checks."""

from __future__ import annotations

import os
import stat

import pytest

from consortium.adapters.unlock import Passphrase
from consortium.agents.ownkeys import Possession
from consortium.client.ownkey import OwnKey
from consortium.client.records import opened
from consortium.crypto.sealing import is_usable_key, open_sealed_box, party_tag, sealed_box
from consortium.energy.own_keys import OwnKeys
from consortium.energy.payloads.keys import UserKey
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.view.facts import Fact
from consortium.errors import (
    CommitmentMismatch,
    ConfigurationError,
    InvalidRequest,
    KeysUnavailable,
    Malformed,
    NotReady,
    PeerError,
)
from consortium.model.members import Genesis, Member
from consortium.model.names import Party
from consortium.model.records import HINT_BYTES, SEALED, Draft
from consortium.pipeline.opening import Opener
from consortium.pipeline.seal import Sealer
from consortium.ports.party import HeldRecord
from tests.callers import FakeClock, custody_of

MEMBERS = ("gridco", "suncoop")
GENESIS = Genesis("voltnet", "main", 1, "voltnet.example", tuple(Member(m, (), custody_of(m).public) for m in MEMBERS))
HOME, OTHER = Party("suncoop", "home-01"), Party("suncoop", "home-02")
GRID = Party("gridco")
OWN = OwnKey(bytes(range(32)))
T0 = 1_497_484_800_000
CHEAP = Passphrase("correct horse battery staple", 1, 8192)


def said(key=OWN.public, *, mandate=(), sequence=1, author="suncoop", subject=HOME, index=0):
    part = UserKey(start_ms=T0, subject=str(subject), key=key, mandate=mandate, sequence=sequence)
    return Fact(index, bytes(16), author, T0, UserKey.TYPE, T0, (part,), bytes(32))


def directory(*facts):
    made = OwnKeys()
    made.loaded = True
    for fact in facts:
        made.see(fact)
    return made


def sealed(own_keys, *, readers=(HOME, GRID), type="reading", author="gridco"):
    """A reading by gridco, which reads it itself; and the record as suncoop's node holds it."""
    reading = MeterReading(start_ms=T0, subject=str(HOME), interval_s=3600, load_wh=5, pv_wh=7, quality="measured")
    draft = Draft(os.urandom(16), SEALED, author, T0, (reading.section(readers),))
    record = Sealer(GENESIS, custody_of(author), os.urandom, own_keys).seal(draft, type)
    slots = tuple(range(len(record.header.hints) // HINT_BYTES))
    pair = custody_of("suncoop").pair(custody_of(author).public.encryption)
    from consortium.crypto.hints import my_slots

    mine = tuple(my_slots(pair.hint, record.header.id, record.header.slots()))
    assert set(mine) <= set(slots)
    return record, HeldRecord(7, record.header.id, record.header_bytes, record.bodies, record.wraps, mine)


def handed(record, held):
    """What the node's route answers."""
    found = Opener(GENESIS, custody_of("suncoop")).open_for(held, HOME, _whole())
    assert found.sealed is not None
    return {
        "header": record.header_bytes.hex(),
        "index": 7,
        "bodies": [body.hex() for body in record.bodies],
        "mask": found.sealed.mask,
        "sealed_keys": found.sealed.sealed_keys.hex(),
    }


def _whole():
    from consortium.energy.field_groups import WHOLE

    return WHOLE


# --- who keeps which key ---------------------------------------------------------------------------------------


def test_the_latest_registration_counts_whatever_the_order():
    newer, older = said(b"n" * 32, sequence=2), said(b"o" * 32, sequence=1)
    for facts in ((older, newer), (newer, older), (newer, older, newer)):
        assert directory(*facts).of(HOME).key == b"n" * 32


def test_nobody_but_the_users_member_says_so():
    known = directory(
        said(author="gridco"), said(author="gridco", subject=Party("suncoop")), said(subject=Party("suncoop"))
    )
    assert known.of(HOME) is None
    assert known.of(Party("suncoop")) is None
    assert directory(said()).of(OTHER) is None


def test_it_is_given_back():
    assert directory(said(), said(None, sequence=2)).of(HOME) is None
    assert directory(said(), said(None, sequence=2), said(sequence=3)).of(HOME).key == OWN.public


def test_a_new_registration_ends_the_mandate():
    known = directory(said(mandate=("reading",)))
    assert known.sorted_out("reading") == "reading"
    assert known.see(said(sequence=2))
    assert known.of(HOME).mandate == frozenset()
    assert known.sorted_out("reading") == ""


# --- sealing ---------------------------------------------------------------------------------------------------


def test_the_node_opens_nothing_and_the_device_all():
    record, held = sealed(directory(said()))
    opener = Opener(GENESIS, custody_of("suncoop"))
    assert opener.open_for(held, HOME, _whole()).sections == (None,)
    assert opener.open_all(held).sections == (None,)
    found = opened(handed(record, held), record.header.id.hex(), HOME, OWN)
    assert (found.type, found.data["load_wh"], found.header) == ("reading", 5, record.header)


def test_a_custodial_user_beside_them_is_read_as_ever():
    _, held = sealed(directory(said()), readers=(HOME, OTHER))
    opener = Opener(GENESIS, custody_of("suncoop"))
    assert opener.open_for(held, OTHER, _whole()).sections[0] is not None
    assert opener.open_for(held, OTHER, _whole()).sealed is None


@pytest.mark.parametrize(("type", "opens"), [("reading", True), ("contract", False), ("", False)])
def test_by_mandate_the_node_opens_the_types_that_it_names(type, opens):
    for _ in range(8):  # whichever of the two wraps comes first
        record, held = sealed(directory(said(mandate=("reading",))), type=type)
        found = Opener(GENESIS, custody_of("suncoop")).open_for(held, HOME, _whole())
        assert (found.sections[0] is not None) is opens
        assert opened(handed(record, held), record.header.id.hex(), HOME, OWN).type == "reading"


def test_the_mandate_is_looked_at_record_by_record():
    """A sealer remembers circles of readers: not across types."""
    own = directory(said(mandate=("reading",)))
    sealer = Sealer(GENESIS, custody_of("gridco"), os.urandom, own)
    reading = MeterReading(start_ms=T0, subject=str(HOME), interval_s=3600, load_wh=5, pv_wh=7, quality="measured")
    drafts = [Draft(os.urandom(16), SEALED, "gridco", T0, (reading.section([HOME]),)) for _ in range(4)]
    wraps = [len(sealer.seal(d, t).wraps) for d, t in zip(drafts, ("reading", "contract", "reading", ""), strict=True)]
    assert wraps[0] == wraps[2] > wraps[1] == wraps[3]


def test_until_the_node_knows_nothing_is_sealed():
    with pytest.raises(NotReady):
        sealed(OwnKeys())


# --- opening on the device -------------------------------------------------------------------------------------


def test_the_node_is_not_believed():
    record, held = sealed(directory(said()))
    other, _ = sealed(directory(said()))
    good, id = handed(record, held), record.header.id.hex()
    assert opened(good, id, HOME, OWN)
    bad = [
        {**good, "header": other.header_bytes.hex()},
        {**good, "bodies": [other.bodies[0].hex()]},
        {**good, "bodies": [record.bodies[0][:-1].hex() + "00"]},
        {**good, "bodies": []},
        {**good, "mask": "x"},
        {},
    ]
    for answer in bad:
        with pytest.raises(PeerError):
            opened(answer, id, HOME, OWN)
    with pytest.raises(PeerError):
        opened(good, "0" * 32, HOME, OWN)
    with pytest.raises(KeysUnavailable):
        opened(good, id, HOME, OwnKey(bytes(32)))
    with pytest.raises(KeysUnavailable):
        opened({**good, "sealed_keys": "00" * 80}, id, HOME, OWN)


def test_an_author_that_seals_something_else_is_named():
    """The digest fits, the commitment does not: only its author could have made that."""
    from dataclasses import replace

    record, held = sealed(directory(said()))
    section = replace(record.header.sections[0], commitment=bytes(32))
    header = replace(record.header, sections=(section,))
    answer = {**handed(record, held), "header": header.encoded().hex()}
    with pytest.raises(CommitmentMismatch) as caught:
        opened(answer, record.header.id.hex(), HOME, OWN)
    assert caught.value.author == "gridco"


# --- the key itself --------------------------------------------------------------------------------------------


def test_the_file_of_a_key(tmp_path):
    file = tmp_path / "own.key"
    made = OwnKey.create(file, CHEAP)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.secret.hex() not in file.read_text() + repr(made)
    assert OwnKey.open(file, CHEAP).public == made.public
    with pytest.raises(ConfigurationError):
        OwnKey.create(file, CHEAP)
    with pytest.raises(KeysUnavailable):
        OwnKey.open(file, Passphrase("another", 1, 8192))
    file.write_text(file.read_text().replace('"box": "', '"box": "00'))
    with pytest.raises(KeysUnavailable):
        OwnKey.open(file, CHEAP)
    with pytest.raises(KeysUnavailable):
        OwnKey.open(tmp_path / "none", CHEAP)


LOW_ORDER = (
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
)


def test_usable_keys():
    assert is_usable_key(OWN.public)
    for bad in (*LOW_ORDER, b"", bytes(31), bytes(33)):
        assert not is_usable_key(bad)


def test_sealed_boxes():
    box = sealed_box(b"words", OWN.public, os.urandom)
    assert open_sealed_box(box, OWN.secret) == b"words"
    for bad in (box[:-1], b"", box[:-1] + bytes([box[-1] ^ 1])):
        with pytest.raises(Malformed):
            open_sealed_box(bad, OWN.secret)


# --- possession ------------------------------------------------------------------------------------------------


@pytest.fixture
def asked():
    clock = FakeClock()
    return clock, Possession(clock, os.urandom)


def test_who_opens_the_box_holds_the_key(asked):
    _, possession = asked
    answer = open_sealed_box(possession.ask("home-01", OWN.public), OWN.secret)
    possession.require("home-01", OWN.public, answer)
    with pytest.raises(InvalidRequest):  # once
        possession.require("home-01", OWN.public, answer)


def test_what_shows_nothing(asked):
    clock, possession = asked
    other = OwnKey(b"o" * 32)

    def refuses(name, key, answer):
        with pytest.raises(InvalidRequest):
            possession.require(name, key, answer)

    refuses("home-01", OWN.public, bytes(32))
    refuses("home-01", b"", b"")
    answer = open_sealed_box(possession.ask("home-01", OWN.public), OWN.secret)
    refuses("home-02", OWN.public, answer)
    refuses("home-01", other.public, answer)
    answer = open_sealed_box(possession.ask("home-01", OWN.public), OWN.secret)
    refuses("home-01", OWN.public, bytes(32))
    answer = open_sealed_box(possession.ask("home-01", OWN.public), OWN.secret)
    clock.turn(121)
    refuses("home-01", OWN.public, answer)
    for bad in LOW_ORDER:
        with pytest.raises(InvalidRequest):
            possession.ask("home-01", bad)


def test_tags_are_of_parties():
    assert party_tag(HOME) != party_tag(OTHER)
