"""Failures, in families by who must act on them.

A *rejection* (a record or batch that breaks a rule) is a value, see `consortium.model.verdicts`. What stands
here are exceptions: the work could not be done, and somebody has to do something about it.

==================  ======================================  =================
family              who acts                                HTTP status, CLI exit code
==================  ======================================  =================
`CallerError`       the caller: correct the request         4xx, 2
`OperatorError`     the node's operator: settings, disk     500 or 503, 3
`PeerError`         another member: its data does not hold  502, 4
`DefectError`       us: this is a bug                       500, 70
==================  ======================================  =================

Messages never carry a payload, a key or a token.
"""

from __future__ import annotations


class ConsortiumError(Exception):
    """Root of every failure that the project raises on purpose.

    `hint` is one sentence that says what to do next; it may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class CallerError(ConsortiumError):
    """The caller asked for something that cannot be answered as asked."""

    exit_code = 2


class InvalidRequest(CallerError):
    """The request is not well-formed, or breaks a rule of its record type.

    `field` names the member of the request at fault, or is empty.
    """

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class UnknownParty(InvalidRequest):
    """A named party is not known to this node."""


class PayloadTooLarge(CallerError):
    """The request exceeds a published size limit."""


class NotAuthenticated(CallerError):
    """There is no valid token; the message never says which check failed."""


class Forbidden(CallerError):
    """The caller's role does not include the action, whatever exists or not."""


class NotFound(CallerError):
    """There is no such record *for this caller*: a refusal and an absence look the same."""


class IdConflict(CallerError):
    """The idempotency key was used before for another payload."""


class NotYet(CallerError):
    """What was asked for is sound, and something that stands in its way has to be done first."""


class DeadlineExceeded(CallerError):
    """The time limit that the caller set passed first; what was asked may still happen."""


class OperatorError(ConsortiumError):
    """The node cannot go on without its operator."""

    exit_code = 3


class ConfigurationError(OperatorError):
    """A setting is missing or wrong."""


class KeysUnavailable(OperatorError):
    """The sealed key file cannot be opened: wrong passphrase, wrong file, or damaged."""


class StoreUnavailable(OperatorError):
    """Postgres cannot be reached or refused; the work is retried."""


class LogUnavailable(OperatorError):
    """The ordering log has no majority or cannot be reached. An append may or may not have happened."""


class PeerUnavailable(OperatorError):
    """Another member's node cannot be reached or does not answer as it should."""


class NotReady(OperatorError):
    """The node is starting, catching up, or has stopped applying."""


class PeerError(ConsortiumError):
    """Data that another member, or somebody in its name, produced does not hold."""

    exit_code = 4


class Malformed(PeerError):
    """Bytes that do not decode to what they should be. Inside a block this becomes a verdict."""


class BadSignature(PeerError):
    """A signature does not verify."""


class CommitmentMismatch(PeerError):
    """An author sealed a plaintext that differs from the one it committed to.

    `author` is the member that signed the batch, `record` the record's id in hex.
    """

    def __init__(self, author: str, record: str, section: int) -> None:
        super().__init__(
            f"record {record}: section {section} does not match its commitment; its author is {author}",
            hint=f"keep the record as evidence: the commitment is signed by {author}",
        )
        self.author = author
        self.record = record
        self.section = section


class Tampering(PeerError):
    """The log or the store was changed behind the ledger's back. Applying stops; reading goes on."""


class Divergence(Tampering):
    """Two members hold different trees for the same size."""


class ProofInvalid(PeerError):
    """A proof, checkpoint, receipt or export does not verify."""


class DefectError(ConsortiumError):
    """A state that the code holds to be impossible."""

    exit_code = 70
