"""A person at Thunderbird's windows, for tests: what they press, what it shows, and what lies at the server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.clients.test_calendars_apps import Program
from tests.desk_thunderbird import Thunderbird
from tests.fixtures_calendars import Account, Wall
from tests.waiting import until

NEW_CALENDAR = "chrome://calendar/content/calendar-creation.xhtml"
NEW_BOOK = "chrome://messenger/content/addressbook/abCardDAVDialog.xhtml"
PASSWORD = "chrome://global/content/commonDialog.xhtml"
CONFLICT = "chrome://calendar/content/calendar-conflicts-dialog.xhtml"
TOOLS = """
    const { CalEvent } = ChromeUtils.importESModule("resource:///modules/CalEvent.sys.mjs");
    const { VCardProperties, VCardUtils } = ChromeUtils.importESModule("resource:///modules/VCardUtils.sys.mjs");
    const named = path => cal.manager.getCalendars().find(one => one.uri.filePath == home + path);
    const refreshes = async path => {  // as the button does, and until it is over
        const calendar = named(path).wrappedJSObject;
        await calendar.mPendingSync;
        await calendar.synchronize();
    };
    const does = (kind, item, calendar, old = null) => window.doTransaction(kind, item, calendar, old, null);
    const adds = (calendar, text) => does("add", new CalEvent(text), named(calendar));
    const changes = async (calendar, id, change) => {
        const old = await named(calendar).getItem(id);
        const item = old.clone();
        change(item);
        return does("modify", item, item.calendar, old);
    };
    const deletes = async (calendar, id) => does("delete", await named(calendar).getItem(id), named(calendar));
    const moves = (item, hours) => {
        for (const name of ["startDate", "endDate"]) {
            const moment = item[name].clone();
            moment.hour += hours;
            item[name] = moment;
        }
    };
    const dates = series => series.recurrenceInfo.getOccurrences(
        cal.createDateTime("20260101T000000Z"), cal.createDateTime("20280101T000000Z"), 0);
    const { CardDAVDirectory } = ChromeUtils.importESModule("resource:///modules/CardDAVDirectory.sys.mjs");
    const book = path => MailServices.ab.directories.find(
        one => one.getStringValue("carddav.url", "").endsWith(home + path));
    const synchronizes = path => CardDAVDirectory.forFile(book(path).fileName).syncWithServer();
    const person = (path, uid) => book(path).childCards.find(one => one.UID == uid);
    const edits = (path, uid, change) => {
        const card = person(path, uid);
        const lines = VCardProperties.fromVCard(card.getProperty("_vCard", ""));
        change(lines);
        card.setProperty("_vCard", lines.toVCard());
        book(path).modifyCard(card);
    };
"""
"""What its windows do, and how they say so: by transactions, which *Undo* takes back."""


@dataclass
class Person:
    """A person before the program, and a second program of theirs at the same server."""

    centre: Wall
    account: Account
    program: Thunderbird

    def __post_init__(self) -> None:
        self.server = Program(self.centre, self.account)

    def gives_password(self) -> None:
        script = """
            by("password1Textbox").value = given[0];
            later(() => by("commonDialog").getButton("accept").click(), opened);
        """
        self.program.within(PASSWORD, script, self.account.password)

    def adds_calendars(self, address: str) -> list[list[object]]:
        """*New calendar*, *On the network*: (name, path, read only) of what is found there, and taken."""
        program = self.program
        program.do("later(() => window.openDialog(given[0], '', 'chrome,centerscreen', null));", NEW_CALENDAR)
        script = """
            by("calendar-type").value = "network";
            by("calendar-creation-dialog").getButton("accept").click();
            by("network-username-input").value = given[0];
            by("network-location-input").value = given[1];
            opened.checkRequired();
            later(() => by("calendar-creation-dialog").getButton("accept").click(), opened);
        """
        program.within(NEW_CALENDAR, script, self.account.login, address)
        self.gives_password()
        listed = """return [...by("network-calendar-list").children].map(
            ({calendar}) => [calendar.name, calendar.uri.filePath, calendar.readOnly]);"""
        until(lambda: program.within(NEW_CALENDAR, listed), "calendars are found")
        told: list[list[object]] = program.within(NEW_CALENDAR, listed)
        program.within(NEW_CALENDAR, 'by("calendar-creation-dialog").getButton("accept").click();')
        return told

    def adds_books(self, address: str) -> list[str]:
        """*New CardDAV address book*: what is found there, and taken."""
        program = self.program
        program.do("later(() => window.openDialog(given[0], '', 'chrome,centerscreen', {}));", NEW_BOOK)
        accept = 'later(() => document.querySelector("dialog").getButton("accept").click(), opened);'
        script = f"""
            by("carddav-username").value = given[0];
            by("carddav-location").value = given[1];
            {accept}
        """
        program.within(NEW_BOOK, script, self.account.login, address)
        self.gives_password()
        listed = 'return [...by("carddav-availableBooks").children].map(one => one.label);'
        until(lambda: program.within(NEW_BOOK, listed), "address books are found")
        told: list[str] = program.within(NEW_BOOK, listed)
        program.within(NEW_BOOK, accept)
        read = """return given.every(path => book(path)?.getStringValue("carddav.token", ""));"""
        until(lambda: self.does(read, "contacts/", "mairie-contacts/"), "they are read")
        return told

    def does(self, script: str, *given: object) -> Any:
        """In the main window, with TOOLS; paths are of this person's home."""
        return self.program.do(f"const home = {json.dumps(self.account.home)};{TOOLS}{script}", *given)

    def titles(self, calendar: str = "agenda/") -> dict[str, str]:
        """By identifier, in the program's own copy."""
        script = """
            const all = await named(given[0]).getItemsAsArray(Ci.calICalendar.ITEM_FILTER_ALL_ITEMS, 0, null, null);
            return Object.fromEntries(all.map(one => [one.id, one.title]));
        """
        told: dict[str, str] = self.does(script, calendar)
        return told

    def refreshed(self, **expected: str) -> None:
        """*Synchronize* one's own calendar, until the program has these titles of these identifiers; "" for none."""
        self.shows("await refreshes(given[0]);", **expected)

    def shows(self, first: str = "", **expected: str) -> None:
        def has() -> bool:
            self.does(first, "agenda/")
            told = self.titles()
            return {name: told.get(name, "") for name in expected} == expected

        until(has, f"the agenda shows {expected}")

    def puts(self, path: str, text: str) -> None:
        kind = "text/vcard" if path.endswith(".vcf") else "text/calendar"
        answer = self.server.ask("PUT", self.account.home + path, text, Content_Type=f"{kind}; charset=utf-8")
        assert answer.status in (201, 204), answer.body

    def stored(self, path: str) -> str:
        """Unfolded; "" where nothing is."""
        answer = self.server.ask("GET", self.account.home + path)
        assert answer.status in (200, 404)
        return answer.body.decode().replace("\r\n ", "") if answer.status == 200 else ""
