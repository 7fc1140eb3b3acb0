"""YARA rules: our own few, and those that the operator puts into STATE/rules (``*.yar``).

Purpose: a file of rules is tried before it is used. One that does not compile, is slow, names a finding that does not
         exist, or matches what every mail has, is refused with a sentence; its former text stays in force.
Process: ``scan`` compiles; its children match. ``./beffroi scan`` tries rules without the process.
Hostile: what is matched. The rules are the operator's, who is root.
Source:  yara-x (VirusTotal, Rust); docs/decisions/0046-scanner-process.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import yara_x

from beffroi.lib.errors import BeffroiError
from beffroi.scan import kinds

OWN = "beffroi"
MAX_RULES_BYTES = 8 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}\.yar")
# What rules must leave alone: an empty file, zeros, and how ordinary files begin.
_ORDINARY = (
    b"",
    bytes(4096),
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    b"PK\x03\x04\x14\0\x06\0[Content_Types].xml",
    b"Bonjour,\r\n\r\nVeuillez trouver ci-joint le compte rendu du conseil municipal.\r\n",
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    b"<html><body><p>Bonjour</p></body></html>",
)


class RulesRefused(BeffroiError):
    """The rules in {} are not used: {}. Those before stay in force. Next: correct the file; it is tried again then."""

    code = "scan.rules_refused"


class Rules:
    """Compiled rules. Immutable; children share them."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """``sources``: name → text, each tried before. Errors: RulesRefused."""
        self.compiled = _compiled(sources)
        joined = "\n".join(f"{name}\n{sources[name]}" for name in sorted(sources))
        self.mark = hashlib.sha256(joined.encode()).hexdigest()[:12]
        self.count = sum(1 for _ in self.compiled)

    def matches(self, data: bytes) -> list[tuple[str, str]]:
        """(finding, name of the rule) of each rule that matches."""
        found = yara_x.Scanner(self.compiled).scan(data).matching_rules
        return [(_finding(rule.metadata), rule.identifier[:64]) for rule in found]


def own() -> str:
    return resources.files("beffroi.scan").joinpath("rules", f"{OWN}.yar").read_text("utf-8")


def directory(state: Path) -> Path:
    """Where the operator puts rules."""
    return state / "rules"


def tried(name: str, source: str) -> None:
    """Compile one file and let it meet ordinary files. Errors: RulesRefused."""
    rules = _compiled({name: source}, strict=True)
    for rule in rules:
        wanted = dict(rule.metadata).get("finding", kinds.MALWARE)
        if wanted not in kinds.ORDER:
            raise RulesRefused(name, f"{rule.identifier}: there is no finding {str(wanted)[:40]!r}")
    for data in _ORDINARY:
        for rule in yara_x.Scanner(rules).scan(data).matching_rules:
            raise RulesRefused(name, f"{rule.identifier} matches what ordinary files have")


class Folder:
    """The operator's rules as they change. ``refused``: name → why, of files that are not in force as they stand."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, str] = {}
        self._seen: object = None
        self.refused: dict[str, str] = {}
        self.rules = Rules({OWN: own()})

    def changed(self) -> bool:
        """Look again; True when other rules are in force now, or others are refused."""
        seen = self._listing()
        if seen == self._seen:
            return False
        self._seen = seen
        before = (self.rules.mark, dict(self.refused))
        self.refused = {}
        for name in set(self._kept) - set(seen):
            del self._kept[name]
        for name in seen:
            try:
                source = _read(self._path / name)
                tried(name, source)
                self._kept[name] = source
            except RulesRefused as error:
                self.refused[name] = str(error)
        self.rules = Rules({OWN: own(), **self._kept})
        return (self.rules.mark, self.refused) != before

    def _listing(self) -> dict[str, tuple[int, int]]:
        try:
            paths = sorted(path for path in self._path.iterdir() if path.suffix == ".yar")
            return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}
        except OSError:  # a file that goes while it is looked at is seen the next time
            return {}


def _read(path: Path) -> str:
    """Errors: RulesRefused."""
    if not _NAME.fullmatch(path.name):
        raise RulesRefused(path.name, "the name of the file must be letters, digits, - and _, then .yar")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RulesRefused(path.name, f"it cannot be read ({error.strerror})") from None
    if len(data) > MAX_RULES_BYTES:
        raise RulesRefused(path.name, f"it is longer than {MAX_RULES_BYTES // 2**20} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise RulesRefused(path.name, "it is not UTF-8") from None


def _compiled(sources: Mapping[str, str], *, strict: bool = False) -> yara_x.Rules:
    compiler = yara_x.Compiler(error_on_slow_pattern=strict, includes_enabled=False)
    for name, source in sources.items():
        compiler.new_namespace(name)
        try:
            compiler.add_source(source, origin=name)
        except yara_x.CompileError as error:
            raise RulesRefused(name, _one_line(str(error))) from None
    return compiler.build()


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]


def _finding(metadata: tuple[tuple[str, object], ...]) -> str:
    wanted = str(dict(metadata).get("finding", kinds.MALWARE))
    return wanted if wanted in kinds.ORDER else kinds.MALWARE
