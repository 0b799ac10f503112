"""A node's problems (RFC 9457) turned back into the project's errors."""

from __future__ import annotations

import httpx

from consortium import errors

_FAMILIES: dict[int, type[errors.ConsortiumError]] = {
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
CHECK = "is it running? check --url"


def checked(response: httpx.Response) -> httpx.Response:
    """The response if it is good (200 or 204). Raises the problem that it is, or `PeerUnavailable`."""
    if response.status_code >= 400:
        raise problem(response)
    if response.status_code not in (200, 204):
        raise errors.PeerUnavailable(f"the node answers {response.status_code}", hint=CHECK)
    return response


def problem(response: httpx.Response) -> errors.ConsortiumError:
    """The error that a refusal stands for."""
    try:
        body = response.json()
        detail, hint = str(body.get("detail") or body.get("title")), str(body.get("hint", ""))
        field = body.get("field")
    except (ValueError, AttributeError):
        detail, hint, field = f"the node answers {response.status_code}", "", None
    family = _FAMILIES.get(response.status_code, errors.OperatorError)
    return family(f"{field}: {detail}" if field else detail, hint=hint)


def unreachable(error: httpx.HTTPError) -> errors.PeerUnavailable:
    """No answer at all."""
    return errors.PeerUnavailable(f"the node does not answer: {type(error).__name__}", hint=CHECK)
