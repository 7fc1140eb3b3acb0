"""The portal's questions: a grant, a form of ``wire``, and Radicale's storage under its own lock.

Purpose: the process web shows and changes simple entries without a file of the calendars and without a parser of
         iCalendar.
Process: calendars.
Hostile: nothing that the front lets through comes here; a grant is read as if it did.
Fails:   closed: no grant, no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.core.planes.tokens import Grant, GrantRefused, read_grant
from beffroi.drive.calendars import (
    bringing,
    cards,
    effort,
    entries,
    groups,
    homes,
    invitations,
    passing,
    proposals,
    removed,
    rooms,
    wire,
    wire_bringing,
    wire_contacts,
    wire_invitations,
)
from beffroi.drive.calendars.fullness import Fullness
from beffroi.drive.calendars.items import Keep
from beffroi.drive.calendars.store import Stores
from beffroi.drive.store.passed import Kind
from beffroi.lib import digits
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, Invalid, NotAllowed, NotFound, TooLarge, Unavailable

PREFIX = "/portal/"


class PortalDoor:
    def __init__(self, config: Config, stores: Stores, fullness: Fullness) -> None:
        self._config = config
        self._stores, self._fullness = stores, fullness

    def answer(self, path: str, environ: dict[str, Any]) -> tuple[HTTPStatus, bytes]:
        """Status and JSON; of an error its code alone."""
        try:
            if environ.get("REQUEST_METHOD") != "POST" or path not in _QUESTIONS:
                raise NotFound("question")
            form, act = _QUESTIONS[path]
            # Before a refusal: who still sends would see a broken connection instead of it.
            body = _body(environ, _LARGE.get(path, wire.MAX_QUESTION_BYTES))
            grant = self._grant(environ, wire.LEFT if path == PREFIX + "left" else wire.OWN)
            try:
                asked = msgspec.json.decode(body, type=form)
            except UNDECODABLE:
                raise Invalid("question") from None
            return HTTPStatus.OK, msgspec.json.encode(act(self, grant, asked))
        except BeffroiError as error:
            return HTTPStatus(error.http_status), msgspec.json.encode({"code": error.code})

    def _grant(self, environ: dict[str, Any], opens: str) -> Grant:
        """Errors: GrantRefused."""
        scheme, _, text = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        grant = read_grant(self._config.secret("live.key"), text, path=opens)
        if scheme != "Bearer" or grant.collectivite_id is None:
            raise GrantRefused
        return grant

    def list(self, grant: Grant, asked: wire.Range) -> wire.Entries:
        storage = self._storage(grant)
        return entries.between(storage, self._seen(grant, "agenda"), asked.since, asked.until, asked.mine)

    def contacts(self, grant: Grant, asked: wire_contacts.Sought) -> wire_contacts.Contacts:
        storage = self._storage(grant)
        return cards.search(storage, self._seen(grant, "contacts"), asked)

    def contact(self, grant: Grant, asked: wire.Named) -> wire_contacts.Contact:
        place = _open(grant, asked.calendar, "contacts")
        return cards.get(self._storage(grant), asked.calendar, place, asked.name)

    def save_contact(self, grant: Grant, asked: wire_contacts.ContactDraft) -> wire.Done:
        place = _open(grant, asked.calendar, "contacts", write=True)
        self._require_room(grant, place, len(msgspec.json.encode(asked)))
        return cards.save(self._storage(grant), place, asked)

    def delete_contact(self, grant: Grant, asked: wire.Named) -> wire.Done:
        place = _open(grant, asked.calendar, "contacts", write=True)
        return cards.delete(self._storage(grant), place, asked, self._keep(grant, asked, "contacts"))

    def groups(self, grant: Grant, asked: wire_contacts.Grouping) -> wire_contacts.Groups:
        storage = self._storage(grant)
        return groups.listed(storage, self._seen(grant, "contacts"))

    def group(self, grant: Grant, asked: wire_contacts.GroupNamed) -> wire_contacts.Group:
        place = self._shown(grant, asked.calendar, "contacts", asked.handed)
        return groups.get(self._storage(grant), asked.calendar, place, asked.name)

    def save_group(self, grant: Grant, asked: wire_contacts.GroupDraft) -> wire.Done:
        place = _open(grant, asked.calendar, "contacts", write=True)
        self._require_room(grant, place, len(msgspec.json.encode(asked)))
        return groups.save(self._storage(grant), place, asked)

    def delete_group(self, grant: Grant, asked: wire.Named) -> wire.Done:
        place = _open(grant, asked.calendar, "contacts", write=True)
        return groups.delete(self._storage(grant), place, asked, self._keep(grant, asked, "contacts"))

    def put_back(self, grant: Grant, asked: wire_bringing.Which) -> wire.Done:
        home = self._home(grant)
        calendar = removed.where(home, asked)
        place = _open(grant, calendar, asked.kind, write=True)
        require = partial(self._require_room, grant, place)
        return _booking(partial(removed.put_back, self._storage(grant), home, place, asked, require))

    def _keep(self, grant: Grant, asked: wire.Named, kind: Kind) -> Keep:
        return partial(removed.keep, self._home(grant), kind, asked.calendar)

    def bring(self, grant: Grant, asked: wire_bringing.Brought) -> wire_bringing.File:
        place, storage = _open(grant, asked.calendar, asked.kind, write=True), self._storage(grant)
        # It waits in this person's home, wherever it goes.
        require = partial(self._require_room, grant, _collection(grant, "own", asked.kind))
        return bringing.look(storage, self._home(grant), place, asked, require)

    def brought(self, grant: Grant, asked: wire_bringing.Last) -> wire_bringing.File:
        return bringing.last(self._home(grant), asked.kind)

    def take_in(self, grant: Grant, asked: wire_bringing.Which) -> wire_bringing.Done:
        place = self._brought_to(grant, asked)
        is_own = place == _collection(grant, "own", asked.kind)

        def require(coming_bytes: int, going_bytes: int) -> None:
            growth_bytes = coming_bytes - going_bytes if is_own else coming_bytes
            self._require_room(grant, place, growth_bytes, moved_bytes=0 if is_own else going_bytes)

        return bringing.take_in(self._storage(grant), self._home(grant), place, asked, require)

    def take_out(self, grant: Grant, asked: wire_bringing.Which) -> wire_bringing.Done:
        place = self._brought_to(grant, asked)
        return bringing.take_out(self._storage(grant), self._home(grant), place, asked)

    def _brought_to(self, grant: Grant, asked: wire_bringing.Which) -> str:
        """Errors: NotFound, NotAllowed (a role may have changed since)."""
        return _open(grant, bringing.waiting(self._home(grant), asked), asked.kind, write=True)

    def give(self, grant: Grant, asked: wire_bringing.Given) -> wire_bringing.Text:
        storage = self._storage(grant)
        return bringing.give(storage, self._shown(grant, asked.calendar, asked.kind, asked.handed))

    def handed(self, grant: Grant, asked: wire_bringing.Handing) -> Sequence[wire_bringing.Handed]:
        storage = self._storage(grant)
        return bringing.handed(storage, self._handed(grant, asked.kind))

    def _seen(self, grant: Grant, kind: Kind) -> Sequence[tuple[wire.Calendar, str]]:
        """Calendars or address books of this person, with their paths."""
        both: tuple[wire.Calendar, ...] = ("own", "shared")
        found = [(one, _collection(grant, one, kind)) for one in both if _opens(grant, one)]
        if kind == "agenda" and _opens(grant, "shared"):
            found += [(one, _collection(grant, one)) for one in homes.rooms(self._home(grant).parent)]
        return [*found, *self._handed(grant, kind)]

    def _handed(self, grant: Grant, kind: Kind) -> Sequence[tuple[wire.Calendar, str]]:
        """Those that came from who left, with their paths."""
        return [("handed", _own_path(grant, one)) for one in passing.handed(self._home(grant), kind)]

    def _shown(self, grant: Grant, calendar: wire.Calendar, kind: Kind, handed: str) -> str:
        """The path of one that is read as a whole. Errors: NotFound."""
        if calendar == "handed":
            if handed not in passing.handed(self._home(grant), kind):
                raise NotFound("calendar")
            return _own_path(grant, handed)
        return _open(grant, calendar, kind)

    def _require_room(self, grant: Grant, place: str, growth_bytes: int, *, moved_bytes: int = 0) -> None:
        """As ``Fullness.require``."""
        assert grant.collectivite_id is not None
        name = place.strip("/").partition("/")[2]
        self._fullness.require(
            grant.collectivite_id, grant.subject_id, name, growth_bytes, moved_bytes=moved_bytes
        )

    def left(self, grant: Grant, asked: wire.Counting) -> wire.Left:
        """Nobody's home is made for it."""
        found, closed = passing.left(self._home(grant))
        return wire.Left(
            [wire.Collection(one.was, one.kind, one.title, one.entries, one.size_bytes) for one in found],
            closed,
        )

    def _home(self, grant: Grant) -> Path:
        assert grant.collectivite_id is not None
        return homes.folder(self._config, grant.collectivite_id) / homes.ROOT / grant.subject_id

    def get(self, grant: Grant, asked: wire.Named) -> wire.Entry:
        place = _open(grant, asked.calendar, "agenda")
        return entries.get(self._storage(grant), asked.calendar, place, asked.name, asked.mine)

    def save(self, grant: Grant, asked: wire.Draft) -> wire.Done:
        place = _open(grant, asked.calendar, "agenda", write=True)
        require = partial(self._require_room, grant, place)
        return _booking(partial(entries.save, self._storage(grant), place, asked, require))

    def rooms(self, grant: Grant, asked: wire.Rooms) -> Sequence[wire.Room]:
        if not _opens(grant, "shared"):
            return ()
        return rooms.listed(self._storage(grant), self._home(grant).parent)

    def add_room(self, grant: Grant, asked: wire.NewRoom) -> wire.Room:
        _open(grant, "shared", "agenda", write=True)
        return rooms.add(self._storage(grant), self._home(grant).parent, asked.title)

    def retire_room(self, grant: Grant, asked: wire.Retiring) -> wire.Room:
        _open(grant, "shared", "agenda", write=True)
        return rooms.set_retired(self._storage(grant), self._home(grant).parent, asked)

    def delete(self, grant: Grant, asked: wire.Named) -> wire.Done:
        place = _open(grant, asked.calendar, "agenda", write=True)
        return entries.delete(self._storage(grant), place, asked, self._keep(grant, asked, "agenda"))

    def look(self, grant: Grant, asked: wire_invitations.Received) -> wire_invitations.Invitation:
        return invitations.look(self._storage(grant), _written(grant), asked)

    def answer_invitation(self, grant: Grant, asked: wire_invitations.Answered) -> wire.Outgoing:
        place = _collection(grant, "own")
        self._require_room(grant, place, len(asked.text.encode()))
        return invitations.answer(self._storage(grant), place, asked)

    def note(self, grant: Grant, asked: wire_invitations.Noted) -> wire_invitations.Invitation:
        return invitations.note(self._storage(grant), _written(grant), asked)

    def settle(self, grant: Grant, asked: wire_invitations.Settled) -> tuple[wire.Outgoing, ...]:
        require = partial(self._require_room, grant)
        message = invitations.read(asked.text, asked.sender)
        return tuple(proposals.settle(self._storage(grant), _written(grant), message, asked, require))

    def _storage(self, grant: Grant) -> Any:
        assert grant.collectivite_id is not None
        return self._stores.home(grant.collectivite_id, grant.subject_id).storage


def _booking(act: Callable[[], wire.Done]) -> wire.Done:
    """Errors: those of ``act`` but Booked, Unavailable (too many repeating entries to look through)."""
    try:
        with effort.bounded():
            return act()
    except rooms.Booked as error:
        return wire.Done("", booked=error.booking)
    except effort.Spent:
        raise Unavailable("calendar") from None


def _collection(grant: Grant, calendar: str, kind: Kind = "agenda") -> str:
    """Errors: NotFound: a room is no address book."""
    if calendar.startswith(homes.ROOM):
        if kind != "agenda":
            raise NotFound("book")
        return _own_path(grant, homes.linked(calendar))
    own, shared = _NAMES[kind]
    return _own_path(grant, own if calendar == "own" else shared)


def _own_path(grant: Grant, name: str) -> str:
    return f"/{grant.subject_id}/{name}/"


def _written(grant: Grant) -> list[str]:
    """Calendars that this person changes, their own first."""
    return [_collection(grant, one) for one in ("own", "shared") if _opens(grant, one, write=True)]


def _opens(grant: Grant, calendar: str, *, write: bool = False) -> bool:
    if calendar == "own":
        return wire.OWN in grant.paths
    if calendar == "handed":
        return False  # one by one
    return (wire.WRITE_SHARED if write else wire.READ_SHARED) in grant.paths


def _open(grant: Grant, calendar: str, kind: Kind, *, write: bool = False) -> str:
    """The path. Errors: NotFound for what is not shown or not changed here, NotAllowed for what is only shown."""
    if not _opens(grant, calendar):
        raise NotFound("entry")
    if write and not _opens(grant, calendar, write=True):
        raise NotAllowed("change what is shared")
    return _collection(grant, calendar, kind)


def _body(environ: dict[str, Any], most_bytes: int) -> bytes:
    """Errors: TooLarge, Invalid."""
    told = digits.needed(environ.get("CONTENT_LENGTH") or "0", "length")
    if told > most_bytes:
        raise TooLarge(most_bytes)
    body: bytes = environ["wsgi.input"].read(told)
    return body


_NAMES: dict[Kind, tuple[str, str]] = {
    "agenda": (homes.AGENDA, homes.SHARED_AGENDA),
    "contacts": (homes.CONTACTS, homes.SHARED_CONTACTS),
}
_QUESTIONS: dict[str, tuple[type[Any], Callable[[PortalDoor, Grant, Any], Any]]] = {
    PREFIX + "list": (wire.Range, PortalDoor.list),
    PREFIX + "left": (wire.Counting, PortalDoor.left),
    PREFIX + "get": (wire.Named, PortalDoor.get),
    PREFIX + "save": (wire.Draft, PortalDoor.save),
    PREFIX + "delete": (wire.Named, PortalDoor.delete),
    PREFIX + "contacts": (wire_contacts.Sought, PortalDoor.contacts),
    PREFIX + "contact": (wire.Named, PortalDoor.contact),
    PREFIX + "save-contact": (wire_contacts.ContactDraft, PortalDoor.save_contact),
    PREFIX + "delete-contact": (wire.Named, PortalDoor.delete_contact),
    PREFIX + "groups": (wire_contacts.Grouping, PortalDoor.groups),
    PREFIX + "group": (wire_contacts.GroupNamed, PortalDoor.group),
    PREFIX + "save-group": (wire_contacts.GroupDraft, PortalDoor.save_group),
    PREFIX + "delete-group": (wire.Named, PortalDoor.delete_group),
    PREFIX + "rooms": (wire.Rooms, PortalDoor.rooms),
    PREFIX + "add-room": (wire.NewRoom, PortalDoor.add_room),
    PREFIX + "retire-room": (wire.Retiring, PortalDoor.retire_room),
    PREFIX + "put-back": (wire_bringing.Which, PortalDoor.put_back),
    PREFIX + "bring": (wire_bringing.Brought, PortalDoor.bring),
    PREFIX + "brought": (wire_bringing.Last, PortalDoor.brought),
    PREFIX + "take-in": (wire_bringing.Which, PortalDoor.take_in),
    PREFIX + "take-out": (wire_bringing.Which, PortalDoor.take_out),
    PREFIX + "give": (wire_bringing.Given, PortalDoor.give),
    PREFIX + "handed": (wire_bringing.Handing, PortalDoor.handed),
    PREFIX + "look": (wire_invitations.Received, PortalDoor.look),
    PREFIX + "answer": (wire_invitations.Answered, PortalDoor.answer_invitation),
    PREFIX + "note": (wire_invitations.Noted, PortalDoor.note),
    PREFIX + "settle": (wire_invitations.Settled, PortalDoor.settle),
}
_LARGE = dict.fromkeys(
    (PREFIX + "look", PREFIX + "answer", PREFIX + "note", PREFIX + "settle"),
    wire_invitations.MAX_INVITATION_BYTES,
) | {PREFIX + "bring": wire_bringing.MAX_QUESTION_BYTES}
