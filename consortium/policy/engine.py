"""Decisions by the Cedar policies: a pure function of the policy set and the request.

Cedar skips a policy that fails in evaluation, even if it is a forbid; here **any error denies**. The texts come in as
arguments: `consortium.adapters.policyfiles` reads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import cedarpy

from consortium.errors import ConfigurationError
from consortium.model.encoding import encode
from consortium.policy.requests import AccessRequest, cedar_request
from consortium.policy.validation import checked_policies, parsed_schema

_CONTEXT = b"consortium/policy-set/v1\n"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. `policies` are the ids of the policies that decided, sorted (none: nothing permits it).

    `errors` says that something failed in evaluation, which denies; `policy_set` is the engine's `digest`.
    """

    allowed: bool
    policies: tuple[str, ...]
    errors: bool
    policy_set: bytes


class _EvaluationFailed(Exception):
    """Raised through the memo, which keeps no exception: a failure is tried again the next time."""


class PolicyEngine:
    """One policy set, parsed and validated.

    `texts` are policy files by name, `schema` the schema's text; `rules` are the policies by id.
    Raises `ConfigurationError`, naming file and policy, for what does not parse, does not fit the schema, or has no
    distinct `@id`.
    """

    def __init__(self, schema: str, texts: Mapping[str, str], *, memo: int = 4096) -> None:
        self._schema = parsed_schema(schema)
        self._policies, self.rules = checked_policies(self._schema, texts)
        self._digest = policy_set_digest(schema, texts)
        # Sound, since a request is frozen all through and names everything that an evaluation depends on.
        self._memo = lru_cache(maxsize=memo)(self._evaluate)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the policy set in force."""
        return self._digest

    def decide(self, request: AccessRequest) -> Decision:
        """The decision; never raises. An equal request that was answered before is answered from memory."""
        try:
            return self._memo(request)
        except Exception:  # noqa: BLE001 - whatever happened: it denies
            return Decision(allowed=False, policies=(), errors=True, policy_set=self._digest)

    def _evaluate(self, request: AccessRequest) -> Decision:
        asked = cedar_request(request)
        if asked is None:
            return Decision(allowed=False, policies=(), errors=False, policy_set=self._digest)
        question, entities = asked
        result = cedarpy.is_authorized(question, self._policies, entities, schema=self._schema)
        if result.diagnostics.errors:
            raise _EvaluationFailed
        names = result.diagnostics.id_annotations_by_reason
        decided_by = tuple(sorted(names[reason] for reason in result.diagnostics.reasons))
        return Decision(result.decision is cedarpy.Decision.Allow, decided_by, errors=False, policy_set=self._digest)


def policy_set_digest(schema: str, texts: Mapping[str, str]) -> bytes:
    """SHA-256 over the schema and the sorted texts: what decides, not how the files are called."""
    try:
        return hashlib.sha256(_CONTEXT + encode([schema, sorted(texts.values())])).digest()
    except UnicodeEncodeError as error:
        raise ConfigurationError("a policy text is no Unicode") from error
