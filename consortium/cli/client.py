"""The API as the command uses it: httpx, problems turned back into errors."""

from __future__ import annotations

import os
from typing import Any

import httpx

from consortium import errors
from consortium.client.dpop import DpopKey, TokenAuth

_FAMILIES = {
    401: errors.NotAuthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.IdConflict,
    413: errors.PayloadTooLarge,
    422: errors.InvalidRequest,
    502: errors.PeerError,
    503: errors.NotReady,
    504: errors.DeadlineExceeded,
}
_CHECK = "is it running? check --url"


class Client:
    """Calls one node. The token comes from `CONSORTIUM_TOKEN`: a command line can be seen by others.

    The key of a token that is bound to one (DPoP) comes from `CONSORTIUM_DPOP_KEY`, 64 hex digits.
    """

    def __init__(self, url: str, token: str | None = None, key: DpopKey | None = None) -> None:
        token = (token or os.environ.get("CONSORTIUM_TOKEN", "")).strip()
        if not (token.isascii() and token.isprintable()):
            raise errors.InvalidRequest("CONSORTIUM_TOKEN holds no token", hint="set it to a token of this node")
        auth = TokenAuth(token, key or _key())
        try:
            self._http = httpx.Client(base_url=url, auth=auth, timeout=70.0, trust_env=False)
        except (httpx.InvalidURL, ValueError):
            raise _no_url(url) from None

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """The response, or the problem as an error."""
        try:
            response = self._http.request(method, path, **arguments)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError, OverflowError):
            raise _no_url(str(self._http.base_url)) from None
        except httpx.HTTPError as error:
            raise errors.PeerUnavailable(f"the node does not answer: {type(error).__name__}", hint=_CHECK) from error
        if response.status_code >= 400:
            raise _problem(response)
        if response.status_code not in (200, 204):
            raise errors.PeerUnavailable(f"the node answers {response.status_code}", hint=_CHECK)
        return response

    def json(self, path: str, **arguments: Any) -> Any:
        """The JSON of a GET, or the problem as an error."""
        response = self.request("GET", path, **arguments)
        try:
            return response.json()
        except ValueError:
            raise errors.PeerUnavailable("what answers there is no node", hint=_CHECK) from None


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
    try:
        body = response.json()
        detail, hint = str(body.get("detail") or body.get("title")), str(body.get("hint", ""))
        field = body.get("field")
    except (ValueError, AttributeError):
        detail, hint, field = f"the node answers {response.status_code}", "", None
    family = _FAMILIES.get(response.status_code, errors.OperatorError)
    if response.status_code == 401:
        hint = hint or "set CONSORTIUM_TOKEN to a token of this node"
    return family(f"{field}: {detail}" if field else detail, hint=hint)
