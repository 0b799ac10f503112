"""What the members decide: counted by the rules of the ledger, in force from the next block, the same on every node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.crypto.hashing import sha256
from consortium.errors import Malformed, Tampering
from consortium.ledger.governance import effects
from consortium.ledger.governance.changes import changes
from consortium.ledger.governance.constitution import constitution, founded
from consortium.ledger.governance.rules import Rule
from consortium.ledger.governance.settings import LedgerSettings
from consortium.ledger.governance.terms import (
    AdmitMember,
    ChangePolicies,
    ChangeRules,
    ChangeSettings,
    ConfirmGrant,
    EndGrant,
    Erase,
    Keys,
    LegalHold,
    OpenGrant,
    ReleaseEscrow,
    ReleaseHold,
    RemoveMember,
    RevokeKeys,
    RotateKeys,
    Terms,
    terms_of,
)
from consortium.model.members import Genesis, MemberKeys
from consortium.model.public import Acknowledgement, Ballot, Body, EscrowKey, EscrowShare, Proposal, Tombstone
from consortium.model.records import parse_header
from consortium.model.scope import Scope
from consortium.model.verdicts import BatchRefusal, RecordRefusal
from tests.builders import T0, Chain, make_batch, make_genesis, make_member, make_public, make_record, noise, sign_batch
from tests.builders import make_head as head_of

LATER = T0 + 30 * 86_400_000
SCOPE = Scope(types=("trade",), areas=("east",), from_ms=T0, to_ms=T0 + 3_600_000, groups=("physical", "terms"))


def network() -> Genesis:
    """Three participants and a regulator."""
    members = tuple(make_member(name) for name in ("alpha", "bravo", "charlie"))
    return Genesis("testnet", "main", 1, "consortium.example/x", (*members, make_member("regulator", ("compliance",))))


def keys_of(name: str) -> Keys:
    return Keys.of(make_member(name).keys)


class Net:
    """A ledger on which members propose and vote."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.chain = Chain(genesis or network())
        self._label = 0
        for member in self.chain.genesis.members:
            self.chain.add(member.name)  # from here on the ledger has a time

    @property
    def now(self):
        return self.chain.state.governance

    def write(self, author: str, *bodies: Body) -> list[str]:
        """One batch; what became of each record."""
        records = []
        for body in bodies:
            self._label += 1
            records.append(make_public(author, self._label, body))
        self.ids = [record.header.id for record in records]
        step = self.chain.add(author, records)
        bad = {r.verdict.item: r.verdict.reason for r in step.rejected}
        return [bad.get(item, "accepted") for item in range(len(bodies))]

    def propose(self, author: str, terms: Terms, expires_ms: int = LATER) -> bytes:
        assert self.write(author, proposal(terms, expires_ms)) == ["accepted"]
        return self.ids[0]

    def decide(self, author: str, terms: Terms, *voters: str) -> bytes:
        id = self.propose(author, terms)
        for voter in voters:
            assert self.write(voter, Ballot(proposal=id, yes=True)) == ["accepted"]
        return id


def proposal(terms: Terms, expires_ms: int = LATER) -> Proposal:
    return Proposal(kind=terms.KIND, terms=terms.model_dump(), expires_ms=expires_ms)


@pytest.fixture
def net() -> Net:
    return Net()


def grant_for(officer: str = "olga@regulator", **more) -> OpenGrant:
    given = {"until_ms": LATER, "purpose": "REMIT", "basis": "Art. 8", "key": noise("grant"), "scope": SCOPE}
    return OpenGrant(officer=officer, **{**given, **more})


# --- counting -------------------------------------------------------------------------------------------------


def test_a_majority_of_the_participants_admits_a_member_from_the_next_block_on(net):
    terms = AdmitMember(name="windfarm", roles=("utility",), keys=keys_of("windfarm"))
    id = net.propose("alpha", terms)
    net.write("alpha", Ballot(proposal=id, yes=True))
    assert net.now.member("windfarm") is None
    net.write("bravo", Ballot(proposal=id, yes=True))
    assert net.now.proposals[id].outcome == "passed"
    standing = net.now.standings["windfarm"]
    assert standing.admitted == net.chain.state.height + 1
    step = net.chain.add("windfarm", [make_record("windfarm", 1)])
    assert not step.block.refusal
    assert len(step.accepted) == 1


def test_before_it_is_admitted_a_members_batch_is_refused_and_counts_for_nothing(net):
    step = net.chain.add("windfarm", [make_record("windfarm", 1)])
    assert step.block.refusal == BatchRefusal.UNKNOWN_MEMBER
    net.decide("alpha", AdmitMember(name="windfarm", roles=(), keys=keys_of("windfarm")), "alpha", "bravo")
    assert net.chain.state.next_sequence("windfarm") == 0


def test_who_may_vote_and_how_often(net):
    id = net.propose("alpha", ChangeSettings(settings=LedgerSettings(disclosure_s=60)))
    assert net.write("regulator", Ballot(proposal=id, yes=True)) == [RecordRefusal.NOT_ENTITLED]
    assert net.write("alpha", Ballot(proposal=id, yes=True), Ballot(proposal=id, yes=True)) == [
        "accepted",
        RecordRefusal.ALREADY_DONE,
    ]
    assert net.write("alpha", Ballot(proposal=id, yes=False)) == [RecordRefusal.ALREADY_DONE]
    assert net.write("bravo", Ballot(proposal=noise("none", size=16), yes=True)) == [RecordRefusal.NO_SUCH_SUBJECT]
    assert net.write("bravo", Ballot(proposal=id, yes=True)) == ["accepted"]
    assert net.write("charlie", Ballot(proposal=id, yes=True)) == [RecordRefusal.NOT_OPEN]
    assert net.now.settings.disclosure_s == 60


def test_a_proposal_fails_once_it_cannot_pass_any_more(net):
    id = net.propose("alpha", ChangeSettings(settings=LedgerSettings(disclosure_s=60)))
    net.write("bravo", Ballot(proposal=id, yes=False))
    assert net.now.proposals[id].outcome == "open"
    net.write("charlie", Ballot(proposal=id, yes=False))
    assert net.now.proposals[id].outcome == "failed"
    assert net.now.settings == LedgerSettings()


def test_after_its_end_nobody_votes(net):
    id = net.propose("alpha", RemoveMember(name="charlie"), expires_ms=T0 + 5_000)
    for member in ("alpha", "bravo", "charlie", "regulator"):
        net.chain.add(member)
    assert net.now.proposals[id].state_at(net.chain.state.time_ms) == "expired"
    assert net.write("alpha", Ballot(proposal=id, yes=True)) == [RecordRefusal.NOT_OPEN]


def test_of_its_removal_a_member_does_not_vote(net):
    id = net.propose("alpha", RemoveMember(name="charlie"))
    assert net.write("charlie", Ballot(proposal=id, yes=False)) == [RecordRefusal.NOT_ENTITLED]
    net.write("alpha", Ballot(proposal=id, yes=True))
    net.write("bravo", Ballot(proposal=id, yes=True))
    assert net.now.member("charlie") is None


def test_rules_change_by_the_rules(net):
    unanimous = ChangeRules(rules={"change-settings": Rule(needed="all")})
    net.decide("alpha", unanimous, "alpha", "bravo")
    id = net.decide("alpha", ChangeSettings(settings=LedgerSettings(disclosure_s=60)), "alpha", "bravo")
    assert net.now.proposals[id].outcome == "open"
    net.write("charlie", Ballot(proposal=id, yes=True))
    assert net.now.proposals[id].outcome == "passed"


def test_a_ballot_of_a_member_that_was_removed_since_counts_no_more(net):
    id = net.propose("alpha", ChangeSettings(settings=LedgerSettings(disclosure_s=60)))
    net.write("charlie", Ballot(proposal=id, yes=True))
    net.decide("alpha", RemoveMember(name="charlie"), "alpha", "bravo")
    net.write("alpha", Ballot(proposal=id, yes=True))
    assert net.now.proposals[id].outcome == "open"
    net.write("bravo", Ballot(proposal=id, yes=True))
    assert net.now.proposals[id].outcome == "passed"


# --- members and keys -----------------------------------------------------------------------------------------


def test_a_removed_member_appends_no_more_and_halts_nobody(net):
    net.decide("alpha", RemoveMember(name="charlie"), "alpha", "bravo")
    for number in (net.chain.state.next_sequence("charlie"), 90, 3):
        data = make_batch(net.chain.genesis, "charlie", number, net.chain.now_ms, [make_record("charlie", number)])
        assert net.chain.add_raw("charlie", data, sequence=number).block.refusal == BatchRefusal.UNKNOWN_MEMBER
    assert net.chain.add("alpha", [make_record("alpha", "on")]).accepted
    assert {m.name for m in net.now.members} == {"alpha", "bravo", "regulator"}


def test_who_comes_back_goes_on_with_its_numbers_under_new_keys(net):
    net.chain.add("charlie")
    net.decide("alpha", RemoveMember(name="charlie"), "alpha", "bravo")
    again = AdmitMember(name="charlie", roles=(), keys=Keys.of(fresh("charlie", 2)))
    net.decide("alpha", again, "alpha", "bravo")
    assert net.chain.state.next_sequence("charlie") == 2
    assert len(net.now.encryption_keys("charlie")) == 2
    with pytest.raises(Tampering):
        net.chain.add_raw("charlie", b"", sequence=5)


def fresh(name: str, generation: int) -> MemberKeys:
    """A member's keys of a later generation: those that the builders would give to another name."""
    return make_member(f"{name}-{generation}").keys


def test_a_member_rotates_its_own_keys_alone_and_the_old_sign_nothing_more(net):
    new = Keys.of(fresh("bravo", 2))
    assert net.write("alpha", proposal(RotateKeys(name="bravo", keys=new))) == [RecordRefusal.NOT_ENTITLED]
    assert net.write("bravo", proposal(RotateKeys(name="bravo", keys=new))) == ["accepted"]
    old = net.chain.add("bravo", [make_record("bravo", "old")])
    assert old.block.refusal == BatchRefusal.BAD_SIGNATURE
    state, records = net.chain.state, [make_record("bravo", "new")]
    head = head_of(net.chain.genesis, "bravo", state.next_sequence("bravo"), net.chain.now_ms, records)
    step = net.chain.add_raw("bravo", sign_batch(head, records, signer="bravo-2"))
    assert not step.block.refusal
    assert step.accepted


def test_a_stolen_key_is_revoked_by_the_others_and_no_key_comes_back(net):
    new = Keys.of(fresh("bravo", 2))
    id = net.propose("alpha", RevokeKeys(name="bravo", keys=new))
    assert net.write("bravo", Ballot(proposal=id, yes=False)) == [RecordRefusal.NOT_ENTITLED]
    net.write("alpha", Ballot(proposal=id, yes=True))
    net.write("charlie", Ballot(proposal=id, yes=True))
    assert net.chain.add("bravo").block.refusal == BatchRefusal.BAD_SIGNATURE
    back = RevokeKeys(name="bravo", keys=keys_of("bravo"))
    assert net.write("alpha", proposal(back)) == [RecordRefusal.CONFLICT]
    taken = RevokeKeys(name="bravo", keys=keys_of("charlie"))
    assert net.write("alpha", proposal(taken)) == [RecordRefusal.CONFLICT]


def test_keys_at_a_height(net):
    standing = net.now.standings["bravo"]
    net.write("bravo", proposal(RotateKeys(name="bravo", keys=Keys.of(fresh("bravo", 2)))))
    after = net.now.standings["bravo"]
    height = net.chain.state.height
    assert after.keys_at(height) == standing.keys
    assert after.keys_at(height + 1) == fresh("bravo", 2)


# --- grants, holds, erasures, escrow --------------------------------------------------------------------------


def test_a_grant_is_asked_for_by_the_officers_member_and_opened_by_the_participants(net):
    for stranger in ("alpha", "bravo"):
        assert net.write(stranger, proposal(grant_for())) == [RecordRefusal.NOT_ENTITLED]
    assert net.write("regulator", proposal(grant_for("eve@alpha"))) == [RecordRefusal.NOT_ENTITLED]
    id = net.decide("regulator", grant_for(), "alpha", "bravo")
    grant, height = net.now.grants[id], net.chain.state.height
    assert not grant.in_force(height, T0)
    assert grant.in_force(height + 1, T0)
    assert not grant.in_force(height + 1, LATER)
    net.decide("alpha", EndGrant(grant=id), "alpha", "charlie")
    ended = net.now.grants[id]
    assert ended.in_force(net.chain.state.height, T0)
    assert not ended.in_force(net.chain.state.height + 1, T0)
    assert net.write("alpha", proposal(EndGrant(grant=id))) == [RecordRefusal.NO_SUCH_SUBJECT]


def test_in_an_emergency_one_member_is_enough_for_three_days_unless_it_is_confirmed(net):
    id = net.decide("regulator", grant_for(emergency=True), "alpha")
    short = net.now.grants[id].until_ms
    assert short < LATER
    assert short <= net.chain.state.time_ms + 3 * 86_400_000
    net.decide("bravo", ConfirmGrant(grant=id), "alpha", "bravo")
    assert net.now.grants[id].until_ms == LATER
    assert net.now.grants[id].confirmed


def test_a_tombstone_binds_for_what_its_author_wrote_and_a_courts_order_for_all(net):
    record = noise("record", size=16)
    assert net.write("alpha", Tombstone(records=(record,), ground="user")) == ["accepted"]
    stone = net.ids[0]
    assert net.now.erased_by(record, "alpha").id == stone
    assert net.now.erased_by(record, "bravo") is None
    assert net.write("alpha", Tombstone(records=(record, record), ground="user")) == [RecordRefusal.MALFORMED_BODY]
    court = net.decide("alpha", Erase(records=(record,), reference="C-1/17"), "alpha", "bravo")
    assert net.now.erased_by(record, "bravo").id == court
    assert net.write("charlie", Acknowledgement(tombstone=stone, state="held-back", reason="hold")) == ["accepted"]
    assert net.now.erasures[stone].held_back == {"charlie": "hold"}
    done = Acknowledgement(tombstone=stone, state="done")
    assert net.write("charlie", done, done) == ["accepted", RecordRefusal.ALREADY_DONE]
    assert net.now.erasures[stone].acknowledged == {"charlie"}
    assert not net.now.erasures[stone].held_back


def test_holds_and_releases(net):
    hold = net.decide("alpha", LegalHold(scope=SCOPE, reference="case 7"), "alpha", "bravo")
    assert net.now.holds[hold].released is None
    net.decide("alpha", ReleaseHold(hold=hold), "alpha", "bravo")
    assert net.now.holds[hold].released is not None
    release = net.decide("alpha", ReleaseEscrow(area="east", period="2017-06", purpose="x"), "bravo", "charlie")
    assert net.now.releases[release].area == "east"


def test_an_escrow_key_is_shared_among_the_participants_once(net):
    shares = tuple(
        EscrowShare(member=m, box=noise(f"box {m}") + bytes(33), digest=bytes(32))
        for m in ("alpha", "bravo", "charlie")
    )
    key = EscrowKey(area="east", period="2017-06", public=noise("escrow"), needed=2, shares=shares)
    assert net.write("regulator", key) == [RecordRefusal.NOT_ENTITLED]
    assert net.write("alpha", key, key) == ["accepted", RecordRefusal.ALREADY_DONE]
    for wrong in (replace_field(key, shares=shares[:2]), replace_field(key, needed=3)):
        assert net.write("bravo", wrong) == [RecordRefusal.CONFLICT]
    assert net.write("bravo", replace_field(key, public=bytes(32))) == [RecordRefusal.MALFORMED_BODY]


@pytest.mark.parametrize("public", [bytes(32), b"\1" + bytes(31)])
def test_an_encryption_key_that_nobody_can_share_a_key_with_is_refused(net, public):
    """Every node makes the pair's key at the member's next batch: it would stop them all, for good."""
    keys = replace_field(keys_of("new alpha"), encryption=public)
    for terms in (
        RotateKeys(name="alpha", keys=keys),
        RevokeKeys(name="bravo", keys=keys),
        AdmitMember(name="delta", roles=(), keys=keys),
    ):
        body = Proposal(kind=terms.KIND, terms=terms.model_dump(), expires_ms=LATER)
        assert net.write("alpha", body) == [RecordRefusal.MALFORMED_BODY]


@pytest.mark.parametrize("name", ["none", "members"])
def test_a_member_called_like_a_word_of_trust_files_is_refused(net, name):
    """No node could write its trust file any more."""
    terms = AdmitMember(name=name, roles=(), keys=keys_of("new"))
    body = Proposal(kind=terms.KIND, terms=terms.model_dump(), expires_ms=LATER)
    assert net.write("alpha", body) == [RecordRefusal.MALFORMED_BODY]


@pytest.mark.parametrize("period", ["0000-01", "1969-12", "9999-12", "2017-13"])
def test_a_month_of_no_calendar_is_refused(net, period):
    """Every node computes where it begins and ends."""
    body = Proposal(kind="release-escrow", terms={"area": "east", "period": period, "purpose": "x"}, expires_ms=LATER)
    assert net.write("alpha", body) == [RecordRefusal.MALFORMED_BODY]


def test_a_member_cannot_change_its_keys_without_end_but_can_be_robbed_of_them(net, monkeypatch):
    monkeypatch.setattr(effects, "MAX_KEY_PERIODS", 2)
    two = (proposal(RotateKeys(name="bravo", keys=Keys.of(fresh("bravo", number)))) for number in (2, 3))
    assert net.write("bravo", *two) == ["accepted", RecordRefusal.CONFLICT]
    net.decide("alpha", RevokeKeys(name="bravo", keys=Keys.of(fresh("bravo", 4))), "alpha", "charlie")
    assert net.now.member("bravo").keys == fresh("bravo", 4)


def test_an_officer_whose_name_is_none_is_refused(net):
    """It is parsed by every node that applies it."""
    terms = OpenGrant(officer="9a@regulator", key=noise("key"), scope=SCOPE, purpose="x", basis="y", until_ms=LATER)
    body = Proposal(kind=terms.KIND, terms=terms.model_dump(), expires_ms=LATER)
    assert net.write("regulator", body) == [RecordRefusal.MALFORMED_BODY]


def replace_field(body, **more):
    return type(body)(**{**{name: getattr(body, name) for name in type(body).model_fields}, **more})


def test_policies_by_digest_with_their_text(net):
    net.decide("alpha", ChangePolicies(policy_schema="entity User;", texts={"a.cedar": "//"}), "alpha", "bravo")
    policy = net.now.policy
    assert policy.digest
    assert policy.texts == {"a.cedar": "//"}
    assert policy.since == net.chain.state.height + 1


# --- what is refused ------------------------------------------------------------------------------------------


def test_bodies_that_are_none(net):
    good = make_public("alpha", "x", proposal(RemoveMember(name="bravo")))
    for body in (b"\x00", b"\xa1", proposal(RemoveMember(name="bravo")).encoded() + b"\x00"):
        header = replace(good.header, body=body)
        step = net.chain.add("alpha", [replace(good, header=header, header_bytes=header.encoded())])
        assert [r.verdict.reason for r in step.rejected] == [RecordRefusal.MALFORMED_BODY]
    unknown = Proposal(kind="declare-war", terms={}, expires_ms=LATER)
    wrong = Proposal(kind="remove-member", terms={"name": "bravo", "more": 1}, expires_ms=LATER)
    assert net.write("alpha", unknown, wrong) == [RecordRefusal.MALFORMED_BODY] * 2


@pytest.mark.parametrize("change", [{"body": b""}, {"body": None}, {"hints": bytes(32)}, {"wraps_digest": bytes(32)}])
def test_a_public_header_has_a_body_and_nothing_sealed(change):
    good = make_public("alpha", "x", proposal(RemoveMember(name="bravo"))).header
    assert parse_header(good.encoded()) == good
    with pytest.raises(Malformed):
        parse_header(replace(good, **change).encoded())
    with pytest.raises(Malformed):
        parse_header(replace(good, kind="sealed").encoded())


def test_terms_are_checked_beyond_their_form():
    admit = AdmitMember(name="windfarm", roles=("utility", "king"), keys=keys_of("windfarm"))
    with pytest.raises(Malformed):
        terms_of(proposal(admit))
    with pytest.raises(Malformed):
        terms_of(proposal(ChangeRules(rules={"rotate-keys": Rule()})))


def test_the_constitution_is_the_genesis(net):
    digest = sha256(b"policies")
    more = constitution(
        digest, rules={"remove-member": {"voters": "members", "needed": 4}}, settings={"name_staff": True}
    )
    genesis = replace(network(), constitution=more)
    again = Genesis.from_json(genesis.to_json())
    assert again == genesis
    assert again.digest() != network().digest()
    now = founded(again)
    assert now.policy.digest == digest
    assert now.settings.name_staff
    assert now.rules["remove-member"].threshold(4) == 4
    assert now.rules["admit-member"] == founded(network()).rules["admit-member"]
    with pytest.raises(Malformed):
        constitution(digest, rules={"rotate-keys": {}})


# --- what a vote would change ---------------------------------------------------------------------------------


def test_what_would_change_is_shown_before_the_vote(net):
    id = net.propose("alpha", RemoveMember(name="charlie"))
    state = net.now.proposals[id]
    lines = changes(net.now, state, net.chain.state.height, net.chain.state.time_ms)
    assert "member charlie: removed" in lines
    assert "quorum of cosignatures: 3 -> 2" in lines
    two = net.propose("bravo", RemoveMember(name="charlie"))
    net.write("alpha", Ballot(proposal=id, yes=True))
    net.write("bravo", Ballot(proposal=id, yes=True))
    lines = changes(net.now, net.now.proposals[two], net.chain.state.height, net.chain.state.time_ms)
    assert lines[0].startswith("nothing")


def test_the_whole_is_the_same_when_it_is_read_again(net):
    """As a node does at its start, from the public records alone."""
    from consortium.ledger.governance.step import step

    net.decide("regulator", grant_for(), "alpha", "bravo")
    net.decide("alpha", RemoveMember(name="charlie"), "alpha", "bravo")
    again = founded(net.chain.genesis)
    for one in net.chain.steps:
        for accepted in one.accepted:
            again = step(again, parse_header(accepted.header_bytes), one.block.height, one.block.time_ms)
    assert again == net.now


def test_make_genesis_is_of_version_one():
    assert make_genesis(3).as_dict()["version"] == 1
