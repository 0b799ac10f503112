"""A member's accounts, for its administrators; and the setting up of one's own with a one-time code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from consortium.errors import Forbidden, InvalidRequest, NotAuthenticated, NotFound, NotReady, StoreUnavailable
from consortium.policy.requests import Action
from consortium.ports.accounts import DUTIES, KINDS, Account
from consortium.ports.callers import Caller
from consortium.ports.sessions import Invitation
from consortium.web.callers import CallerDep
from consortium.web.people import Invited, People
from consortium.web.problems import documented
from consortium.web.services import Services

router = APIRouter(prefix="/v1", tags=["accounts"])

_REFUSED: dict[int | str, dict[str, Any]] = documented(
    NotAuthenticated, Forbidden, NotFound, InvalidRequest, StoreUnavailable
)
_NAME = "^[a-z][a-z0-9-]{0,30}[a-z0-9]$"
_CODE = "abcdefghijklmnopqrstuvwxyz234567"

Named = Annotated[str, Path(pattern=_NAME, description="The account's name.", examples=["home-01"])]
Name = Annotated[str, Field(pattern=_NAME, description="2 to 32 of a-z, 0-9, hyphen.", examples=["home-11"])]
Duties = Annotated[
    list[Annotated[str, Field(pattern="^(" + "|".join(sorted(DUTIES)) + ")$")]],
    Field(max_length=len(DUTIES), description="Of staff: what they are there for.", examples=[["billing"]]),
]
Time = Annotated[datetime, Field(description="UTC, RFC 3339.", examples=["2017-06-15T12:00:00Z"])]


def people(request: Request) -> People:
    """The member's people, of the services that the app was made with."""
    return cast("Services", request.app.state.services).people


async def administrator(caller: CallerDep, request: Request) -> Caller:
    """The caller, whom the policies let do this. Raises `Forbidden` before anything is looked up."""
    access = cast("Services", request.app.state.services).access
    name = request.path_params.get("name", "")
    change = "read" if request.method == "GET" else request.url.path.rpartition("/")[2]
    about = f"{name}@{caller.member}" if name else ""
    access.require_action(caller, Action.MANAGE_ACCOUNTS, about=about, kind=change)
    return caller


PeopleDep = Annotated[People, Depends(people)]
Administrator = Annotated[Caller, Depends(administrator)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class InviteRequest(_Strict):
    """Whom to invite."""

    name: Name
    kind: Annotated[str, Field(pattern="^(" + "|".join(sorted(KINDS)) + ")$", examples=["user"])]
    duties: Duties = []


class InvitedResponse(_Strict):
    """A one-time code for its receiver. It is shown this once; the node keeps a digest."""

    name: str
    kind: str
    code: Annotated[str, Field(examples=[_CODE])]
    expires_at: Time
    needs_confirmation: Annotated[
        bool, Field(description="Whether a second administrator must confirm it before it can be used.")
    ]


class DutiesRequest(_Strict):
    """All duties from now on."""

    duties: Duties


class ResetRequest(_Strict):
    """How much to reset."""

    second_factor: Annotated[bool, Field(description="Whether to take the second factor off as well.")] = False


class AcceptRequest(_Strict):
    """The code, and what to sign in with from now on: a password (users) or a public key (all others)."""

    code: Annotated[SecretStr, Field(min_length=1, max_length=64, examples=[_CODE])]
    password: Annotated[
        SecretStr | None, Field(min_length=1, max_length=1024, examples=["a long phrase of my own"])
    ] = None
    public_key: Annotated[
        str | None, Field(pattern="^[0-9a-f]{64}$", description="Ed25519, in hex.", examples=["00" * 32])
    ] = None


class AccountOut(_Strict):
    """An account, as its administrators see it."""

    name: str
    kind: str
    duties: list[str]
    state: Annotated[str, Field(description="active or disabled.", examples=["active"])]


class InvitationOut(_Strict):
    """An invitation, or a code to come back, that was not used yet."""

    name: str
    kind: str
    duties: list[str]
    by: Annotated[str, Field(description="The administrator who gave it.")]
    recovers: bool
    needs_confirmation: bool
    confirmed_by: str
    expires_at: Time


class AccountsOut(_Strict):
    """The member's accounts."""

    accounts: list[AccountOut]
    invitations: list[InvitationOut]


@router.get("/accounts", summary="The member's accounts", responses=_REFUSED)
async def all_accounts(asking: Administrator, node: PeopleDep, response: Response) -> AccountsOut:
    """All accounts, and the invitations that were not accepted. For administrators."""
    accounts, invitations = await node.all(asking)
    response.headers["cache-control"] = "no-store"
    return AccountsOut(accounts=[_account(a) for a in accounts], invitations=[_invitation(i) for i in invitations])


@router.post("/accounts", summary="Invite somebody", responses=_REFUSED)
async def invite(asking: Administrator, body: InviteRequest, node: PeopleDep, response: Response) -> InvitedResponse:
    """A one-time code with which its receiver sets up the account (POST /v1/auth/accept). For administrators.

    An invitation of an administrator waits for a second administrator, except that of the second one.
    """
    return _given(await node.invite(asking, body.name, body.kind, frozenset(body.duties)), response)


@router.post("/accounts/{name}/confirm", status_code=204, summary="Confirm an invitation", responses=_REFUSED)
async def confirm(name: Named, asking: Administrator, node: PeopleDep) -> None:
    """The second administrator's word for the invitation of an administrator."""
    await node.confirm(asking, name)


@router.delete("/accounts/{name}/invitation", status_code=204, summary="Withdraw an invitation", responses=_REFUSED)
async def withdraw(name: Named, asking: Administrator, node: PeopleDep) -> None:
    """Nothing is said of whether there was one."""
    await node.withdraw(asking, name)


@router.post("/accounts/{name}/disable", status_code=204, summary="Shut an account", responses=_REFUSED)
async def disable(name: Named, asking: Administrator, node: PeopleDep) -> None:
    """It signs in no more, and its tokens end within seconds. Not one's own."""
    await node.set_disabled(asking, name, True)


@router.post("/accounts/{name}/enable", status_code=204, summary="Open an account again", responses=_REFUSED)
async def enable(name: Named, asking: Administrator, node: PeopleDep) -> None:
    """It may sign in again. Not one's own."""
    await node.set_disabled(asking, name, False)


@router.put("/accounts/{name}/duties", status_code=204, summary="Set the duties of staff", responses=_REFUSED)
async def duties(name: Named, asking: Administrator, body: DutiesRequest, node: PeopleDep) -> None:
    """In force within seconds."""
    await node.set_duties(asking, name, frozenset(body.duties))


@router.post("/accounts/{name}/reset", summary="A code back to an account", responses=_REFUSED)
async def reset(
    name: Named, asking: Administrator, body: ResetRequest, node: PeopleDep, response: Response
) -> InvitedResponse:
    """What it signed in with is void, its sessions end; the code sets it up anew. Not an administrator's."""
    return _given(await node.reset(asking, name, second_factor=body.second_factor), response)


@router.post("/accounts/{name}/revoke", status_code=204, summary="Sign an account out everywhere", responses=_REFUSED)
async def revoke(name: Named, asking: Administrator, node: PeopleDep) -> None:
    """All its sessions and tokens end within seconds."""
    await node.revoke(asking, name)


@router.post(
    "/auth/accept",
    tags=["auth"],
    summary="Set up an account with a one-time code",
    responses=documented(NotAuthenticated, InvalidRequest, NotReady, StoreUnavailable),
)
async def accept(body: AcceptRequest, node: PeopleDep, response: Response) -> AccountOut:
    """Users set a password (12 characters or more), all others register a public key. Then sign in."""
    password = body.password.get_secret_value() if body.password else ""
    made = await node.accept(body.code.get_secret_value(), password, bytes.fromhex(body.public_key or ""))
    response.headers["cache-control"] = "no-store"
    return _account(made)


def _given(invited: Invited, response: Response) -> InvitedResponse:
    response.headers["cache-control"] = "no-store"
    return InvitedResponse(
        name=invited.account,
        kind=invited.kind,
        code=invited.code,
        expires_at=_time(invited.until_ms),
        needs_confirmation=invited.needs_two,
    )


def _account(account: Account) -> AccountOut:
    state = "disabled" if account.disabled else "active"
    return AccountOut(name=account.name, kind=account.kind, duties=sorted(account.duties), state=state)


def _invitation(i: Invitation) -> InvitationOut:
    return InvitationOut(
        name=i.account,
        kind=i.kind,
        duties=sorted(i.duties),
        by=i.by,
        recovers=i.recovers,
        needs_confirmation=i.needs_two and not i.confirmed_by,
        confirmed_by=i.confirmed_by,
        expires_at=_time(i.until_ms),
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
