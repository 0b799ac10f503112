"""The manifest of an export: the SHA-256 of every file, so that a changed byte anywhere is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consortium.audit.layout import MANIFEST, is_path
from consortium.audit.report import Finding
from consortium.errors import Malformed

MANIFEST_VERSION = 1
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export claims of itself. `files` maps a path to its SHA-256 in hex."""

    network: str
    height: int
    size: int
    root: str
    digest: str
    files: Mapping[str, str]

    def to_json(self) -> str:
        """The manifest file. `self` is the SHA-256 of the same JSON without it."""
        fields = self._fields()
        own = hashlib.sha256(_render(fields).encode()).hexdigest()
        return _render({**fields, "self": own})

    def _fields(self) -> dict[str, Any]:
        return {
            "version": MANIFEST_VERSION,
            "network": self.network,
            "height": self.height,
            "size": self.size,
            "root": self.root,
            "digest": self.digest,
            "files": dict(sorted(self.files.items())),
        }

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest; only the very text that `to_json` gives is one. Raises `Malformed`."""
        try:
            raw = json.loads(text)
            names = ("network", "height", "size", "root", "digest", "files")
            manifest = cls(*(raw[name] for name in names))
            same = manifest.to_json() == text
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Malformed("the manifest is not readable") from error
        if not same:
            raise Malformed("the manifest was changed: its own digest does not fit, or it is written another way")
        if type(manifest.height) is not int or type(manifest.size) is not int or not all(map(is_path, manifest.files)):
            raise Malformed("the manifest names what no export has")
        return manifest


def _render(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=1) + "\n"


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hex, in constant memory."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
    return sha256.hexdigest()


def check_files(directory: Path, manifest: Manifest) -> list[Finding]:
    """Files that are missing, changed, or too many."""
    findings = []
    for name, digest in manifest.files.items():
        path = directory / name
        if not path.is_file():
            findings.append(Finding(name, "the file is missing"))
        elif digest_of(path) != digest:
            findings.append(Finding(name, "the file is not the one that the manifest names: its SHA-256 differs"))
    present = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
    extra = sorted(present - manifest.files.keys() - {MANIFEST})
    return findings + [Finding(name, "the manifest does not name this file") for name in extra]
