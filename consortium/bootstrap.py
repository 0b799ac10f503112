"""Puts a node together from its settings. The only module below the tools that names concrete adapters."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from consortium.adapters import keyfile
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
from consortium.agents.selfcheck import SelfCheck
from consortium.agents.trim import Trimmer
from consortium.config import Settings
from consortium.errors import ConfigurationError
from consortium.ledger import witnessing
from consortium.metrics import Metrics
from consortium.model.members import Genesis
from consortium.node import Node, Parts
from consortium.pipeline.access import Access
from consortium.pipeline.apply import Applier
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import Orderer
from consortium.pipeline.prove import Prover
from consortium.pipeline.read import Reader
from consortium.pipeline.seal import Sealer
from consortium.pipeline.submit import Submitter
from consortium.ports import KeyCustody
from consortium.web.services import Services


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


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
        await self.database.rows("SELECT 1")


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
    upgrade(settings.database_url.get_secret_value())
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings.database_url.get_secret_value()))
        log = EtcdLog(_etcd_settings(settings, genesis))
        stack.push_async_callback(log.close)
        clock = SystemClock()
        peer_tokens = PeerTokens(custody, clock, genesis=genesis, member=settings.member)
        tls = mutual_tls(settings.ca_file, settings.cert_file, settings.cert_key_file)
        peers = HttpPeers({n: u for n, u in settings.peer_urls.items() if n != settings.member}, peer_tokens, tls)
        stack.push_async_callback(peers.close)
        access = Access(engine, settings.member)
        yield await _assemble(settings, genesis, custody, stores, log, clock, peers, peer_tokens, access, stack)


async def _assemble(
    settings: Settings,
    genesis: Genesis,
    custody: KeyCustody,
    stores: Stores,
    log: EtcdLog,
    clock: SystemClock,
    peers: HttpPeers,
    peer_tokens: PeerTokens,
    access: Access,
    stack: AsyncExitStack,
) -> Services:
    member = settings.member
    node = Node(member, Metrics(), stores.ping, settings.monitor_interval_s)
    state = await stores.ledger.load(genesis)
    encryption = {m.name: m.keys.encryption for m in genesis.members}
    hint_keys = {name: custody.pair(key).hint for name, key in encryption.items()}
    # The applier asks the cosigner what is witnessed, and the cosigner the applier what is applied.
    applier = Applier(stores.ledger, state, hint_keys, lambda size: cosigner.witnessed_size(size))
    prover = Prover(stores.ledger, stores.witness, witnessing.trust_policy(genesis), lambda: applier.state)
    cosigner = Cosigner(
        genesis, member, custody, stores.witness, prover, applier, peers, clock,
        interval_s=settings.cosign_interval_s, alarm=node.alarm,
    )  # fmt: skip
    orderer = Orderer(genesis, member, log, stores.ledger, custody, clock, heartbeat_s=settings.heartbeat_s)
    opener = Opener(genesis, custody)
    catch_up = CatchUp(peers, cosigner, stores.ledger, node.report)
    catch_up.attach(applier)
    node.attach(
        Parts(
            log=log,
            applier=applier,
            indexer=Indexer(member, opener, stores.party, orderer, node.fault),
            orderer=orderer,
            cosigner=cosigner,
            catch_up=catch_up,
            fetcher=PayloadFetcher(
                peers,
                stores.party,
                stores.ledger,
                opener,
                custody,
                encryption,
                node.fault,
                interval_s=settings.fetch_interval_s,
            ),  # fmt: skip
            trimmer=Trimmer(
                member,
                log,
                stores.ledger,
                stores.witness,
                applier,
                interval_s=settings.trim_interval_s,
                keep_batches=settings.trim_keep_batches,
                away_ms=settings.trim_away_s * 1000,
            ),  # fmt: skip
            self_check=SelfCheck(
                genesis,
                stores.ledger,
                stores.witness,
                witnessing.trust_policy(genesis),
                node.alarm,
                interval_s=settings.check_interval_s,
            ),  # fmt: skip
            witness=stores.witness,
            peers=peers,
            access=access,
        )
    )
    submitter = Submitter(
        genesis, member, access, stores.accounts, Sealer(genesis, custody, os.urandom), orderer, opener,
        stores.ledger, stores.party, clock, os.urandom, cosigner.until_witnessed, node.halted,
    )  # fmt: skip
    tokens = NodeTokens(custody, clock, network=genesis.network, member=member, lifetime_s=settings.token_ttl_s)
    verifier = Verifier(tokens, peer_tokens, await _oidc(settings, clock, stack), stores.accounts, clock)
    logins = Logins(stores.accounts, tokens, Challenges(custody, clock, issuer=tokens.issuer), clock)
    return Services(
        member=member,
        genesis=genesis,
        trust_file=witnessing.trust_file(genesis),
        node=node,
        access=access,
        submitter=submitter,
        reader=Reader(access, opener, stores.ledger, stores.party),
        prover=prover,
        cosigner=cosigner,
        ledger=stores.ledger,
        party=stores.party,
        verifier=verifier,
        logins=logins,
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


async def _oidc(settings: Settings, clock: SystemClock, stack: AsyncExitStack) -> list[OidcTokens]:
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
