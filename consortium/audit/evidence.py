"""Evidence bundles: what an officer read under a grant, and the votes that led to it, verified offline.

Checked are the files against the manifest, every receipt against the trust file, the votes by replaying the members'
decisions from the genesis on, and of every record that its ciphertext and plaintext are those of its header and that it
lies inside the grant's scope. What no receipt shows is that a public record was left out, or the height and time that
are told beside one: an export of the whole ledger shows that (docs/auditors.md).

Opening needs a content key, and the audit of ledgers must never reach what opens: whoever calls passes it in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consortium.audit.manifest import digest_of
from consortium.audit.report import Finding
from consortium.crypto.hashing import sha256
from consortium.crypto.receipts import VerifiedReceipt, parse_receipt, verify_receipt
from consortium.crypto.trust import TrustPolicy
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.scoping import judge
from consortium.energy.sections import in_words
from consortium.errors import ConsortiumError, Malformed
from consortium.ledger import witnessing
from consortium.ledger.governance.constitution import founded
from consortium.ledger.governance.state import Governance, Grant
from consortium.ledger.governance.step import step
from consortium.model.members import Genesis
from consortium.model.records import PUBLIC_KINDS, Header, parse_header
from consortium.model.verdicts import RecordRefusal

VERSION = 1
MANIFEST, GENESIS, ACCESSES = "manifest.json", "genesis.json", "accesses.json"
PUBLIC, RECORDS = "public", "records"
Opening = Callable[[Header, int, bytes, bytes], bytes]
"""Header, section, ciphertext, content key to the plaintext, commitment checked; see `crypto.sealing.open_section`."""


@dataclass(slots=True)
class EvidenceReport:
    """The outcome. `unproven` records came without keys: their names were masked, and the node alone vouches."""

    network: str = ""
    grant: str = ""
    officer: str = ""
    purpose: str = ""
    yes: tuple[str, ...] = ()
    records: int = 0
    unproven: int = 0
    by_word: int = 0
    accesses: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether everything holds."""
        return not self.findings


def write_bundle(directory: Path, grant: str, evidence: Mapping[str, Any], records: Iterator[Mapping[str, Any]]) -> int:
    """Write a bundle from the API's answers into a new or empty folder; how many records. Raises `Malformed`."""
    genesis = Genesis.from_json(evidence["genesis"])
    files: dict[str, str] = {}

    def put(name: str, text: str) -> None:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        files[name] = hashlib.sha256(text.encode()).hexdigest()

    put(GENESIS, genesis.to_json())
    for number, row in enumerate(evidence["public"], start=1):
        put(f"{PUBLIC}/{number:06d}.json", _json(row))
    count = 0
    for count, record in enumerate(records, start=1):  # noqa: B007  counted
        put(f"{RECORDS}/{record['id']}.json", _json(record))
    put(ACCESSES, _json(evidence["accesses"]))
    fields = {"version": VERSION, "network": genesis.network, "grant": grant, "files": dict(sorted(files.items()))}
    (directory / MANIFEST).write_text(_manifest(fields), "utf-8")
    return count


def audit_evidence(directory: Path, trust: TrustPolicy | None, opening: Opening) -> EvidenceReport:
    """Verify a bundle. `trust` is the reader's own; without it the genesis' members are believed."""
    return _Auditor(directory, trust, opening).run()


def check_record(answer: Mapping[str, Any], trust: TrustPolicy, opening: Opening) -> tuple[list[str], list[Part]]:
    """What of a record as the API answered it does not hold, one sentence each, and its sections."""
    return _check(answer, trust, opening)


class _Auditor:
    def __init__(self, directory: Path, trust: TrustPolicy | None, opening: Opening) -> None:
        self._directory = directory
        self._trust = trust
        self._opening = opening
        self._report = EvidenceReport()

    def run(self) -> EvidenceReport:
        manifest = self._manifest()
        if manifest is None:
            return self._report
        self._report.network, self._report.grant = str(manifest["network"]), str(manifest["grant"])
        try:
            genesis = Genesis.from_json((self._directory / GENESIS).read_text("utf-8"))
            governance = founded(genesis)
        except (OSError, ValueError, ConsortiumError):
            self._find(GENESIS, "it is no genesis")
            return self._report
        trust = self._trust or witnessing.trust_policy(genesis)
        grant = self._grant(self._replayed(governance, trust))
        self._accesses(trust, grant)
        for path in sorted((self._directory / RECORDS).glob("*.json")):
            self._record(path, trust, grant)
        return self._report

    def _find(self, place: str, sentence: str) -> None:
        self._report.findings.append(Finding(place, sentence))

    # --- files -----------------------------------------------------------------------------------------------

    def _manifest(self) -> dict[str, Any] | None:
        try:
            raw = json.loads((self._directory / MANIFEST).read_text("utf-8"))
            own = raw.pop("self")
            same = _manifest(raw) == (self._directory / MANIFEST).read_text("utf-8")
            files = {str(name): str(digest) for name, digest in raw["files"].items()}
            if not (same and own and raw["version"] == VERSION and isinstance(raw["grant"], str) and raw["network"]):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._find(MANIFEST, "it is not readable, or was changed: its own digest does not fit")
            return None
        present = {p.relative_to(self._directory).as_posix() for p in self._directory.rglob("*") if p.is_file()}
        for name in sorted(present ^ (files.keys() | {MANIFEST})):
            self._find(name, "the file is missing" if name in files else "the manifest does not name this file")
        for name, digest in files.items():
            if name in present and digest_of(self._directory / name) != digest:
                self._find(name, "the file is not the one that the manifest names: its SHA-256 differs")
        return dict(raw)

    def _read(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            self._find(self._name(path), "it is no JSON")
            return None

    def _name(self, path: Path) -> str:
        return path.relative_to(self._directory).as_posix()

    # --- votes -----------------------------------------------------------------------------------------------

    def _replayed(self, governance: Governance, trust: TrustPolicy) -> Governance:
        """What stands decided after the bundle's public records, each proven and judged by the rules of its place."""
        before = -1
        for path in sorted((self._directory / PUBLIC).glob("*.json")):
            raw, name = self._read(path), self._name(path)
            proven = self._proven(name, raw, trust)
            if proven is None:
                continue
            if proven.header.kind not in PUBLIC_KINDS or proven.index <= before:
                self._find(name, "it is no public record, or not in the ledger's order")
                continue
            before = proven.index
            after = step(governance, proven.header, int(raw["height"]), int(raw["time_ms"]))
            if isinstance(after, RecordRefusal):
                self._find(name, f"the ledger would have refused it: {after}")
                continue
            governance = after
        return governance

    def _proven(self, name: str, raw: Any, trust: TrustPolicy) -> VerifiedReceipt | None:
        try:
            if type(raw["height"]) is not int or type(raw["time_ms"]) is not int:
                raise Malformed("its height or time is no number")
            return verify_receipt(parse_receipt(str(raw["receipt"])), trust)
        except (KeyError, TypeError):
            self._find(name, "it lacks a field")
        except ConsortiumError as error:
            self._find(name, str(error))
        return None

    def _grant(self, governance: Governance) -> Grant | None:
        try:
            grant_id = bytes.fromhex(self._report.grant)
        except ValueError:
            grant_id = b""
        grant, proposal = governance.grants.get(grant_id), governance.proposals.get(grant_id)
        if grant is None or proposal is None:
            self._find(PUBLIC, "the votes do not open this grant by the rules of their time")
            return None
        self._report.officer, self._report.purpose = grant.officer, grant.purpose
        self._report.yes = tuple(sorted(proposal.yes))
        return grant

    # --- reads -----------------------------------------------------------------------------------------------

    def _accesses(self, trust: TrustPolicy, grant: Grant | None) -> None:
        for number, raw in enumerate(self._read(self._directory / ACCESSES) or (), start=1):
            place = f"{ACCESSES}, entry {number}"
            try:
                proven = verify_receipt(parse_receipt(str(raw["receipt"])), trust)
                if proven.header.id.hex() != raw["id"]:
                    raise Malformed("its receipt is of another record")
                if grant is not None and not grant.officer.endswith(f"@{proven.header.author}"):
                    raise Malformed("it was not written by the officer's member")
            except (KeyError, TypeError):
                self._find(place, "it lacks a field")
            except ConsortiumError as error:
                self._find(place, str(error))
            self._report.accesses += 1

    def _record(self, path: Path, trust: TrustPolicy, grant: Grant | None) -> None:
        raw, name = self._read(path), self._name(path)
        self._report.records += 1
        if not isinstance(raw, dict):
            return self._find(name, "it is no record")
        if raw.get("proof") is None:
            self._report.unproven += 1
            return None
        sentences, parts = _check(raw, trust, self._opening)
        if raw.get("id") != path.stem or raw.get("grant") != self._report.grant:
            sentences.append("it is of another record or grant than its place says")
        if grant is not None and parts:
            judged = judge(grant.scope, parts, [str(word) for word in raw.get("words") or ()])
            self._report.by_word += judged.by_word
            if judged.fault:
                sentences.append(f"it lies outside the grant's scope: {judged.fault}")
        for sentence in sentences:
            self._find(name, sentence)
        return None


def _check(answer: Mapping[str, Any], trust: TrustPolicy, opening: Opening) -> tuple[list[str], list[Part]]:
    findings: list[str] = []
    try:
        proof = answer["proof"]
        header = parse_header(bytes.fromhex(proof["header"]))
        texts = [_section(header, raw, opening, findings) for raw in proof["sections"]]
        findings += _of_receipt(answer, proof, header, trust)
        good = [text for text in texts if text is not None]
        if not good:
            return [*findings, "none of its sections opens"], []
        type, data = in_words(good)
        if (header.id.hex(), header.author, type) != (answer["id"], answer["author"], answer["type"]):
            findings.append("its id, author or type is not what its header and sections say")
        if json.loads(json.dumps(data)) != answer["data"]:
            findings.append("what is shown of it is not what its sections say")
        parts = [part for text in good if (part := read_part(text)) is not None]
    except (KeyError, TypeError, ValueError, AttributeError):
        return [*findings, "it is not readable"], []
    except ConsortiumError as error:
        return [*findings, str(error)], []
    return findings, parts


def _section(header: Header, raw: Mapping[str, Any], opening: Opening, findings: list[str]) -> bytes | None:
    number, body = raw["number"], bytes.fromhex(raw["body"])
    if type(number) is not int or not 0 <= number < len(header.sections):
        findings.append("a section has no place in its header")
        return None
    if sha256(body) != header.sections[number].digest:
        findings.append(f"section {number}: the ciphertext is not the one that the header names")
        return None
    try:
        return opening(header, number, body, bytes.fromhex(raw["key"]))
    except ConsortiumError as error:
        findings.append(str(error))
        return None


def _of_receipt(
    answer: Mapping[str, Any], proof: Mapping[str, Any], header: Header, trust: TrustPolicy
) -> Iterator[str]:
    if proof["receipt"] is None:
        yield "it has no receipt yet: ask again once the members have cosigned it"
        return
    try:
        proven = verify_receipt(parse_receipt(proof["receipt"]), trust)
    except ConsortiumError as error:
        yield str(error)
        return
    if proven.header != header or proven.index != answer["index"]:
        yield "its receipt is of another record"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _manifest(fields: Mapping[str, Any]) -> str:
    own = hashlib.sha256(_json(fields).encode()).hexdigest()
    return _json({**fields, "self": own})
