"""Settings of a node: environment variables `CONSORTIUM_*`, over a TOML file named by `CONSORTIUM_CONFIG`.

The table in docs/configuration.md is made from this module (a test holds them together).
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from consortium.errors import ConfigurationError

_ROOT = Path(__file__).resolve().parent.parent
POLICIES = _ROOT / "policies"
"""The policies of a checkout."""


class Settings(BaseSettings):
    """A node's settings."""

    model_config = SettingsConfigDict(env_prefix="CONSORTIUM_", extra="forbid", frozen=True)

    member: str = Field(description="Name of the member that runs the node.")
    genesis: Path = Field(description="The network's genesis file.")
    key_file: Path = Field(description="The member's sealed key file.")
    key_secret_file: Path | None = Field(None, description="A mounted secret of 32 bytes that unseals the key file.")
    key_passphrase: SecretStr | None = Field(None, description="A passphrase that unseals the key file instead.")
    database_url: SecretStr = Field(description="Postgres URL of the member's own database, as the node's role.")
    database_reader_url: SecretStr = Field(description="The same as the role that answers callers, and only reads.")
    database_owner_url: SecretStr | None = Field(
        None, description="The same as its owner, who migrates; not needed where `consortium node migrate` runs first."
    )
    policies: Path = Field(POLICIES, description="Folder of the Cedar policies and their schema.")

    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(8440, ge=0, le=65535, description="Port of the API.")
    tls_cert: Path | None = Field(None, description="Certificate of the API; needed beyond loopback.")
    tls_key: Path | None = Field(None, description="Its private key.")
    peer_host: str = Field("127.0.0.1", description="Address for the other members' nodes.")
    peer_port: int = Field(8441, ge=0, le=65535, description="Port for the other members' nodes (mutual TLS).")
    peer_urls: dict[str, str] = Field(default_factory=dict, description="The other members' peer URLs, by member.")
    peer_cert_file: Path = Field(description="Server certificate for the other members' nodes.")
    peer_key_file: Path = Field(description="Its private key.")
    ca_file: Path = Field(description="The consortium's certificate authority.")
    cert_file: Path = Field(description="This member's certificate (etcd, peers), CN = member.")
    cert_key_file: Path = Field(description="Its private key.")

    etcd_endpoints: tuple[str, ...] = Field(description="host:port of the etcd members.")
    etcd_server_name: str = Field("localhost", description="A name that stands in every etcd server certificate.")
    etcd_quota_bytes: int = Field(2 << 30, ge=1 << 24, description="etcd's quota, for the alarm at 80 %.")

    heartbeat_s: float = Field(10.0, gt=0, description="A quiet node appends an empty batch this often.")
    cosign_interval_s: float = Field(0.5, gt=0, description="How often a node looks whether to propose a checkpoint.")
    trim_interval_s: float = Field(30.0, gt=0, description="How often a node trims its part of the log.")
    trim_keep_batches: int = Field(1000, ge=1, description="Own batches that stay in the log in any case.")
    trim_away_s: int = Field(7 * 86_400, ge=1, description="A member silent for longer is not waited for.")
    check_interval_s: float = Field(60.0, gt=0, description="Pause between two passes of the node's own audit.")
    monitor_interval_s: float = Field(2.0, gt=0, description="How often lag, quota and peers are measured.")
    access_interval_s: float = Field(20.0, gt=0, le=50, description="How often users are told who read their records.")
    fetch_interval_s: float = Field(2.0, gt=0, description="Pause between attempts to fetch missing payloads.")

    erase_interval_s: float = Field(
        3600.0, gt=0, description="How often, by the ledger's time, a node looks for own records whose time is over."
    )

    key_rotation_days: int = Field(
        0, ge=0, description="All keys but TLS ones change after so many days (0: by command)."
    )
    key_grace_s: int = Field(86_400, ge=0, description="A replaced key is kept so long, in the ledger's time.")

    market: bool = Field(True, description="Whether the node acts in markets: orders, clears, pays, settles.")
    clock_file: Path | None = Field(None, description="For trials only: the offset of the records' time, 8 bytes.")

    public_url: str = Field("", description="Where callers reach the API, for DPoP; by default host and port.")
    session_ttl_s: int = Field(43_200, ge=60, le=30 * 86_400, description="Longest life of a session.")
    token_ttl_s: int = Field(900, ge=10, le=86_400, description="Life of tokens that the node issues.")
    oidc_issuer: str = Field("", description="An OIDC issuer whose tokens are accepted; empty for none.")
    oidc_audience: str = Field("", description="The audience that its tokens must carry.")
    oidc_jwks_url: str = Field("", description="Its JWKS; found by discovery if empty.")
    oidc_algorithms: tuple[str, ...] = Field(("RS256", "ES256", "EdDSA"), description="Algorithms accepted of it.")
    oidc_name_claim: str = Field("preferred_username", description="The claim that holds the account's name.")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level of log lines.")
    log_format: Literal["json", "console"] = Field("json", description="Form of log lines.")

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if (self.key_secret_file is None) == (self.key_passphrase is None):
            raise ValueError("set exactly one of key_secret_file and key_passphrase")
        if self.host not in ("127.0.0.1", "::1", "localhost") and not (self.tls_cert and self.tls_key):
            raise ValueError("beyond loopback the API needs tls_cert and tls_key")
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError("oidc_issuer and oidc_audience go together")
        return self


def load_settings(path: Path | None = None, **overrides: Any) -> Settings:
    """Settings from a TOML file (or `CONSORTIUM_CONFIG`), the environment over it, `overrides` over both.

    Relative paths in the file are taken from the file's folder. Raises `ConfigurationError` naming the setting.
    """
    path = path or (Path(os.environ["CONSORTIUM_CONFIG"]) if "CONSORTIUM_CONFIG" in os.environ else None)
    values: dict[str, Any] = _from_file(path) if path else {}
    prefix = "CONSORTIUM_"
    in_environment = {name.removeprefix(prefix).lower() for name in os.environ if name.startswith(prefix)}
    values = {name: value for name, value in values.items() if name not in in_environment}
    try:
        return Settings(**(values | overrides))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        raise ConfigurationError(f"{name}: {first['msg']}", hint="docs/configuration.md lists every setting") from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error
    for name, value in values.items():
        field = Settings.model_fields.get(name)
        if field is not None and "Path" in str(field.annotation) and isinstance(value, str):
            values[name] = path.parent / value
    return values
