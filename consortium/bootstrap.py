"""Puts a node together from its settings. The only module below the tools that names concrete adapters."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from consortium.adapters.clock import ShiftedClock, SystemClock
from consortium.adapters.etcd.log import EtcdLog
from consortium.adapters.etcd.settings import EtcdSettings
from consortium.adapters.keyvault import KeyVault
from consortium.adapters.peers import HttpPeers, addresses, mutual_tls
from consortium.adapters.policyfiles import load_policies, read_policy_texts
from consortium.adapters.postgres.accesses import PostgresAccesses
from consortium.adapters.postgres.accounts import PostgresAccounts
from consortium.adapters.postgres.disclosures import PostgresDisclosures
from consortium.adapters.postgres.erasure import PostgresErasure
from consortium.adapters.postgres.keys import PostgresKeys
from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.migrate import check, upgrade
from consortium.adapters.postgres.party import PostgresParty
from consortium.adapters.postgres.pool import Database
from consortium.adapters.postgres.roles import DatabaseUrls
from consortium.adapters.postgres.sessions import PostgresInvitations, PostgresSecondFactors, PostgresSessions
from consortium.adapters.postgres.witness import PostgresWitness
from consortium.adapters.tlsfiles import TlsFiles
from consortium.adapters.tokens import secondfactor
from consortium.adapters.tokens.desk import Desk, DeskSettings, front_desk
from consortium.adapters.tokens.oidc import OidcSettings, OidcTokens
from consortium.adapters.tokens.peers import PeerTokens
from consortium.adapters.unlock import MountedSecret, Passphrase, Unlock
from consortium.agents.belonging import Belonging
from consortium.agents.catchup import CatchUp, PayloadFetcher
from consortium.agents.cosign import Cosigner
from consortium.agents.disclose import Discloser
from consortium.agents.erase import Eraser
from consortium.agents.erasure_requests import Requests
from consortium.agents.escrow import EscrowAgent
from consortium.agents.index import Indexer
from consortium.agents.keywatch import KeyWatch
from consortium.agents.market.oblivion import Oblivion
from consortium.agents.market.runner import MarketAgents
from consortium.agents.overdue import OverdueWatch
from consortium.agents.ownkeys import OwnKeyKeeper, Possession
from consortium.agents.receive import Receiver
from consortium.agents.rekey import Rekeyer, RekeySettings
from consortium.agents.selfcheck import SelfCheck
from consortium.agents.tell import Telling
from consortium.agents.trim import Trimmer
from consortium.agents.unseal import Unsealer
from consortium.config import Settings
from consortium.energy.concerned import Concerned
from consortium.energy.delegations import Delegations
from consortium.energy.own_keys import OwnKeys
from consortium.energy.view.places import ViewPlaces
from consortium.energy.view.view import View
from consortium.errors import ConfigurationError
from consortium.ledger.governance.addresses import peer_urls
from consortium.ledger.governance.state import Governance
from consortium.ledger.state import LedgerState
from consortium.metrics import Metrics
from consortium.model.members import Genesis
from consortium.node import Node, Parts
from consortium.pipeline import claims, rewraps, telling
from consortium.pipeline.access import Access
from consortium.pipeline.accesses import Accesses
from consortium.pipeline.accesslog import AccessLog
from consortium.pipeline.apply import Applier
from consortium.pipeline.chains import Chains
from consortium.pipeline.claims import Vault
from consortium.pipeline.delegating import Delegating, LiveDelegations
from consortium.pipeline.disclosed import Disclosed
from consortium.pipeline.erase import Erasing, Judge
from consortium.pipeline.escrowing import Escrowing
from consortium.pipeline.explaining import Explainer
from consortium.pipeline.govern import Governor
from consortium.pipeline.grants import Grants
from consortium.pipeline.keyring import LiveMembership, hint_keys
from consortium.pipeline.markets import MarketReader
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import Orderer
from consortium.pipeline.personal import Personal
from consortium.pipeline.portfolio import Portfolio
from consortium.pipeline.prove import Prover
from consortium.pipeline.read import Reader
from consortium.pipeline.ruling import Ruling, engine_in_force, nothing_permitted
from consortium.pipeline.seal import Sealer
from consortium.pipeline.showing import Showing
from consortium.pipeline.standing import standing
from consortium.pipeline.submit import Submitter
from consortium.pipeline.telling import Teller
from consortium.pipeline.write import Wait, Writer
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.web.services import Services

_REKEY_S = 30.0
_AT_REST: Mapping[str, Callable[..., bytes]] = {
    "rewrap": rewraps.context,
    "factor": secondfactor.context,
    "read": lambda _: telling.READ_CONTEXT,
    "access": lambda _: telling.RECORD_CONTEXT,
    "grant-key": claims.key_context,
    "disclosed": lambda grant, _, __, record: claims.claim_context(grant, record),
}
"""What each place of `RekeyStore` has its boxes bound to, by the key of the row."""
_RELEASE_S = 5.0
_OVERDUE_S = 30.0
"""So long an officer waits for their read to stand on the ledger; then nothing is shown."""


@dataclass(frozen=True, slots=True)
class Stores:
    """A member's database, by what it is used for."""

    database: Database
    ledger: PostgresLedger
    party: PostgresParty
    witness: PostgresWitness
    accounts: PostgresAccounts
    sessions: PostgresSessions
    factors: PostgresSecondFactors
    invitations: PostgresInvitations
    accesses: PostgresAccesses
    erasure: PostgresErasure
    disclosures: PostgresDisclosures
    keys: PostgresKeys

    async def ping(self) -> None:
        """Whether Postgres answers. Raises `StoreUnavailable`."""
        async with self.database.reader() as conn:  # not the applier's pool: anybody may ask
            await conn.execute("SELECT 1")


def read_genesis(path: Path) -> Genesis:
    """The genesis file. Raises `ConfigurationError`, `Malformed`."""
    try:
        return Genesis.from_json(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the genesis {path}: {error.strerror}") from error


def read_file(path: Path) -> bytes:
    """A settings' file. Raises `ConfigurationError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error


def unlock_of(settings: Settings) -> Unlock:
    """What unseals the key file."""
    if settings.key_secret_file is not None:
        return MountedSecret.read(settings.key_secret_file)
    if settings.key_passphrase is None:
        raise ConfigurationError("neither key_secret_file nor key_passphrase is set")
    return Passphrase(settings.key_passphrase.get_secret_value())


def database_urls(settings: Settings) -> DatabaseUrls:
    """The database of the settings, by role."""
    owner = settings.database_owner_url
    return DatabaseUrls(
        settings.database_url.get_secret_value(),
        settings.database_reader_url.get_secret_value(),
        owner.get_secret_value() if owner else "",
    )


def prepare_database(urls: DatabaseUrls) -> None:
    """Migrate the database if the owner's URL is known, else see that it is migrated. Raises `ConfigurationError`."""
    if urls.owner:
        upgrade(urls.owner, urls.roles)
    else:
        check(urls.node)


@asynccontextmanager
async def open_stores(url: str, reader_url: str = "") -> AsyncIterator[Stores]:
    """The stores of a database that is migrated to this version.

    Without `reader_url` for tools: then nothing can be answered to callers (`Database.open`).
    """
    database = await Database.open(url, reader_url=reader_url)
    try:
        yield Stores(
            database,
            PostgresLedger(database),
            PostgresParty(database),
            PostgresWitness(database),
            PostgresAccounts(database),
            PostgresSessions(database),
            PostgresSecondFactors(database),
            PostgresInvitations(database),
            PostgresAccesses(database),
            PostgresErasure(database),
            PostgresDisclosures(database),
            PostgresKeys(database),
        )
    finally:
        await database.close()


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Services]:
    """A node that is ready to run, with all that its routes need. Raises the family of `OperatorError`."""
    genesis = read_genesis(settings.genesis)
    custody, vault = KeyVault.open(settings.key_file, unlock_of(settings))
    folder = load_policies(settings.policies)
    urls = database_urls(settings)
    prepare_database(urls)
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(urls.node, urls.reader))
        state = await stores.ledger.load(genesis)
        log = EtcdLog(etcd_settings(settings, genesis, state.governance.epoch))
        stack.push_async_callback(log.close)
        tls_files = TlsFiles()
        cert, key = settings.cert_file, settings.cert_key_file
        tls_files.add(cert, key, lambda: log.renew(read_file(cert), read_file(key)))
        clock: Clock = SystemClock()
        market_clock = ShiftedClock(settings.clock_file) if settings.clock_file else clock
        membership = LiveMembership(state.governance)
        _require_own_keys(state.governance, settings.member, custody)
        peer_tokens = PeerTokens(custody, clock, genesis=membership, member=settings.member)
        tls = mutual_tls(settings.ca_file, cert, key)
        tls_files.context(tls, cert, key)
        peers = HttpPeers(_peer_urls(settings, state), peer_tokens, tls)
        stack.push_async_callback(peers.close)
        oidc = await _oidc(settings, clock, stack)
        access = Access(engine_in_force(state.governance, folder), settings.member)
        access.height = state.governance.policy.since
        workshop = _Workshop(
            settings, genesis, custody, stores, log, clock, market_clock, peers, access, state, membership, vault
        )
        workshop.tls_files = tls_files
        yield workshop.services(peer_tokens, oidc)


class _Workshop:
    """Puts the parts of a node together, in the order in which they need each other."""

    def __init__(
        self,
        settings: Settings,
        genesis: Genesis,
        custody: KeyCustody,
        stores: Stores,
        log: EtcdLog,
        clock: Clock,
        market_clock: Clock,
        peers: HttpPeers,
        access: Access,
        state: LedgerState,
        membership: LiveMembership,
        vault: KeyVault,
    ) -> None:
        self.vault, self.tls_files = vault, TlsFiles()
        self.settings, self.genesis, self.custody, self.stores = settings, genesis, custody, stores
        self.log, self.clock, self.peers, self.access = log, clock, peers, access
        self.market_clock, self.membership = market_clock, membership
        self.member = settings.member
        self.node = Node(self.member, Metrics(), stores.ping, settings.monitor_interval_s)
        self.opener = Opener(membership, custody)
        self.orderer = Orderer(
            membership, self.member, log, stores.ledger, custody, market_clock, heartbeat_s=settings.heartbeat_s
        )
        self.hint_keys = hint_keys(membership, custody)
        self.applier = Applier(stores.ledger, state, self.hint_keys, self._witnessed_size)
        self.prover = Prover(stores.ledger, stores.witness, lambda: self.cosigner.trust, lambda: self.applier.state)
        self.cosigner = Cosigner(
            membership,
            self.member,
            custody,
            stores.witness,
            self.prover,
            self.applier,
            peers,
            clock,
            interval_s=settings.cosign_interval_s,
            alarm=self.node.alarm,
        )
        self.own_key_directory = OwnKeys()
        known = View(membership, self.member)
        self.escrowing = Escrowing(
            lambda: self.applier.state.governance, ViewPlaces(known), self.node.metrics.without_escrow.inc
        )
        self.sealer = Sealer(membership, custody, os.urandom, self.own_key_directory, self.escrowing)
        self.writer = Writer(
            self.member,
            self.sealer,
            self.orderer,
            self.opener,
            stores.ledger,
            stores.party,
            self.cosigner.until_witnessed,
            self.node.halted,
        )
        self.market = MarketAgents(
            known,
            stores.party,
            self.opener,
            self.writer,
            custody,
            market_clock,
            lambda: self.applier.state.time_ms,
            partial(self.node.raise_alarm, "market"),
        )
        self.own_keys = OwnKeyKeeper(
            self.member,
            membership,
            stores.accounts,
            stores.party,
            self.opener,
            self.writer,
            custody,
            clock,
            self.own_key_directory,
            self.sealer.forget,
        )
        membership.listen(self.own_keys.membership_changed)
        self.delegations = LiveDelegations(self._known_delegations, lambda: self.applier.state.time_ms)
        self.access.know(
            standing=partial(standing, self.market.view),
            now_ms=lambda: self.applier.state.time_ms,
            delegations=self.delegations,
        )
        self.teller = self._teller()
        self.releases = AccessLog(
            self.teller,
            self.delegations,
            lambda: self.applier.state.governance.settings.name_staff,
            market_clock,
            _RELEASE_S,
        )
        self.key_watch = KeyWatch(
            self.member,
            custody,
            vault,
            lambda: self.applier.state.governance,
            alarm=partial(self.node.raise_alarm, "keys"),
            calm=partial(self.node.end_alarm, "keys"),
        )
        self.key_watch.follow()
        membership.listen(self.key_watch.follow)  # first: what follows from a membership is signed and sealed
        self.belonging = Belonging(membership, self.member, lambda: self.key_watch.refusal)
        self.rekeyer = self._rekeyer()
        self.grant_vault = Vault(custody)
        self.discloser = self._discloser()
        self.oblivion = Oblivion(self.member, custody, lambda: self.applier.state)
        self.market.remember(self.oblivion)
        self.writer.erased = lambda record: self.applier.state.governance.erased_by(record, self.member) is not None
        self.forgetters: list[Callable[[], None]] = [self.market.forget]
        self.erasing = self._erasing()
        self.node.attach(self._parts())
        self.governor = Governor(self.member, access, self.writer, market_clock, lambda: self.applier.state, os.urandom)
        self.grants = self._grants()
        self.ruling = Ruling(
            access,
            nothing_permitted(read_policy_texts(settings.policies)[0]),
            lambda: self.governor.now,
            partial(self.node.raise_alarm, "policies"),
        )
        view = self.market.view
        for listener in (self.ruling.refresh, self.sealer.forget, self.cosigner.refresh, view.membership_changed):
            membership.listen(listener)
        membership.listen(self.belonging.changed)
        membership.listen(lambda: self.peers.move(_peer_urls(self.settings, self.applier.state)))
        self.applier.listen(lambda step, _: membership.update(step.state.governance))

    async def _witnessed_size(self, wanted: int) -> int:
        """The applier asks the cosigner what is witnessed, and the cosigner the applier what is applied."""
        return await self.cosigner.witnessed_size(wanted)

    def _parts(self) -> Parts:
        catch_up = CatchUp(self.peers, self.cosigner, self.stores.ledger, self.node.report)
        catch_up.attach(self.applier)
        return Parts(
            log=self.log,
            applier=self.applier,
            indexer=Indexer(self.member, self.opener, self.stores.party, self.orderer, self.node.fault),
            orderer=self.orderer,
            cosigner=self.cosigner,
            catch_up=catch_up,
            fetcher=self._fetcher(),
            trimmer=self._trimmer(),
            self_check=SelfCheck(
                self.genesis,
                self.stores.ledger,
                self.stores.witness,
                self.node.alarm,
                interval_s=self.settings.check_interval_s,
            ),
            witness=self.stores.witness,
            peers=self.peers,
            access=self.access,
            market=self.market if self.settings.market else None,
            belonging=self.belonging,
            rekeyer=self.rekeyer,
            own_keys=self.own_keys,
            telling=self._telling(),
            eraser=self._eraser(),
            discloser=self.discloser,
            receiver=self._receiver(),
            escrow=self._escrow(),
            overdue=OverdueWatch(
                self.member,
                lambda: self.grants.overdue(),  # noqa: PLW0108  made later
                lambda: self.discloser.overdue,
                self.node.disclosures_overdue,
                interval_s=_OVERDUE_S,
            ),
        )

    def _discloser(self) -> Discloser:
        market = self.market
        return Discloser(
            self.member,
            self.stores.party,
            self.stores.ledger,
            self.opener,
            self.writer,
            self.custody,
            self.market_clock,
            os.urandom,
            lambda: self.applier.state,
            ViewPlaces(market.view),
            (lambda: market.folded) if self.settings.market else (lambda: 1 << 62),
        )

    def _receiver(self) -> Receiver:
        return Receiver(
            self.member,
            self.stores.party,
            self.stores.disclosures,
            self.opener,
            self.grant_vault,
            self.peers,
            lambda: self.applier.state,
            self.node.disclosed_wrong,
            Unsealer(
                self.member,
                self.stores.party,
                self.stores.disclosures,
                self.opener,
                self.grant_vault,
                lambda: self.applier.state,
                self.node.disclosed_wrong,
            ),
        )

    def _escrow(self) -> EscrowAgent:
        return EscrowAgent(
            self.member,
            self.market.view,
            self.writer,
            self.stores.ledger,
            self.custody,
            self.market_clock,
            os.urandom,
            lambda: self.applier.state,
            self._dealt_wrong,
        )

    def _dealt_wrong(self, place: tuple[str, str, str]) -> None:
        self.escrowing.distrust(place)
        self.node.disclosed_wrong(place[2])

    def _grants(self) -> Grants:
        return Grants(
            self.access,
            self.governor,
            self.stores.disclosures,
            self.grant_vault,
            self.stores.party,
            self.opener,
            self.prover,
            lambda: self.applier.state,
            os.urandom,
        )

    def _erasing(self) -> Erasing:
        market = self.market
        judge = Judge(
            self.opener,
            lambda: self.applier.state,
            lambda: market.view if self.settings.market and market.level else None,
            ViewPlaces(market.view),
        )
        return Erasing(
            self.member,
            self.access,
            judge,
            self.opener,
            self.stores.party,
            self.writer,
            self.custody,
            self.market_clock,
            lambda: self.applier.state,
        )

    def _eraser(self) -> Eraser:
        state, market = (lambda: self.applier.state), self.market
        common = (self.stores.party, self.writer, self.custody, self.market_clock, state)
        return Eraser(
            self.member,
            self.erasing,
            self.oblivion,
            self.stores.erasure,
            self.stores.party,
            self.stores.ledger,
            self.opener,
            self.writer,
            self.custody,
            self.market_clock,
            state,
            Requests(self.member, self.erasing, self.opener, *common),
            halted=self.node.halted,
            level=lambda: market.level or not self.settings.market,
            forget=lambda _: self._forget(),
            observe=self.node.acknowledgements_overdue,
            interval_s=self.settings.erase_interval_s,
        )

    def _forget(self) -> None:
        """Something was erased: what was made of it in memory goes as well."""
        for forget in self.forgetters:
            forget()

    def _known_delegations(self) -> Delegations | None:
        """What the view has folded, once it has been level with the ledger: an end must not be missed."""
        return self.market.view.delegations if self.market.level else None

    def _teller(self) -> Teller:
        stores = self.stores
        chains = Chains(stores.accesses, self.custody, self.opener, stores.ledger, stores.party)
        halted = self.node.halted
        return Teller(
            self.member, stores.accesses, chains, self.custody, self.writer, self.opener, self.market_clock, halted
        )

    def _telling(self) -> Telling:
        return Telling(
            self.teller,
            self.stores.accesses,
            self.market_clock,
            interval_s=self.settings.access_interval_s,
            observe=self.node.metrics.accesses_waiting,
            alarm=partial(self.node.raise_alarm, "accesses"),
            calm=partial(self.node.end_alarm, "accesses"),
        )

    def _delegating(self) -> Delegating:
        return Delegating(
            self.member,
            self.access,
            self._known_delegations,
            lambda: self.applier.state.time_ms,
            self.writer,
            self.custody,
            self.market_clock,
            os.urandom,
        )

    def _rekeyer(self) -> Rekeyer:
        settings = self.settings
        return Rekeyer(
            self.member,
            self.custody,
            self.vault,
            self.key_watch,
            lambda: self.applier.state,
            self.stores.ledger,
            self.stores.keys,
            self.stores.witness.member_sizes,
            lambda proposal: self.governor.publish(proposal, None, Wait.APPLIED, _REKEY_S),
            _AT_REST,
            RekeySettings(settings.key_rotation_days, settings.key_grace_s, settings.trim_away_s),
            came_back=self.belonging.changed,
        )

    def _fetcher(self) -> PayloadFetcher:
        return PayloadFetcher(
            self.member,
            self.peers,
            self.stores.party,
            self.stores.ledger,
            self.opener,
            self.hint_keys,
            self.node.fault,
            interval_s=self.settings.fetch_interval_s,
        )

    def _trimmer(self) -> Trimmer:
        return Trimmer(
            self.member,
            self.log,
            self.stores.ledger,
            self.stores.witness,
            self.applier,
            lambda: self.cosigner.best_size,
            interval_s=self.settings.trim_interval_s,
            keep_batches=self.settings.trim_keep_batches,
            away_ms=self.settings.trim_away_s * 1000,
        )

    def _submitter(self) -> Submitter:
        return Submitter(
            self.member, self.access, self.stores.accounts, self.writer, self.market.view, self.market_clock, os.urandom
        )

    def _desk(self, peer_tokens: PeerTokens, oidc: list[OidcTokens]) -> Desk:
        settings = DeskSettings(
            self.genesis.network,
            self.member,
            origin_of(self.settings),
            self.settings.token_ttl_s,
            self.settings.session_ttl_s,
        )
        return front_desk(settings, self.custody, self.clock, self.stores, peer_tokens, oidc)

    def _explainer(self) -> Explainer:
        return Explainer(
            self.member,
            self.access,
            self.opener,
            self.stores.accounts,
            self.stores.ledger,
            self.stores.party,
            partial(standing, self.market.view),
            lambda: self.applier.state.time_ms,
        )

    def services(self, peer_tokens: PeerTokens, oidc: list[OidcTokens]) -> Services:
        """What the routes are given."""
        desk = self._desk(peer_tokens, oidc)
        self.key_watch.listen(lambda revoked: desk.tokens.switched(revoked=revoked))
        self.membership.listen(desk.verifier.forget)
        showing = Showing(self.releases, self.member, self.stores.accounts.users, Concerned(self.market.view).users)
        reader = Reader(self.access, self.opener, self.stores.ledger, self.stores.party, showing)
        market = MarketReader(self.member, self.access, self.market.view, self.opener, self.stores.party, showing)
        portfolio = Portfolio(self.access, self.opener, self.stores.party, showing)
        self.forgetters.append(portfolio.forget)
        return Services(
            member=self.member,
            genesis=self.genesis,
            membership=self.membership,
            hint_keys=self.hint_keys,
            node=self.node,
            access=self.access,
            submitter=self._submitter(),
            reader=reader,
            personal=Personal(self.access, portfolio, reader, market),
            market=market,
            accesses=Accesses(self.access, portfolio, self.stores.ledger),
            delegating=self._delegating(),
            explainer=self._explainer(),
            prover=self.prover,
            governor=self.governor,
            erasing=self.erasing,
            grants=self.grants,
            disclosed=Disclosed(
                self.access,
                self.releases,
                self.stores.disclosures,
                self.grant_vault,
                self.prover,
                lambda: self.applier.state,
            ),
            discloser=self.discloser,
            rekeyer=self.rekeyer,
            tls_files=self.tls_files,
            cosigner=self.cosigner,
            ledger=self.stores.ledger,
            party=self.stores.party,
            verifier=desk.verifier,
            logins=desk.logins,
            sessions=desk.sessions,
            factors=desk.factors,
            people=desk.people,
            own_keys=self.own_keys,
            possession=Possession(self.clock, os.urandom),
            jwks=desk.tokens.jwks,
        )


def origin_of(settings: Settings) -> str:
    """Where callers reach the API: what the settings say, or else address and port."""
    if settings.public_url:
        return settings.public_url
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{settings.port}"


def _peer_urls(settings: Settings, state: LedgerState) -> dict[str, str]:
    names = [member.name for member in state.governance.members]
    return addresses(settings.member, names, settings.peer_urls, peer_urls(state.governance))


def _require_own_keys(governance: Governance, name: str, custody: KeyCustody) -> None:
    """A file with none of the keys that the member ever had is somebody else's; one with replaced keys waits for the
    new ones (`KeyWatch`). Who is no member (not yet, or no more) may run a node that follows the ledger.
    """
    if governance.member(name) is None:
        return
    ever = {period.keys for period in governance.standings[name].periods}
    if ever.isdisjoint(custody.generations):
        raise ConfigurationError(
            f"the key file does not hold the keys that the ledger names for {name}",
            hint="check key_file and genesis: one of them belongs to another member or network",
        )


def etcd_settings(settings: Settings, genesis: Genesis, epoch: int) -> EtcdSettings:
    """What the node needs to use the log of an epoch."""
    return EtcdSettings(
        endpoints=settings.etcd_endpoints,
        ca=read_file(settings.ca_file),
        certificate=read_file(settings.cert_file),
        key=read_file(settings.cert_key_file),
        network=genesis.network,
        channel=genesis.channel,
        epoch=epoch,
        member=settings.member,
        quota_bytes=settings.etcd_quota_bytes,
        server_name=settings.etcd_server_name,
    )


async def _oidc(settings: Settings, clock: Clock, stack: AsyncExitStack) -> list[OidcTokens]:
    if not settings.oidc_issuer:
        return []
    http = await stack.enter_async_context(httpx.AsyncClient(timeout=5.0, trust_env=False))
    oidc = OidcSettings(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        jwks_uri=settings.oidc_jwks_url,
        algorithms=settings.oidc_algorithms,
        account_claim=settings.oidc_name_claim,
    )
    return [OidcTokens(oidc, clock, http, member=settings.member)]
