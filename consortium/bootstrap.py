"""Puts a node together from its settings. The only module below the tools that names concrete adapters."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from consortium.adapters import keyfile
from consortium.adapters.clock import ShiftedClock, SystemClock
from consortium.adapters.etcd.log import EtcdLog
from consortium.adapters.etcd.settings import EtcdSettings
from consortium.adapters.peers import HttpPeers, mutual_tls
from consortium.adapters.policyfiles import load_policies
from consortium.adapters.postgres.accounts import PostgresAccounts
from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.migrate import upgrade
from consortium.adapters.postgres.party import PostgresParty
from consortium.adapters.postgres.pool import Database
from consortium.adapters.postgres.witness import PostgresWitness
from consortium.adapters.tokens.challenges import Challenges
from consortium.adapters.tokens.logins import Logins
from consortium.adapters.tokens.node import NodeTokens
from consortium.adapters.tokens.oidc import OidcSettings, OidcTokens
from consortium.adapters.tokens.peers import PeerTokens
from consortium.adapters.tokens.verifier import Verifier
from consortium.adapters.unlock import MountedSecret, Passphrase, Unlock
from consortium.agents.catchup import CatchUp, PayloadFetcher
from consortium.agents.cosign import Cosigner
from consortium.agents.index import Indexer
from consortium.agents.market.runner import MarketAgents
from consortium.agents.selfcheck import SelfCheck
from consortium.agents.trim import Trimmer
from consortium.config import Settings
from consortium.energy.view.view import View
from consortium.errors import ConfigurationError
from consortium.ledger import witnessing
from consortium.ledger.state import LedgerState
from consortium.metrics import Metrics
from consortium.model.members import Genesis
from consortium.node import Node, Parts
from consortium.pipeline.access import Access
from consortium.pipeline.apply import Applier
from consortium.pipeline.markets import MarketReader
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import Orderer
from consortium.pipeline.personal import Personal
from consortium.pipeline.portfolio import Portfolio
from consortium.pipeline.prove import Prover
from consortium.pipeline.read import Reader
from consortium.pipeline.seal import Sealer
from consortium.pipeline.submit import Submitter
from consortium.pipeline.write import Writer
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.web.services import Services


@dataclass(frozen=True, slots=True)
class Stores:
    """A member's database, by what it is used for."""

    database: Database
    ledger: PostgresLedger
    party: PostgresParty
    witness: PostgresWitness
    accounts: PostgresAccounts

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


@asynccontextmanager
async def open_stores(url: str) -> AsyncIterator[Stores]:
    """The stores of a database that is migrated to this version."""
    database = await Database.open(url)
    try:
        yield Stores(
            database,
            PostgresLedger(database),
            PostgresParty(database),
            PostgresWitness(database),
            PostgresAccounts(database),
        )
    finally:
        await database.close()


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Services]:
    """A node that is ready to run, with all that its routes need. Raises the family of `OperatorError`."""
    genesis = read_genesis(settings.genesis)
    custody = keyfile.open(settings.key_file, unlock_of(settings))
    _require_own_keys(genesis, settings.member, custody)
    engine = load_policies(settings.policies)
    url = settings.database_url.get_secret_value()
    upgrade(url)
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(url))
        log = EtcdLog(_etcd_settings(settings, genesis))
        stack.push_async_callback(log.close)
        clock: Clock = SystemClock()
        market_clock = ShiftedClock(settings.clock_file) if settings.clock_file else clock
        peer_tokens = PeerTokens(custody, clock, genesis=genesis, member=settings.member)
        tls = mutual_tls(settings.ca_file, settings.cert_file, settings.cert_key_file)
        peers = HttpPeers({n: u for n, u in settings.peer_urls.items() if n != settings.member}, peer_tokens, tls)
        stack.push_async_callback(peers.close)
        oidc = await _oidc(settings, clock, stack)
        state = await stores.ledger.load(genesis)
        access = Access(engine, settings.member)
        workshop = _Workshop(settings, genesis, custody, stores, log, clock, market_clock, peers, access, state)
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
    ) -> None:
        self.settings, self.genesis, self.custody, self.stores = settings, genesis, custody, stores
        self.log, self.clock, self.peers, self.access = log, clock, peers, access
        self.market_clock = market_clock
        self.member = settings.member
        self.trust = witnessing.trust_policy(genesis)
        self.encryption = {m.name: m.keys.encryption for m in genesis.members}
        self.node = Node(self.member, Metrics(), stores.ping, settings.monitor_interval_s)
        self.opener = Opener(genesis, custody)
        self.orderer = Orderer(
            genesis, self.member, log, stores.ledger, custody, market_clock, heartbeat_s=settings.heartbeat_s
        )
        self.hint_keys = {name: custody.pair(key).hint for name, key in self.encryption.items()}
        self.applier = Applier(stores.ledger, state, self.hint_keys, self._witnessed_size)
        self.prover = Prover(stores.ledger, stores.witness, self.trust, lambda: self.applier.state)
        self.cosigner = Cosigner(
            genesis,
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
        self.writer = Writer(
            self.member,
            Sealer(genesis, custody, os.urandom),
            self.orderer,
            self.opener,
            stores.ledger,
            stores.party,
            self.cosigner.until_witnessed,
            self.node.halted,
        )
        self.market = MarketAgents(
            View(genesis, self.member),
            stores.party,
            self.opener,
            self.writer,
            custody,
            market_clock,
            lambda: self.applier.state.time_ms,
            partial(self.node.raise_alarm, "market"),
        )
        self.node.attach(self._parts())

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
                self.trust,
                self.node.alarm,
                interval_s=self.settings.check_interval_s,
            ),
            witness=self.stores.witness,
            peers=self.peers,
            access=self.access,
            market=self.market if self.settings.market else None,
        )

    def _fetcher(self) -> PayloadFetcher:
        return PayloadFetcher(
            self.member,
            self.peers,
            self.stores.party,
            self.stores.ledger,
            self.opener,
            self.custody,
            self.encryption,
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

    def services(self, peer_tokens: PeerTokens, oidc: list[OidcTokens]) -> Services:
        """What the routes are given."""
        accounts = self.stores.accounts
        tokens = NodeTokens(
            self.custody,
            self.clock,
            network=self.genesis.network,
            member=self.member,
            lifetime_s=self.settings.token_ttl_s,
        )
        reader = Reader(self.access, self.opener, self.stores.ledger, self.stores.party)
        market = MarketReader(self.member, self.access, self.market.view, self.opener, self.stores.party)
        portfolio = Portfolio(self.access, self.opener, self.stores.party)
        challenges = Challenges(self.custody, self.clock, issuer=tokens.issuer)
        return Services(
            member=self.member,
            genesis=self.genesis,
            trust_file=witnessing.trust_file(self.genesis),
            hint_keys=self.hint_keys,
            node=self.node,
            access=self.access,
            submitter=self._submitter(),
            reader=reader,
            personal=Personal(portfolio, reader, market),
            market=market,
            prover=self.prover,
            cosigner=self.cosigner,
            ledger=self.stores.ledger,
            party=self.stores.party,
            verifier=Verifier(tokens, peer_tokens, oidc, accounts, self.clock),
            logins=Logins(accounts, tokens, challenges, self.clock),
            jwks=tokens.jwks,
        )


def _require_own_keys(genesis: Genesis, name: str, custody: KeyCustody) -> None:
    member = genesis.member(name)
    if member is None:
        raise ConfigurationError(f"the genesis knows no member {name}")
    if member.keys != custody.public:
        raise ConfigurationError(
            f"the key file does not hold the keys that the genesis names for {name}",
            hint="check key_file and genesis: one of them belongs to another member or network",
        )


def _etcd_settings(settings: Settings, genesis: Genesis) -> EtcdSettings:
    return EtcdSettings(
        endpoints=settings.etcd_endpoints,
        ca=read_file(settings.ca_file),
        certificate=read_file(settings.cert_file),
        key=read_file(settings.cert_key_file),
        network=genesis.network,
        channel=genesis.channel,
        epoch=genesis.epoch,
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
