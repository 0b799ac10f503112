"""Step 1, submit: who asks, may they, is it well-formed; then the record goes its way and the caller gets an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consortium.energy import catalogue
from consortium.energy.catalogue import Content, Directory
from consortium.errors import CallerError, UnknownParty
from consortium.model.names import ID_BYTES, Party
from consortium.model.records import SEALED, Draft
from consortium.pipeline.access import Access
from consortium.pipeline.write import Answer, UnderWay, Wait, Writer
from consortium.ports.accounts import AccountStore
from consortium.ports.callers import Caller
from consortium.ports.clock import Clock


@dataclass(frozen=True, slots=True)
class Submission:
    """What a caller sends: `data` is untrusted JSON; `id` is 16 bytes, made here if None."""

    id: bytes | None
    type: str
    data: Any


class Submitter:
    """Takes submissions of this member's callers."""

    def __init__(
        self,
        member: str,
        access: Access,
        accounts: AccountStore,
        writer: Writer,
        directory: Directory,
        clock: Clock,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._member = member
        self._access = access
        self._accounts = accounts
        self._writer = writer
        self._directory = directory
        self._clock = clock
        self._entropy = entropy
        self._users: set[str] = set()

    async def submit(self, caller: Caller, submission: Submission, wait: Wait, timeout_s: float) -> Answer:
        """The record's whole way. Raises the families of `CallerError`, `LogUnavailable`, `NotReady`."""
        under_way = await self.start(caller, submission)
        return await self.finish(under_way, wait, timeout_s)

    async def start(self, caller: Caller, submission: Submission) -> UnderWay:
        """Check, seal and queue. After this the record is on its way, whatever the caller does."""
        catalogue.require_type(submission.type)
        self._access.require_type(caller, submission.type)
        content = catalogue.parse(submission.type, submission.data)
        self._access.require_submit(caller, submission.type, content.actor)
        draft = await self._draft(submission.id, content)
        return self._writer.start(draft, submission.type, content.start_ms)

    async def finish(self, under_way: UnderWay, wait: Wait, timeout_s: float, *, began: float | None = None) -> Answer:
        """See `Writer.finish`."""
        return await self._writer.finish(under_way, wait, timeout_s, began=began)

    async def _draft(self, record_id: bytes | None, content: Content) -> Draft:
        now = self._clock.now_ms()
        content.check(now)
        await self._require_own(Party.parse(content.actor), content.ACTOR)
        await self._admit(record_id, content)
        record_id = record_id if record_id is not None else self._entropy(ID_BYTES)
        return Draft(record_id, SEALED, self._member, now, content.sections(self._directory))

    async def _admit(self, record_id: bytes | None, content: Content) -> None:
        """The rules of this moment. A record that was taken before gets its answer again, whatever holds now."""
        try:
            content.admit(self._directory)
        except CallerError:
            if record_id is None or not await self._writer.knows(record_id):
                raise

    async def _require_own(self, actor: Party, field: str) -> None:
        """A member writes for itself and its own users; of others' users it cannot even know who there is."""
        if actor.member == self._member:
            if not actor.user or actor.user in self._users:
                return
            account = await self._accounts.account(actor.user)
            if account is not None and account.kind == "user":
                self._users.add(actor.user)
                return
        hint = "name the member of this node, or one of its users"
        raise UnknownParty(f"the {field} is no user of this member", field=f"data.{field}", hint=hint)
