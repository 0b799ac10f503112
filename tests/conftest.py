"""Fixtures that many tests share."""

from __future__ import annotations

from tests.fixtures.etcd import etcd_cluster
from tests.fixtures.postgres import (
    database,
    empty_postgres_url,
    empty_postgres_urls,
    postgres_dir,
    postgres_server,
    postgres_url,
    postgres_urls,
)

__all__ = [
    "database",
    "empty_postgres_url",
    "empty_postgres_urls",
    "etcd_cluster",
    "postgres_dir",
    "postgres_server",
    "postgres_url",
    "postgres_urls",
]
