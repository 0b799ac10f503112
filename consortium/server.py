"""A node as a process: the node's work, the API and the door for other members, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import ssl
import sys
from collections.abc import Iterator, Sequence

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from consortium.bootstrap import build
from consortium.config import Settings
from consortium.errors import ConfigurationError
from consortium.ports.certificates import CertificateFiles
from consortium.web.app import api, peer_api

_GRACE_S = 3
_KEEP_ALIVE_S = 75
"""Longer than clients keep a connection that rests: who sends on one that was just ended would get no answer."""
_MAX_HEAD_BYTES = 64 * 1024


class _Protocol(HttpToolsProtocol):
    """Hangs up on a request whose head never ends: httptools would keep all of it, whoever sends it."""

    _in_head = True
    _head_bytes = 0

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        before = self._in_head
        super().data_received(data)
        if before and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: two servers and a node share one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def configure_logging(level: str, form: str) -> None:
    """Structured lines on standard error. Third-party loggers say warnings only: they know no secrets of ours."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for noisy in ("psycopg.pool", "etcd3aio"):  # our own alarms say when Postgres or etcd is away
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _public(settings: Settings, app: object) -> _Server:
    return _Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            host=settings.host,
            port=settings.port,
            ssl_certfile=str(settings.tls_cert) if settings.tls_cert else None,
            ssl_keyfile=str(settings.tls_key) if settings.tls_key else None,
            http=_Protocol,
            lifespan="off",
            proxy_headers=False,  # nothing here depends on where a caller comes from
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
    )


def _peer(settings: Settings, app: object) -> _Server:
    return _Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            host=settings.peer_host,
            port=settings.peer_port,
            ssl_certfile=str(settings.peer_cert_file),
            ssl_keyfile=str(settings.peer_key_file),
            ssl_ca_certs=str(settings.ca_file),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
            http=_Protocol,
            lifespan="off",
            access_log=False,
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
    )


def _calm_collector() -> None:
    """Keep what a node is made of (half a million objects that live as long as it does) out of every later collection,
    and collect less often: a node under load makes much garbage, of which reference counting frees nearly all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _short_turns() -> None:
    """Let a thread that computes (the node's check of itself) hold the loop up for half a millisecond, not for five."""
    sys.setswitchinterval(0.0005)


async def _listen(server: _Server) -> None:
    """Serve until told to stop. uvicorn ends the process where it cannot bind; here that is a failure like others."""
    try:
        await server.serve()
    except SystemExit:
        place = f"{server.config.host}:{server.config.port}"
        raise ConfigurationError(f"cannot listen on {place}", hint="is the port taken, is the address ours?") from None


def _follow_certificates(settings: Settings, files: CertificateFiles, servers: Sequence[_Server]) -> None:
    """Handshakes to come show the certificates that stand in the files then."""
    paths = [(settings.tls_cert, settings.tls_key), (settings.peer_cert_file, settings.peer_key_file)]
    for server, (certificate, key) in zip(servers, paths, strict=True):
        server.config.load()  # else it would make its context when it begins to serve
        if server.config.ssl is not None and certificate and key:
            files.context(server.config.ssl, certificate, key)


async def serve(settings: Settings) -> None:
    """Run a node until SIGINT or SIGTERM. A failure of the node ends it: raises what failed."""
    async with build(settings) as services:
        servers = [_public(settings, api(services)), _peer(settings, peer_api(services))]
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        _calm_collector()
        _short_turns()
        _follow_certificates(settings, services.tls_files, servers)
        following = asyncio.create_task(services.tls_files.run())
        node = asyncio.create_task(services.node.run())
        serving = [asyncio.create_task(_listen(server)) for server in servers]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([node, stopping, *serving], return_when=asyncio.FIRST_COMPLETED)
        for server in servers:
            server.should_exit = True
        ended = await asyncio.gather(*serving, return_exceptions=True)
        stopping.cancel()
        following.cancel()
        failed = node.done() and not node.cancelled()
        node.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await node
        if failed:
            node.result()
        for failure in ended:
            if isinstance(failure, BaseException):
                raise failure
