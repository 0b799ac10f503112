"""A member joins the devnet, and leaves it, as it would on separate machines: invited, checked, voted in, let in by
etcd; voted out, shut out. Each step is the command, or the call, that its people would use.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from consortium.adapters.etcd.enforcing import Decided, Round
from consortium.devnet.network import Devnet, MemberPlan
from consortium.devnet.processes import environment
from consortium.errors import OperatorError
from consortium.model.members import Member, MemberKeys

WINDFARM = MemberPlan("windfarm", ("utility",))
_DECIDED_S, _ENFORCED_S, _READY_S = 60.0, 120.0, 180.0
_POLL_S = 0.1


class Newcomer:
    """A member on its way in, and out again; `tokens` by account, to which those of its people are added."""

    def __init__(self, net: Devnet, tokens: MutableMapping[str, str], plan: MemberPlan = WINDFARM) -> None:
        self.net = net
        self.plan = plan
        self.name = plan.name
        self._tokens = tokens
        self._invitations = 0

    # --- coming ------------------------------------------------------------------------------------------------

    async def prepare(self) -> Member:
        """Its own keys, database, certificates and people."""
        return await self.net.add_member(self.plan)

    def public_keys(self) -> MemberKeys:
        """What `consortium node init` wrote for the others to see."""
        text = (self.net.nodes[self.name].directory / "public.json").read_text("utf-8")
        return MemberKeys.from_dict(json.loads(text)["keys"])

    async def invited_by(self, member: str) -> Path:
        """The folder with an invitation that a member of now wrote."""
        self._invitations += 1
        folder = self.net.directory / f"invitation-{self.name}-{self._invitations}"
        node = self.net.nodes[member]
        await self.command("join", "invite", folder, "--config", node.config, "--own-url", node.peer_url)
        return folder

    async def take_over(self, folder: Path, digest: str = "") -> str:
        """Check the invitation with the digest that its people were told, and import its ledger; what was printed."""
        return await self.command("join", "import", folder, *self._digest(digest), "--config", self._config)

    async def verify(self, folder: Path, digest: str = "") -> tuple[int, str]:
        """Check it only: exit code, and what was printed."""
        return await run("join", "verify", folder, *self._digest(digest))

    async def admitted_by(self, voters: Sequence[str], keys: MemberKeys) -> str:
        """Proposed by the first of the voters, voted for by all; the proposal's id once every voter's node knows."""
        terms = {
            "name": self.name,
            "roles": sorted(self.plan.roles),
            "keys": keys.as_dict(),
            "peer_url": self.net.nodes[self.name].peer_url,
        }
        return await self.decide("admit-member", terms, voters)

    async def let_in(self) -> None:
        """Users and rights; then its own etcd: told of, started, caught up, promoted."""
        joining = {self.name: self.net.etcd.peer_url(self.name)} if self.plan.votes else {}
        await self.enforce(joining)
        if self.plan.votes:
            self.net.etcd.start_newcomer(self.name)
            await self._until_enforced(joining)
            await self.net.etcd.wait_healthy([self.name])

    async def start(self) -> None:
        """Its node, with its own etcd among the endpoints; ready when it takes records."""
        self.net.write_config(self.name)
        self.net.launch(self.name)
        await self.net.wait_ready(self.name, _READY_S)
        await self.sign_in()

    async def sign_in(self) -> None:
        """All of its people."""
        for person in self.net.people:
            if person.member == self.name:
                self._tokens[person.name] = await self.net.sign_in(person)

    # --- going -------------------------------------------------------------------------------------------------

    async def removed_by(self, voters: Sequence[str]) -> str:
        """The others vote it out; the proposal's id."""
        return await self.decide("remove-member", {"name": self.name}, voters)

    async def shut_out(self) -> None:
        """No user, no rights, no etcd member; the others restart one by one, which ends the watches that are open."""
        await self.enforce({})
        self.net.etcd.dismiss(self.name)
        await self.net.etcd.restart_one_by_one()

    # --- deciding and enforcing -----------------------------------------------------------------------------------

    async def decide(self, kind: str, terms: Mapping[str, Any], voters: Sequence[str]) -> str:
        """A proposal by the first voter, and every voter's yes; its id once it has passed at each of their nodes."""
        first = voters[0]
        body = {"kind": kind, "terms": dict(terms), "reason": "the devnet shows it"}
        answer = await self._post(first, "/v1/governance/proposals", body)
        proposal = str(answer["id"])
        for voter in voters:
            await self._until(voter, proposal, ("open", "passed"))
            if (await self._state(voter, proposal)) == "open":
                await self._post(voter, "/v1/governance/ballots", {"proposal": proposal, "yes": True})
        for voter in voters:
            await self._until(voter, proposal, ("passed",))
        return proposal

    async def enforce(self, joining: Mapping[str, str]) -> Round:
        """One round of `consortium etcd enforce`."""
        return await self.net.etcd.enforce(await self._decided(), joining)

    async def _until_enforced(self, joining: Mapping[str, str]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + _ENFORCED_S
        while (told := await self.enforce(joining)).waiting:
            if loop.time() > end:
                raise OperatorError(f"etcd is not as the ledger decided: {'; '.join(told.waiting)}")
            await asyncio.sleep(_POLL_S)

    async def _decided(self) -> Decided:
        members = (await self._of_any("/v1/governance"))["members"]
        genesis = self.net.genesis
        return Decided(
            genesis.network,
            genesis.channel,
            genesis.epoch,
            tuple(each["name"] for each in members if each["removed"] is None),
            tuple(each["name"] for each in members if each["removed"] is not None),
        )

    async def _until(self, voter: str, proposal: str, states: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + _DECIDED_S
        while (state := await self._state(voter, proposal)) not in states:
            if loop.time() > end:
                raise OperatorError(f"the proposal is {state or 'unknown'} at {voter}, not {' or '.join(states)}")
            await asyncio.sleep(_POLL_S)

    async def _state(self, voter: str, proposal: str) -> str:
        """Its state as a node knows it; '' if it does not know it yet."""
        path = f"/v1/governance/proposals/{proposal}"
        async with self._client(voter) as http:
            response = await http.get(path)
        return str(response.json()["state"]) if response.status_code == 200 else ""

    async def _of_any(self, path: str) -> Any:
        """What the first of the other members' nodes that answers says. Raises `OperatorError`."""
        for member in self.net.nodes:
            if member == self.name:
                continue
            try:
                async with self._client(member) as http:
                    response = await http.get(path)
            except httpx.TransportError:
                continue
            if response.status_code == 200:
                return response.json()
        raise OperatorError(f"no member's node answers GET {path}")

    async def _post(self, member: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """By the member's administrator; must be accepted."""
        async with self._client(member) as http:
            response = await http.post(path, json=dict(body))
        answer: dict[str, Any] = response.json()
        if response.status_code != 200 or answer.get("state") != "accepted":
            raise OperatorError(f"{member} POST {path}: {response.status_code} {response.text[:300]}")
        return answer

    def _client(self, member: str) -> httpx.AsyncClient:
        auth = self.net.auth(self._tokens[f"{member}-admin"])
        return httpx.AsyncClient(base_url=self.net.nodes[member].url, auth=auth, trust_env=False, timeout=60.0)

    # --- commands ----------------------------------------------------------------------------------------------

    async def command(self, *arguments: object) -> str:
        """A command that must succeed; what it printed. Raises `OperatorError`."""
        code, text = await run(*arguments)
        if code != 0:
            raise OperatorError(f"consortium {' '.join(map(str, arguments[:2]))} ended with {code}: {text}")
        return text

    def _digest(self, digest: str) -> tuple[str, str]:
        return "--genesis-digest", digest or self.net.genesis.digest().hex()

    @property
    def _config(self) -> Path:
        return self.net.nodes[self.name].config


async def run(*arguments: object) -> tuple[int, str]:
    """`consortium ...` in a process of its own: its exit code, and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consortium", *map(str, arguments),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment(without="CONSORTIUM_"),
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode if process.returncode is not None else 1, output.decode()
