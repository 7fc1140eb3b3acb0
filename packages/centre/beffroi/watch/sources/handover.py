"""What passes between the centre and the process that fetches: questions one way, what was brought the other way.

Purpose: whoever talks to the outside and parses its answers has no database, no key, and writes only here.
Process: sources and console write ``ask/`` (fetch may only read it); fetch writes ``brought/``. No Django.
Input:   ``brought/`` is hostile: fetch may have been taken over by what it parsed. It is read with limits, never
         through a symbolic link, and every value is judged again.
Format:  ask/SOURCE.json; brought/SOURCE.values, one ``kind TAB value TAB valid_until`` a line (UTC epoch seconds, 0
         for none; kind ``-KIND`` withdraws), then brought/SOURCE.json, which names the question it answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.indicators import MAX_VALUE_BYTES

from beffroi.lib import durable, json_file

MAX_VALUES = 1_000_000
MAX_HEADER_BYTES = 256 * 1024
MAX_LINE_BYTES = MAX_VALUE_BYTES + 64
MAX_CONTENT_BYTES = 64 * 1024 * 1024
"""What a source may hold, unpacked."""


class Note(msgspec.Struct, frozen=True):
    """One news item of a source that informs people: nothing follows from it."""

    title: str
    link: str
    at: str = ""


class Ask(msgspec.Struct, frozen=True):
    """Fetch this source, or read the file that was given for it. ``number`` is repeated in the answer."""

    number: str
    source_id: str
    format: str
    address: str = ""
    given: bool = False
    kinds: tuple[str, ...] = ()
    column: str = ""
    type_column: str = ""
    delimiter: str = ","
    header: bool = False
    collections: tuple[str, ...] = ()
    days: int = 0
    account: str = ""
    secret: str = ""
    etag: str = ""
    last_modified: str = ""
    proxy: str = ""
    networks: tuple[str, ...] = ()
    authority: str = ""
    """PEM certificates of an authority that is believed besides the system's."""
    max_bytes: int = MAX_CONTENT_BYTES
    deadline_s: int = 300


class Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer. ``code`` is empty when all went well; counts concern what ``values`` does not hold."""

    number: str
    source_id: str
    code: str = ""
    detail: str = ""
    not_modified: bool = False
    values: int = 0
    invalid: int = 0
    unsupported: int = 0
    size_bytes: int = 0
    etag: str = ""
    last_modified: str = ""
    notes: tuple[Note, ...] = ()


class BroughtInvalid(Exception):
    """What fetch wrote cannot be read."""


def root(state: Path) -> Path:
    return state / "sources"


def ask_file(state: Path, source_id: str) -> Path:
    return root(state) / "ask" / f"{source_id}.json"


def given_file(state: Path, source_id: str) -> Path:
    """The file that an operator gave for a source."""
    return root(state) / "ask" / f"{source_id}.given"


def brought_file(state: Path, source_id: str) -> Path:
    return root(state) / "brought" / f"{source_id}.json"


def values_file(state: Path, source_id: str) -> Path:
    return root(state) / "brought" / f"{source_id}.values"


def put_ask(state: Path, ask: Ask) -> None:
    """Errors: OSError."""
    path = ask_file(state, ask.source_id)
    durable.write(path, [msgspec.json.encode(ask)])
    path.chmod(0o640)  # the directory's group is that of fetch


def asks(state: Path) -> Iterator[Ask]:
    """Every question that waits; one that cannot be read is left out."""
    for path in sorted((root(state) / "ask").glob("*.json")):
        if (ask := json_file.read(path, Ask)) is not None:
            yield ask


def read_brought(state: Path, source_id: str) -> Brought | None:
    """None when there is no answer yet. Errors: BroughtInvalid."""
    try:
        descriptor = os.open(
            brought_file(state, source_id), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except FileNotFoundError:
        return None
    except OSError:
        raise BroughtInvalid from None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_HEADER_BYTES + 1)
    try:
        found = msgspec.json.decode(data, type=Brought)
    except UNDECODABLE:
        raise BroughtInvalid from None
    return msgspec.structs.replace(
        found,
        code=_shown(found.code, 40),
        detail=_shown(found.detail, 120),
        etag=_header(found.etag, 200),
        last_modified=_header(found.last_modified, 100),
        notes=tuple(
            Note(_shown(note.title, 300), _header(note.link, 500), _shown(note.at, 60))
            for note in found.notes[:50]
        ),
    )


def _shown(text: str, most: int) -> str:
    """What may stand on a page and in a row of the database."""
    return "".join(sign for sign in text[:most] if sign.isprintable())


def _header(text: str, most: int) -> str:
    """What may go into a request again, or nothing."""
    return text if len(text) <= most and text.isascii() and text.isprintable() else ""


def read_values(state: Path, source_id: str) -> Iterator[tuple[str, str, int]]:
    """Yield (kind, value, valid_until), at most ``MAX_VALUES``. Errors: BroughtInvalid."""
    try:
        descriptor = os.open(
            values_file(state, source_id), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError:
        raise BroughtInvalid from None
    with os.fdopen(descriptor, "rb") as file:
        for _ in range(MAX_VALUES):
            line = file.readline(MAX_LINE_BYTES + 1)
            if not line:
                return
            try:
                kind, value, until = line.decode().removesuffix("\n").split("\t")
                yield kind, value, int(until)
            except ValueError:
                raise BroughtInvalid from None


def forget(state: Path, source_id: str) -> None:
    """Remove a question, its file and its answer."""
    for path in (
        ask_file(state, source_id),
        given_file(state, source_id),
        brought_file(state, source_id),
        values_file(state, source_id),
    ):
        path.unlink(missing_ok=True)
