"""Mails of a former state of one mailbox: what is missing today, put back, and taken away again.

Purpose: the former state is opened beside the mailbox, by Dovecot, with the mailbox's own key; what lies nowhere in the
         mailbox any more, nor in quarantine, is copied. A second run finds nothing missing, so a run that was killed is
         simply run again.
Process: backup, through doveadm(1) on this machine: its HTTP interface must not open other storages.
Hostile: mails and names of folders. Senders and subjects are compared and matched here and told to nobody.
Fails:   EngineRefused (retryable); what was copied is found by the next run.
Source:  docs/decisions/0047-backup-of-mail.md; doveadm-import(1), doveadm-search-query(7).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid, NotFound, Unavailable
from beffroi.mail import privacy
from beffroi.mail.engines import layout

BATCH = 100
TIMEOUT_S = 3600.0
MAX_WORDS = 12
MAX_NAMED = 50
_FIELDS = (
    "mailbox uid guid hdr.x-beffroi-id hdr.message-id hdr.subject hdr.sensitivity hdr.date size.physical"
    " date.received.unixtime"
)
_WORD = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_PANIC = re.compile(r" Panic: file [\w.-]+: line \d+ \(\w+\)")  # where in its source, and nothing of a mail
_KEYS = ("subject", "from", "to")
_DAYS = ("since", "before")


class EngineRefused(Unavailable):
    """Dovecot could not do this ({}). What was restored so far stays; given again, the command goes on."""

    code = "backup.engine_refused"


class NoSuchFolder(NotFound):
    """No folder “{}” held mails then. Folders with mails: {}. Next: give one of these names"""

    code = "backup.no_such_folder"


@dataclass(frozen=True)
class Letter:
    """One mail of a state of the mailbox. ``marks``: what tells that two are the same."""

    folder: str
    uid: str
    guid: str
    beffroi_id: str
    subject: str
    sensitivity: str
    received_s: int
    marks: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """``missing``: to be copied; ``present``: lie in the mailbox today; ``private``: left out, for they are marked."""

    missing: tuple[Letter, ...]
    present: int
    private: int

    @property
    def folders(self) -> dict[str, int]:
        return dict(Counter(one.folder for one in self.missing))


@dataclass(frozen=True)
class Wanted:
    """What is asked for. ``folder``: "" for all; ``terms``: (key, value) of ``parse``; ``owner``: asked for by the
    owner, so private folders and mails too."""

    folder: str = ""
    terms: tuple[tuple[str, str], ...] = ()
    message_id: str = ""
    owner: bool = False


def parse(text: str) -> tuple[tuple[str, str], ...]:
    """Terms of ``subject:devis from:"jean dupont" since:2026-11-01``; a word without a key is one of the subject.

    Errors: Invalid.
    """
    terms = []
    for key, quoted, plain in re.findall(r'(?:(\w+):)?(?:"([^"]*)"|(\S+))', text):
        name, value = key.lower() or "subject", quoted or plain
        day = name in _DAYS and re.fullmatch(r"\d{4}-\d\d-\d\d", value)
        if not (day or (name in _KEYS and _WORD.fullmatch(value))):
            raise Invalid(f"search: {', '.join(_KEYS)}, {' or '.join(_DAYS)} (with a day like 2026-11-01)")
        terms.append((name, value))
    if len(terms) > MAX_WORDS:
        raise Invalid(f"search: at most {MAX_WORDS} terms")
    return tuple(terms)


class Box:
    """One mailbox, and a former state of it in ``former`` (a directory like its home)."""

    def __init__(self, config: Config, address: str, former: Path) -> None:
        self._conf = str(layout.Paths(config.state).dovecot_conf)
        self._address = address
        self._former = former
        self._quarantine = layout.quarantine_folder(config)

    def plan(self, wanted: Wanted) -> Plan:
        """Compare. Errors: EngineRefused, NoSuchFolder."""
        query = ["mailbox", wanted.folder] if wanted.folder else ["all"]
        for key, value in wanted.terms:
            query += [f"sent{key}" if key in _DAYS else key, value]
        if wanted.message_id:
            query += ["header", "message-id", wanted.message_id.strip().strip("<>")]
        former = self._letters(query, former=True)
        if wanted.folder and not former:
            self._check_folder(wanted)
        today = {mark for one in self._letters(["all"]) for mark in one.marks}
        today |= {mark for one in self._letters(["mailbox", self._quarantine]) for mark in one.marks}
        missing, present, hidden, seen = [], 0, 0, set[str]()
        for one in former:
            if one.marks & today:
                present += 1
            elif not wanted.owner and privacy.is_private(
                folder=one.folder, subjects=(one.subject,), sensitivities=(one.sensitivity,)
            ):
                hidden += 1
            elif one.guid not in seen:
                seen.add(one.guid)
                missing.append(one)
        return Plan(tuple(missing), present, hidden)

    def _check_folder(self, wanted: Wanted) -> None:
        """Else a name as the page shows it ("Envoyés") would say that nothing is missing. Errors: NoSuchFolder."""
        held = {one.folder for one in self.former()}
        if wanted.folder not in held:
            shown = [one for one in sorted(held) if wanted.owner or not privacy.is_private_folder(one)]
            raise NoSuchFolder(wanted.folder, ", ".join(shown[:MAX_NAMED]) or "-")

    def former(self) -> list[Letter]:
        """All mails in the folders of the former state. Errors: EngineRefused."""
        return self._letters(["all"], former=True)

    def put_out(self) -> None:
        """End the connections of the mailbox: what they hold open is not the mailbox any more."""
        with contextlib.suppress(EngineRefused):  # there are none
            self._run("kick", [self._address])

    def put_back(self, letters: Sequence[Letter], folder: str, tell: Callable[[int], None]) -> None:
        """Copy into ``folder`` (below it, each folder under its own name), or with "" where they were.

        ``tell`` gets how many are done. Identifier, flags and day of receipt stay. Errors: EngineRefused.
        """
        done = 0
        for source, some in _batches(letters):
            guids = _any_of(one.guid for one in some)
            source_path = f"mdbox:{self._former / 'mdbox'}"
            below = ["-s"] if folder else []
            self._run("import", [source_path, folder, "mailbox", source, *guids], *below)
            done += len(some)
            tell(done)

    def take_away(self, guids: Sequence[str], folders: Iterable[str]) -> int:
        """Remove exactly these mails from these folders; what was moved elsewhere stays. Return how many.

        Errors: EngineRefused.
        """
        removed = 0
        for folder in folders:
            for some in batched(guids, BATCH, strict=False):
                query = ["mailbox", folder, *_any_of(some)]
                there = self._letters(query)
                if there:
                    self._run("expunge", query)
                removed += len(there)
        return removed

    def texts(self, limit: int, *, former: bool) -> dict[str, str]:
        """SHA-256 of whole mails by their identifier (GUID), of INBOX and at most ``limit``. Errors: EngineRefused."""
        said = self._run("fetch", ["guid text", "mailbox", "INBOX", "uid", f"1:{limit}"], former=former)
        return {one["guid"]: hashlib.sha256(one["text"].encode()).hexdigest() for one in said}

    def _letters(self, query: Sequence[str], *, former: bool = False) -> list[Letter]:
        return [_letter(one) for one in self._run("fetch", [_FIELDS, *query], former=former)]

    def _run(self, verb: str, words: Sequence[str], *more: str, former: bool = False) -> list[dict[str, str]]:
        """``words``: may be anybody's, a folder "-A" too: none of them is taken for an option."""
        options = ["-o", f"mail_path={self._former / 'mdbox'}"] if former else []
        whose = [] if verb == "kick" else [*more, "-u", self._address, "--"]
        try:
            done = subprocess.run(
                ["/usr/bin/doveadm", "-c", self._conf, *options, "-f", "json", verb, *whose, *words],
                capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False, cwd="/",
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            raise EngineRefused(f"doveadm {verb}") from None
        if done.returncode == 68:  # EX_NOHOST: no such folder or mailbox
            return []
        if done.returncode:
            where = _PANIC.search(done.stderr)
            raise EngineRefused(f"doveadm {verb}, status {done.returncode}{where[0] if where else ''}")
        return list(json.loads(done.stdout or "[]")) if verb == "fetch" else []


def _batches(letters: Sequence[Letter]) -> Iterable[tuple[str, Sequence[Letter]]]:
    folders: dict[str, list[Letter]] = {}
    for one in letters:
        folders.setdefault(one.folder, []).append(one)
    for folder, inside in folders.items():
        for some in batched(inside, BATCH, strict=False):
            yield folder, some


def _any_of(guids: Iterable[str]) -> list[str]:
    words: list[str] = []
    for guid in guids:
        words += [*(["or"] if words else []), "guid", guid]
    return ["(", *words, ")"]


def _letter(row: dict[str, str]) -> Letter:
    ours, named = row["hdr.x-beffroi-id"].strip(), row["hdr.message-id"].strip()
    told = "\0".join((row["hdr.date"], row["hdr.subject"], row["size.physical"]))
    # Anybody may choose a Message-ID: where our own identifier is there, a stranger's mail hides no honest one.
    same = (
        f"id {ours}"
        if ours
        else f"named {named}"
        if named
        else f"like {hashlib.sha256(told.encode()).hexdigest()}"
    )
    marks = {f"guid {row['guid']}", same}
    received = row["date.received.unixtime"]
    return Letter(
        row["mailbox"], row["uid"], row["guid"], ours, row["hdr.subject"], row["hdr.sensitivity"],
        int(received) if received.isdecimal() else 0, frozenset(marks),
    )  # fmt: skip
