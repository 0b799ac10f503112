"""The API as the command uses it: httpx, problems turned back into errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx

from consortium import errors
from consortium.client.dpop import DpopKey, TokenAuth
from consortium.client.problems import CHECK, problem
from consortium.client.session import Session


class Client:
    """Calls one node. The token comes from `CONSORTIUM_TOKEN`: a command line can be seen by others.

    The key of a token that is bound to one (DPoP) comes from `CONSORTIUM_DPOP_KEY`, 64 hex digits. Or both come from
    the file that `consortium account sign-in` wrote, named by `CONSORTIUM_SESSION`.

    `CONSORTIUM_PURPOSE` says what the reading is for, to those whom it is about, and `CONSORTIUM_BEHALF` for whom one
    reads, by their delegation (user@member).
    """

    def __init__(self, url: str, token: str | None = None, key: DpopKey | None = None) -> None:
        token = (token or os.environ.get("CONSORTIUM_TOKEN", "")).strip()
        if not (token.isascii() and token.isprintable()):
            raise errors.InvalidRequest("CONSORTIUM_TOKEN holds no token", hint="set it to a token of this node")
        self._http = open_http(url)
        self._http.headers.update(_said())
        file = os.environ.get("CONSORTIUM_SESSION", "")
        if file and not token:
            self._http.auth = Session.load(self._http, Path(file)).auth()
        else:
            self._http.auth = TokenAuth(token, key or _key())

    @classmethod
    def over(cls, http: httpx.Client) -> Client:
        """Over a client that is open, as it is."""
        made = cls.__new__(cls)
        made._http = http
        return made

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """The response, or the problem as an error."""
        try:
            response = self._http.request(method, path, **arguments)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError, OverflowError):
            raise _no_url(str(self._http.base_url)) from None
        except httpx.HTTPError as error:
            raise errors.PeerUnavailable(f"the node does not answer: {type(error).__name__}", hint=CHECK) from error
        if response.status_code >= 400:
            raise _problem(response)
        if response.status_code not in (200, 204):
            raise errors.PeerUnavailable(f"the node answers {response.status_code}", hint=CHECK)
        return response

    def json(self, path: str, **arguments: Any) -> Any:
        """The JSON of a GET, or the problem as an error."""
        response = self.request("GET", path, **arguments)
        try:
            return response.json()
        except ValueError:
            raise errors.PeerUnavailable("what answers there is no node", hint=CHECK) from None


def open_http(url: str) -> httpx.Client:
    """A client for a node that nobody has signed in at yet. Raises `InvalidRequest`."""
    try:
        return httpx.Client(base_url=url, timeout=70.0, trust_env=False)
    except (httpx.InvalidURL, ValueError):
        raise _no_url(url) from None


def _said() -> dict[str, str]:
    headers = {}
    for name in ("PURPOSE", "BEHALF"):
        text = os.environ.get(f"CONSORTIUM_{name}", "").strip()
        if not (text.isascii() and text.isprintable()):
            raise errors.InvalidRequest(f"CONSORTIUM_{name} is printable ASCII")
        if text:
            headers[f"Consortium-{name.capitalize()}"] = text
    return headers


def _key() -> DpopKey | None:
    text = os.environ.get("CONSORTIUM_DPOP_KEY", "").strip()
    try:
        seed = bytes.fromhex(text)
    except ValueError:
        seed = b"?"
    if len(seed) not in (0, 32):
        raise errors.InvalidRequest("CONSORTIUM_DPOP_KEY is 64 hex digits")
    return DpopKey(seed) if seed else None


def _no_url(url: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"{url} is no URL of a node", hint="a URL is, for example, http://127.0.0.1:8440")


def _problem(response: httpx.Response) -> errors.ConsortiumError:
    found = problem(response)
    if isinstance(found, errors.NotAuthenticated):
        found.hint = "sign in: consortium account sign-in, or set CONSORTIUM_TOKEN to a token of this node"
    return found
