"""Calendars and address books of somebody who left: what of them a colleague gets, moved to their home, and back.

Rule:    an entry is one file, and moves as it is: same UID, same dates, nobody is told anew. Each collection becomes a
         collection of the colleague's own, beside theirs. Closed are collections and categories with a personal name,
         titles that begin with such a word, and every class but PUBLIC: RFC 5545, 3.8.1.3, has an unknown one meant as
         PRIVATE. A group of contacts with a personal name is a category that is a card of its own: closed, and its
         members with it.
         Which entries came is written into the new collection (``homes.HANDED``) before the first one moves, so that a
         crash loses none and doubles none: called again, the same call goes on.
Process: worker, which holds the lock (``homes.locked``); calendars, which counts. Without Radicale.
Hostile: entries and names. An entry is read as lines, never parsed; what cannot be read is closed.
Errors:  OSError, Invalid.
Source:  docs/decisions/0109-calendars-of-who-left.md.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.drive.calendars import homes, lines
from beffroi.drive.store.passed import Going, Kind
from beffroi.lib import durable, json_file
from beffroi.lib.errors import Invalid
from beffroi.lib.personal import is_personal_name, says, words_of

_KINDS: dict[str, Kind] = {"VCALENDAR": "agenda", "VADDRESSBOOK": "contacts"}
_TITLE = "D:displayname"
_PROPERTY = re.compile(r"(?:[A-Z0-9-]+\.)?(CLASS|CATEGORIES|SUMMARY)(?=[;:])", re.ASCII | re.IGNORECASE)
_CARD = re.compile(
    r"(?:[A-Z0-9-]+\.)?(UID|FN|(?:X-ADDRESSBOOKSERVER-)?(?:KIND|MEMBER))(?=[;:])", re.ASCII | re.IGNORECASE
)
_COMMA = re.compile(r"(?<!\\),")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class _Found(NamedTuple):
    """``open``: names of files with their sizes in bytes; ``closed``: how many others."""

    open: dict[str, int]
    closed: int


class Shown(NamedTuple):
    """A collection, as others than its owner may read it. ``entries``: names of files; ``closed``: how many others."""

    place: Path
    kind: Kind
    title: str
    entries: list[str]
    closed: int


class _Read(NamedTuple):
    """One entry. ``is_closed``: by what a line of it says, or of any of its parts; ``personal``: UIDs of the members of
    a group with a personal name."""

    size_bytes: int
    is_closed: bool
    uid: str
    personal: list[str]


# -- look-ups ------------------------------------------------------------------------------------------------


def left(home: Path) -> tuple[list[Going], int]:
    """What would be handed over, by name; and how many entries are closed. Nothing where there is no home."""
    found, closed = [], 0
    for place in _collections(home):
        props = _props(place)
        kind = _KINDS.get(str(props.get("tag", "")))
        if kind is None:
            continue
        inside = _look(place)
        closed += inside.closed
        if inside.open:
            title = str(props.get(_TITLE, "") or "")
            found.append(Going(place.name, kind, title, len(inside.open), sum(inside.open.values())))
    return found, closed


def shown(home: Path, *, of_all: bool) -> Iterator[Shown]:
    """Every collection of a home, by name. ``of_all``: of what all share nothing is closed."""
    for place in _collections(home):
        props = _props(place)
        kind = _KINDS.get(str(props.get("tag", "")))
        if kind is not None:
            found = _Found(dict.fromkeys(_names(place), 0), 0) if of_all else _look(place)
            yield Shown(place, kind, str(props.get(_TITLE, "") or ""), sorted(found.open), found.closed)


def waiting_bytes(home: Path, was: str) -> int:
    """Of what is still to be moved out of a collection."""
    return sum(_look(_inside(home, was)).open.values())


def handed(home: Path, kind: Kind) -> list[str]:
    """Collections of a home that came from people who left, by name."""
    return [
        one.name
        for one in _collections(home)
        if _is_handed(one) and _KINDS.get(str(_props(one).get("tag", ""))) == kind
    ]


# -- there and back ------------------------------------------------------------------------------------------


def hand_over(home: Path, was: str, heirs: Path, made: str, title: str) -> int:
    """Move what is not closed of ``home/was`` to ``heirs/made``, and return how many entries came there in all."""
    source, target = _inside(home, was), _inside(heirs, made)
    moving = _look(source).open
    names = _handed(target) | moving.keys()
    if not names:
        return 0
    heirs.mkdir(mode=0o700, exist_ok=True)
    target.mkdir(mode=0o700, exist_ok=True)
    durable.sync_directory(heirs)
    json_file.write(target / homes.HANDED, sorted(names))
    if not (target / homes.PROPS).exists():
        json_file.write(target / homes.PROPS, _props(source) | {_TITLE: title})
    _move(source, target, moving)
    return len(names)


def give_back(home: Path, was: str, heirs: Path, made: str, onward: Collection[tuple[Path, str]] = ()) -> int:
    """Move what came and is still there to where it was, as it is now; return how many entries. ``tidy`` follows.
    ``onward``: collections of others (home, name) to whom it went on since; such a one that is empty then goes."""
    source, target = _inside(heirs, made), _inside(home, was)
    places = [source, *(_inside(*one) for one in onward)]
    names = {name for name in _handed(source) for place in places if (place / name).is_file()}
    if names and not target.is_dir():  # deleted by who is back
        target.mkdir(mode=0o700)
        json_file.write(target / homes.PROPS, _props(source))
        durable.sync_directory(home)
    for place in places if names else ():
        if place.is_dir():
            _move(place, target, names)
    for heir, collection in onward:
        if not any(_names(heir / collection)):
            tidy(heir, collection)
    return sum((target / one).is_file() for one in _handed(source))


def tidy(heirs: Path, made: str) -> None:
    """A collection that was given back goes, unless the colleague put something of their own into it: then it is
    theirs alone."""
    place, gone = _inside(heirs, made), heirs / f".gone-{made}"
    shutil.rmtree(gone, ignore_errors=True)  # what a kill left
    if not _is_handed(place):
        return
    if any(_names(place)):
        (place / homes.HANDED).unlink()
        durable.sync_directory(place)
        return
    place.rename(gone)
    durable.sync_directory(heirs)
    shutil.rmtree(gone)


# -- inside --------------------------------------------------------------------------------------------------


def _is_handed(place: Path) -> bool:
    return (place / homes.HANDED).is_file()


def _move(source: Path, target: Path, names: Collection[str]) -> None:
    """What has its name there already stays, so that nothing is written over. Radicale's copies of what moved go."""
    for name in sorted(names):
        if (source / name).is_file() and not (target / name).exists():
            (source / name).rename(target / name)
            (source / ".Radicale.cache" / "item" / name).unlink(missing_ok=True)
    durable.sync_directory(target)
    durable.sync_directory(source)


def _collections(home: Path) -> Iterator[Path]:
    """Of somebody's own; links lead to what is shared."""
    for place in sorted(home.iterdir()) if home.is_dir() else ():
        if not place.name.startswith(".") and place.is_dir() and not place.is_symlink():
            yield place


def _inside(home: Path, name: str) -> Path:
    """Errors: Invalid for what is no collection of one's own."""
    if homes.is_shared(name) or name.startswith(".") or Path(name).name != name:
        raise Invalid("collection")
    return home / name


def _look(place: Path) -> _Found:
    is_closed = any(is_personal_name(one) for one in (place.name, str(_props(place).get(_TITLE, ""))))
    read: dict[str, _Read] = {}
    for name in _names(place):
        try:
            read[name] = _read((place / name).read_bytes())
        except FileNotFoundError:  # deleted just now
            continue
    personal = {uid for one in read.values() for uid in one.personal}
    found = {
        name: one.size_bytes
        for name, one in read.items()
        if not (is_closed or one.is_closed or (one.uid and one.uid in personal))
    }
    return _Found(found, len(read) - len(found))


def _names(place: Path) -> Iterator[str]:
    if place.is_dir():
        yield from (one.name for one in place.iterdir() if not one.name.startswith(".") and one.is_file())


def _read(text: bytes) -> _Read:
    try:
        said_lines = lines.unfolded(text.decode()).splitlines()
    except UnicodeDecodeError:
        return _Read(len(text), True, "", [])
    said: dict[str, list[str]] = {}
    for line in said_lines:
        if begun := _CARD.match(line):
            name = begun[1].upper().removeprefix("X-ADDRESSBOOKSERVER-")
            said.setdefault(name, []).append(_split(line[begun.end() :])[1])
    (uid, *_), titles = said.get("UID", [""]), said.get("FN", [])
    is_group = any(one.strip().lower() == "group" for one in said.get("KIND", []))
    is_personal = is_group and any(is_personal_name(_plain(one)) for one in titles)
    members = [lines.bare_uid(one) for one in said.get("MEMBER", [])] if is_personal else []
    return _Read(
        len(text), is_personal or any(_says(line) for line in said_lines), lines.bare_uid(uid), members
    )


def _says(line: str) -> bool:
    begun = _PROPERTY.match(line)
    if begun is None:
        return False
    name = begun[1].upper()
    parameters, value = _split(line[begun.end() :])
    if "ENCODING=" in parameters.upper():
        return True
    if name == "CLASS":
        return value.strip().upper() != "PUBLIC"
    if name == "CATEGORIES":
        return any(is_personal_name(_plain(one)) for one in _COMMA.split(value))
    return says(words_of(_plain(value)))


def _split(line: str) -> tuple[str, str]:
    """(parameters, value)."""
    begun, at = lines.head(line)
    return begun, line[at + 1 :] if at >= 0 else ""


def _plain(value: str) -> str:
    return _ESCAPED.sub(lambda found: " " if found[1] in "nN" else found[1], value)


def _props(place: Path) -> dict[str, Any]:
    """Empty for what is no collection. Errors: OSError for one whose properties cannot be read."""
    try:
        return msgspec.json.decode((place / homes.PROPS).read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except UNDECODABLE as error:
        raise OSError("properties of a collection") from error


def _handed(place: Path) -> set[str]:
    """Names of the entries that came."""
    try:
        return msgspec.json.decode((place / homes.HANDED).read_bytes(), type=set[str])
    except FileNotFoundError:
        return set()
    except UNDECODABLE as error:
        raise OSError("list of what was handed over") from error
