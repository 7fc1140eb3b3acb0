"""Evolution's data server, as Evolution and GNOME's Calendar, Contacts and clock use it; runs on a desk."""

from __future__ import annotations

import threading
from typing import Any

import gi  # type: ignore[import-not-found]

for _name, _version in (
    ("EDataServer", "1.2"),
    ("ECal", "2.0"),
    ("EBook", "1.2"),
    ("EBookContacts", "1.2"),
    ("ICalGLib", "3.0"),
):
    gi.require_version(_name, _version)

from gi.repository import (  # type: ignore[import-not-found]  # noqa: E402
    EBook,
    EBookContacts,
    ECal,
    EDataServer,
    GLib,
    ICalGLib,
)

from tests.desk_module import serve  # noqa: E402

_ALL_CARDS = '(contains "x-evolution-any-field" "")'
_KINDS = {
    "calendar": EDataServer.SOURCE_EXTENSION_CALENDAR,
    "tasks": EDataServer.SOURCE_EXTENSION_TASK_LIST,
    "book": EDataServer.SOURCE_EXTENSION_ADDRESS_BOOK,
}
_UNTIL_CONNECTED_S = 30


class Evolution:
    """One person's accounts. ``kind``: calendar, tasks or book; ``name``: as it is shown."""

    def __init__(self) -> None:
        self.registry = EDataServer.SourceRegistry.new_sync(None)
        self.registry.connect("credentials-required", self._asked)
        self.passwords = EDataServer.SourceCredentialsProvider.new(self.registry)
        self.rejected: set[str] = set()
        self.clients: dict[tuple[str, str, str], Any] = {}

    def _asked(self, _registry: Any, source: Any, reason: Any, *_more: Any) -> None:
        """As each of those programs does: the password of the keyring first, then it asks its person."""
        if reason == EDataServer.SourceCredentialsReason.REQUIRED:
            _, given = self.passwords.lookup_sync(source, None)
            source.invoke_authenticate(given, None, None)
        else:
            self.rejected.add(source.get_uid())

    def add(self, account: str, url: str, port: int, login: str, password: str) -> None:
        """A collection with calendars and contacts, its password in the keyring."""
        source = EDataServer.Source.new_with_uid(account, None)
        source.set_display_name(account)
        collection = source.get_extension(EDataServer.SOURCE_EXTENSION_COLLECTION)
        collection.set_backend_name("webdav")
        collection.set_identity(login)
        collection.set_mail_enabled(False)
        collection.set_calendar_url(url)
        collection.set_contacts_url(url)
        sign_in = source.get_extension(EDataServer.SOURCE_EXTENSION_AUTHENTICATION)
        sign_in.set_host("localhost")
        sign_in.set_port(port)
        sign_in.set_user(login)
        sign_in.set_method("plain/password")
        source.get_extension(EDataServer.SOURCE_EXTENSION_SECURITY).set_method("tls")
        source.store_password_sync(password, True, None)
        self.registry.commit_source_sync(source, None)

    def found(self, account: str) -> list[tuple[str, str]]:
        """(kind, name) of what the account's server has."""
        return sorted(
            (kind, source.get_display_name())
            for kind, extension in _KINDS.items()
            for source in self.registry.list_sources(extension)
            if source.get_parent() == account
        )

    def asks_for_a_password(self, account: str) -> bool:
        """The kept one was refused."""
        return any(self.registry.ref_source(one).get_parent() == account for one in self.rejected)

    def client(self, account: str, kind: str, name: str) -> Any:
        key = (account, kind, name)
        if key not in self.clients:
            (source,) = (
                one
                for one in self.registry.list_sources(_KINDS[kind])
                if one.get_parent() == account and one.get_display_name() == name
            )
            if kind == "book":
                client = EBook.BookClient.connect_sync(source, _UNTIL_CONNECTED_S, None)
            else:
                of = ECal.ClientSourceType.EVENTS if kind == "calendar" else ECal.ClientSourceType.TASKS
                client = ECal.Client.connect_sync(source, of, _UNTIL_CONNECTED_S, None)
            self.clients[key] = client
        return self.clients[key]

    def is_readonly(self, account: str, kind: str, name: str) -> bool:
        return bool(self.client(account, kind, name).is_readonly())

    def address(self, account: str, name: str) -> str:
        """Of the person among guests."""
        return self.client(account, "calendar", name).get_backend_property_sync("cal-email-address", None)[1]

    def refresh(self, account: str, kind: str, name: str) -> None:
        self.client(account, kind, name).refresh_sync(None)

    def entries(self, account: str, kind: str, name: str) -> list[str]:
        """What it keeps of them."""
        _, found = self.client(account, kind, name).get_object_list_sync("#t", None)
        return sorted(one.as_ical_string().replace("\r\n ", "") for one in found)

    def make(self, account: str, kind: str, name: str, text: str) -> str:
        entry = ICalGLib.Component.new_from_string(text)
        return self.client(account, kind, name).create_object_sync(entry, ECal.OperationFlags.NONE, None)[1]

    def change(self, account: str, name: str, text: str, of: str = "ALL", asks: bool = False) -> None:
        """``of``: THIS date, or ALL. ``asks``: what changed there meanwhile is not written over."""
        how = ECal.OperationFlags.CONFLICT_FAIL if asks else ECal.OperationFlags.NONE
        entry = ICalGLib.Component.new_from_string(text)
        self.client(account, "calendar", name).modify_object_sync(
            entry, getattr(ECal.ObjModType, of), how, None
        )

    def delete(self, account: str, name: str, uid: str, date: str | None = None) -> None:
        of = ECal.ObjModType.THIS if date else ECal.ObjModType.ALL
        client = self.client(account, "calendar", name)
        client.remove_object_sync(uid, date, of, ECal.OperationFlags.NONE, None)

    def receive(self, account: str, name: str, text: str) -> None:
        """An invitation of a mail that its person accepted."""
        whole = ICalGLib.Component.new_from_string(text)
        self.client(account, "calendar", name).receive_objects_sync(whole, ECal.OperationFlags.NONE, None)

    def busy(self, account: str, name: str, start: int, end: int, address: str) -> list[str]:
        _, found = self.client(account, "calendar", name).get_free_busy_sync(start, end, [address], None)
        return [one.get_as_string().replace("\r\n ", "") for one in found]

    def cards(self, account: str, name: str) -> list[str]:
        _, found = self.client(account, "book", name).get_contacts_sync(_ALL_CARDS, None)
        return sorted(one.to_string(EBookContacts.VCardFormat(1)).replace("\r\n ", "") for one in found)

    def make_card(self, account: str, name: str, text: str) -> str:
        card = EBookContacts.Contact.new_from_vcard(text)
        return self.client(account, "book", name).add_contact_sync(
            card, EBookContacts.BookOperationFlags.NONE, None
        )[1]

    def change_card(self, account: str, name: str, text: str) -> None:
        card = EBookContacts.Contact.new_from_vcard(text)
        self.client(account, "book", name).modify_contact_sync(
            card, EBookContacts.BookOperationFlags.NONE, None
        )

    def delete_card(self, account: str, name: str, uid: str) -> None:
        none = EBookContacts.BookOperationFlags.NONE
        self.client(account, "book", name).remove_contact_by_uid_sync(uid, none, None)

    def make_collection(self, account: str, password: str, url: str, kind: str, name: str) -> None:
        """By the window *Search for calendars and books*, which makes and deletes them."""
        session = self._session(account, password)
        if kind == "book":
            session.mkcol_addressbook_sync(url, name, "", None)
        else:
            session.mkcalendar_sync(url, name, "", "#ff8800", EDataServer.WebDAVResourceSupports.EVENTS, None)

    def delete_collection(self, account: str, password: str, url: str) -> None:
        self._session(account, password).delete_sync(url, "infinity", None, None)

    def _session(self, account: str, password: str) -> Any:
        session = EDataServer.WebDAVSession.new(self.registry.ref_source(account))
        given = EDataServer.NamedParameters()
        given.set("password", password)
        session.set_credentials(given)
        return session


def main() -> None:
    # Programs hear of changes there.
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    evolution = Evolution()
    serve({name: getattr(evolution, name) for name in dir(Evolution) if not name.startswith("_")})


if __name__ == "__main__":
    main()
