"""How the process web asks ``calendars``: one question, one connection, over STATE/run/calendars.sock.

Process: web.
Fails:   ``Unavailable`` where nobody answers; what calendars refuses is the same error here.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from typing import Any

import msgspec

from beffroi.core.planes.tokens import make_grant
from beffroi.drive.calendars import homes, wire, wire_bringing, wire_contacts, wire_invitations
from beffroi.drive.store.model import QuotaFull, StoreFull
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, NotAllowed, NotFound, TooLarge, Unavailable
from beffroi.lib.unix_http import UnixConnection

GRANT_TTL_S = 30
TIMEOUT_S, FILE_TIMEOUT_S = 10.0, 45.0
_ERRORS: dict[int, tuple[type[BeffroiError], str]] = {
    404: (NotFound, "entry"),
    403: (NotAllowed, "this calendar"),
    409: (Conflict, "this entry has changed"),
    400: (Invalid, "entry"),
    413: (TooLarge, "entry"),
}
_FULL: dict[str, type[BeffroiError]] = {one.code: one for one in (QuotaFull, StoreFull)}
"""What an entry needs room for, by code: both have one status."""


class _Questions:
    """``paths``: what the grant opens."""

    def __init__(self, config: Config, person_id: str, collectivite_id: str, paths: tuple[str, ...]) -> None:
        self._config, self._paths = config, paths
        self._person_id, self._collectivite_id = person_id, collectivite_id

    def ask[T](self, question: str, asked: Any, form: type[T], timeout_s: float = TIMEOUT_S) -> T:
        grant = make_grant(
            self._config.secret("live.key"),
            subject_id=self._person_id,
            collectivite_id=self._collectivite_id,
            paths=self._paths,
            ttl_s=GRANT_TTL_S,
        )
        connection = UnixConnection(self._config.run / "calendars.sock", timeout_s=timeout_s)
        try:
            headers = {"Authorization": f"Bearer {grant}", "Content-Type": "application/json"}
            connection.request("POST", f"/portal/{question}", msgspec.json.encode(asked), headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            raise Unavailable("calendars") from None
        finally:
            connection.close()
        if answer.status in _ERRORS:
            error, subject = _ERRORS[answer.status]
            raise error(subject)
        if answer.status == QuotaFull.http_status:
            raise _FULL[msgspec.json.decode(body, type=dict[str, str])["code"]]
        if answer.status != 200:
            raise Unavailable("calendars")
        return msgspec.json.decode(body, type=form)


class Asking(_Questions):
    """For one person in one collectivité. ``shared``, ``write``: whether they see and change what all share."""

    def __init__(
        self, config: Config, *, person_id: str, collectivite_id: str, shared: bool, write: bool
    ) -> None:
        paths = (
            wire.OWN,
            *((wire.READ_SHARED,) if shared else ()),
            *((wire.WRITE_SHARED,) if shared and write else ()),
        )
        super().__init__(config, person_id, collectivite_id, paths)

    def list(self, asked: wire.Range) -> wire.Entries:
        """Errors: Invalid, Unavailable."""
        return self.ask("list", asked, wire.Entries)

    def get(self, asked: wire.Named) -> wire.Entry:
        """Errors: NotFound, Conflict (it is not simple), Unavailable."""
        return self.ask("get", asked, wire.Entry)

    def save(self, draft: wire.Draft) -> wire.Done:
        """Errors: NotFound, NotAllowed, Conflict, Invalid, TooLarge, QuotaFull, StoreFull, Unavailable."""
        return self.ask("save", draft, wire.Done)

    def delete(self, asked: wire.Named) -> wire.Done:
        """Errors: NotFound, NotAllowed, Conflict, Unavailable."""
        return self.ask("delete", asked, wire.Done)

    def rooms(self) -> Sequence[wire.Room]:
        """Errors: Unavailable."""
        return self.ask("rooms", wire.Rooms(), tuple[wire.Room, ...])

    def add_room(self, new: wire.NewRoom) -> wire.Room:
        """Errors: NotAllowed, Invalid, Conflict, TooLarge, Unavailable."""
        return self.ask("add-room", new, wire.Room)

    def retire_room(self, retiring: wire.Retiring) -> wire.Room:
        """Errors: NotFound, NotAllowed, Unavailable."""
        return self.ask("retire-room", retiring, wire.Room)

    def contacts(self, sought: wire_contacts.Sought) -> wire_contacts.Contacts:
        """Errors: NotFound (no address book), Invalid, Unavailable."""
        return self.ask("contacts", sought, wire_contacts.Contacts)

    def contact(self, asked: wire.Named) -> wire_contacts.Contact:
        """Errors: NotFound, Unavailable."""
        return self.ask("contact", asked, wire_contacts.Contact)

    def save_contact(self, draft: wire_contacts.ContactDraft) -> wire.Done:
        """Errors: NotFound, NotAllowed, Conflict, Invalid, TooLarge, QuotaFull, StoreFull, Unavailable."""
        return self.ask("save-contact", draft, wire.Done)

    def delete_contact(self, asked: wire.Named) -> wire.Done:
        """Errors: NotFound, NotAllowed, Conflict, Unavailable."""
        return self.ask("delete-contact", asked, wire.Done)

    def groups(self) -> wire_contacts.Groups:
        """Errors: NotFound (no address book), Unavailable."""
        return self.ask("groups", wire_contacts.Grouping(), wire_contacts.Groups)

    def group(self, asked: wire_contacts.GroupNamed) -> wire_contacts.Group:
        """Errors: NotFound, Unavailable."""
        return self.ask("group", asked, wire_contacts.Group)

    def save_group(self, draft: wire_contacts.GroupDraft) -> wire.Done:
        """Errors: NotFound, NotAllowed, Conflict, Invalid, TooLarge, QuotaFull, StoreFull, Unavailable."""
        return self.ask("save-group", draft, wire.Done)

    def delete_group(self, asked: wire.Named) -> wire.Done:
        """Errors: NotFound, NotAllowed, Conflict, Unavailable."""
        return self.ask("delete-group", asked, wire.Done)

    def put_back(self, which: wire_bringing.Which) -> wire.Done:
        """Errors: NotFound, NotAllowed, Conflict, TooLarge, QuotaFull, StoreFull, Unavailable."""
        return self.ask("put-back", which, wire.Done)

    def bring(self, file: wire_bringing.Brought) -> wire_bringing.File:
        """Errors: NotFound, NotAllowed, QuotaFull, StoreFull, Unavailable."""
        return self.ask("bring", file, wire_bringing.File, FILE_TIMEOUT_S)

    def brought(self, last: wire_bringing.Last) -> wire_bringing.File:
        """Errors: Unavailable."""
        return self.ask("brought", last, wire_bringing.File)

    def take_in(self, which: wire_bringing.Which) -> wire_bringing.Done:
        """Errors: NotFound, NotAllowed, TooLarge, QuotaFull, StoreFull, Unavailable."""
        return self.ask("take-in", which, wire_bringing.Done, FILE_TIMEOUT_S)

    def take_out(self, which: wire_bringing.Which) -> wire_bringing.Done:
        """Errors: NotFound, NotAllowed, Unavailable."""
        return self.ask("take-out", which, wire_bringing.Done, FILE_TIMEOUT_S)

    def give(self, given: wire_bringing.Given) -> wire_bringing.Text:
        """Errors: NotFound, TooLarge, Unavailable."""
        return self.ask("give", given, wire_bringing.Text, FILE_TIMEOUT_S)

    def handed(self, handing: wire_bringing.Handing) -> Sequence[wire_bringing.Handed]:
        """By title. Errors: Unavailable."""
        return self.ask("handed", handing, tuple[wire_bringing.Handed, ...])

    def look(self, received: wire_invitations.Received) -> wire_invitations.Invitation:
        """Errors: NotFound (no calendar), Conflict, Unavailable."""
        return self.ask("look", received, wire_invitations.Invitation)

    def answer(self, answered: wire_invitations.Answered) -> wire.Outgoing:
        """Errors: NotFound, Conflict, Invalid, TooLarge, QuotaFull, StoreFull, Unavailable."""
        return self.ask("answer", answered, wire.Outgoing)

    def settle(self, settled: wire_invitations.Settled) -> tuple[wire.Outgoing, ...]:
        """What is to be sent. Errors: those of room, NotFound, Conflict, Invalid, TooLarge, Unavailable."""
        return self.ask("settle", settled, tuple[wire.Outgoing, ...])

    def note(self, noted: wire_invitations.Noted) -> wire_invitations.Invitation:
        """Errors: NotFound, Conflict, Invalid, Unavailable."""
        return self.ask("note", noted, wire_invitations.Invitation)


def left(config: Config, *, person_id: str, collectivite_id: str) -> wire.Left:
    """What somebody who leaves or left has in calendars and address books. Errors: Unavailable."""
    if not (homes.folder(config, collectivite_id) / homes.ROOT / person_id).is_dir():
        return wire.Left([], 0)
    return _Questions(config, person_id, collectivite_id, (wire.LEFT,)).ask(
        "left", wire.Counting(), wire.Left
    )
