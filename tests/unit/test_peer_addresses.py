"""An address that the members voted for may be none: its member cannot be reached, and nothing else comes of it."""

from __future__ import annotations

import ssl
from types import SimpleNamespace

import pytest

from consortium.adapters.peers import HttpPeers
from consortium.errors import PeerUnavailable


@pytest.mark.parametrize("url", ["https://x:y", "https://127.0.0.1:99999999", "https://[::::]", "https://:"])
async def test_a_member_with_an_address_that_is_none_cannot_be_reached(url):
    tokens = SimpleNamespace(issue=lambda member: "token", refused=lambda member: None)
    peers = HttpPeers({"delta": url}, tokens, ssl.create_default_context())
    try:
        with pytest.raises(PeerUnavailable):
            await peers.status("delta")
    finally:
        await peers.close()
