"""The API as the command uses it: httpx, problems turned back into errors."""

from __future__ import annotations

import os
from typing import Any

import httpx

from consortium import errors

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


class Client:
    """Calls one node. The token comes from `CONSORTIUM_TOKEN`: a command line can be seen by others."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._http = httpx.Client(base_url=url, timeout=70.0, trust_env=False)
        token = token or os.environ.get("CONSORTIUM_TOKEN", "")
        if token:
            self._http.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """The response, or the problem as an error."""
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise errors.PeerUnavailable(
                f"the node does not answer: {type(error).__name__}", hint="is it running? check --url"
            ) from error
        if response.status_code >= 400:
            raise _problem(response)
        return response


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
