"""Calendars and contacts as KOrganizer and KAddressBook have them: the real Akonadi with its DAV resource."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.desk import KIO_SERVICES, Desk, desk, needs_desk
from tests.fixtures_calendars import Account, Wall, card, event, needs_front, wall
from tests.waiting import until

pytestmark = [
    *needs_front,
    *needs_desk("konsolekalendar", "akonadi_davgroupware_resource", "gdbus", "secret-tool"),
]
DAV = "akonadi_davgroupware_resource"
KIO = {"User-Agent": "KIO/6"}
BUS = "org.freedesktop.Akonadi"
OURS = (
    "mime",
    "akonadi/plugins",
    f"akonadi/agents/{DAV.removeprefix('akonadi_').replace('_', '')}.desktop",
)
"""What the desktop sees of /usr/share: of Akonadi's agents this one, the others would start with it."""


@dataclass(frozen=True)
class Kde:
    """One account in it; ``number``: of its resource; ``place``: below the server, where it looks first."""

    centre: Wall
    desktop: Desk
    account: Account
    number: int
    place: str

    @property
    def resource(self) -> str:
        return f"{DAV}_{self.number}"

    def add(self) -> None:
        """As its dialog writes it: settings in a file, the password in the keyring."""
        config = self.desktop.home / ".config" / f"{self.resource}rc"
        urls = ",".join(f"$default$|{kind}|{self.centre.url}{self.place}" for kind in ("CalDav", "CardDav"))
        config.write_text(
            f"[General]\nsettingsVersion=3\ndefaultUsername={self.account.login}\nlimitSyncRange=false\n"
            f"refreshInterval=0\nremoteUrls={urls}\n"
        )
        key = ("user", f"{self.resource},$default$", "server", "Passwords", "type", "plaintext")
        stored = self.desktop.run("secret-tool", "store", "--label=x", *key, asked=self.account.password)
        assert stored == (0, "")
        said = self.call("Control", "/AgentManager", "AgentManager.createAgentInstance", DAV)
        assert self.resource in said

    def call(self, service: str, path: str, method: str, *words: str) -> str:
        asked = ("--dest", f"{BUS}.{service}", "--object-path", path, "--method", f"{BUS}.{method}", *words)
        code, said = self.desktop.run("gdbus", "call", "--session", "--timeout", "100", *asked)
        assert code == 0, said
        return said

    def synchronize(self) -> None:
        self.call(f"Resource.{self.resource}", "/", "Resource.synchronize")

    def konsole(self, *words: str) -> str:
        code, said = self.desktop.run("konsolekalendar", *words)
        assert code == 0, said
        return said

    def items(self) -> dict[str, str]:
        """What Akonadi has of this account, with its etag, by the last part of its address."""
        path = self.desktop.home / ".local" / "share" / "akonadi" / "akonadi.db"
        asked = "SELECT remoteId, remoteRevision || data FROM PimItemTable i JOIN PartTable p ON p.pimItemId = i.id"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            rows = database.execute(asked).fetchall()
        return {
            unquote(href.rpartition("/")[2]): text
            for href, text in rows
            if href and self.account.home in href
        }

    def has_etag_of(self, path: str) -> bool:
        """It asks for it after each change; what another program does before stays unseen."""
        answer = self.centre.ask("GET", self.account.home + path, account=self.account)
        return str(answer.headers["ETag"]) in self.items().get(path.rpartition("/")[2], "")

    def put(self, path: str, text: str) -> None:
        """As another program of this person."""
        kind = {"Content-Type": "text/vcard" if path.endswith(".vcf") else "text/calendar"}
        answer = self.centre.ask("PUT", self.account.home + path, text, account=self.account, headers=kind)
        assert answer.status in (201, 204), answer

    def get(self, path: str) -> str:
        """Empty where there is nothing."""
        answer = self.centre.ask("GET", self.account.home + path, account=self.account)
        return answer.body.decode() if answer.status == 200 else ""

    def names(self, collection: str) -> list[str]:
        answer = self.centre.ask(
            "PROPFIND", self.account.home + collection, account=self.account, headers={"Depth": "1"}
        )
        return re.findall(r"<href>[^<]*/([^/<]+)</href>", answer.body.decode())


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfk-", 23280, "calendars", "drive") as running:
        yield running


@pytest.fixture(scope="module")
def desktop(centre: Wall) -> Iterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="bfk-") as home:
        share, config = Path(home, "share"), Path(home, ".config", "akonadi")
        for name in OURS:
            (share / name).parent.mkdir(parents=True, exist_ok=True)
            (share / name).symlink_to(Path("/usr/share", name))
        config.mkdir(parents=True)
        (config / "akonadiserverrc").write_text("[%General]\nDriver=QSQLITE\n")
        services = (*KIO_SERVICES, "org.freedesktop.Akonadi.Control")
        with desk(Path(home), centre.authorities, services, {"XDG_DATA_DIRS": str(share)}) as running:
            yield running


def _in_it(centre: Wall, desktop: Desk, role: str, number: int, place: str) -> Kde:
    account = centre.signs_in(f"{role}@auxonne.test", collectivite_id="col_" + "4" * 26, role=role)
    found = Kde(centre, desktop, account, number, place)
    # What does not answer yet it asks again at its next round, minutes later.
    until(lambda: centre.ask("PROPFIND", place, account=account, headers=KIO).status == 301, "it is there")
    until(lambda: centre.ask("PROPFIND", "/caldav/", account=account).status == 207, "calendars are there")
    found.add()
    return found


@pytest.fixture(scope="module")
def agent(centre: Wall, desktop: Desk) -> Kde:
    """As the page of the password says the server."""
    return _in_it(centre, desktop, "agent", 0, "/")


@pytest.fixture(scope="module")
def elu(centre: Wall, desktop: Desk, agent: Kde) -> Kde:
    """Who chose "Nextcloud" in its dialog."""
    return _in_it(centre, desktop, "elu", 1, "/remote.php/dav")


def _calendar(kde: Kde, name: str) -> str:
    """Its number, once it is there."""
    found: list[str] = []

    def listed() -> list[str]:
        with suppress(AssertionError):  # until its resource has started
            kde.synchronize()  # what failed once it would ask again minutes later
        said = kde.konsole("--list-calendars")
        found[:] = re.findall(rf"^(\d+) +- {re.escape(name)}$", said, re.MULTILINE)
        return found

    until(listed, f"{name} is listed")
    return found[0]


def test_an_entry_is_made_changed_and_deleted_and_a_conflict_loses_nothing(agent: Kde) -> None:
    number = _calendar(agent, "Mon agenda")
    day = ("--date", "2026-12-03", "--time", "09:00", "--end-date", "2026-12-03", "--end-time", "10:00")
    agent.konsole("--add", "--calendar", number, *day, "--summary", "Conseil d’été", "--location", "à, b; c")
    until(lambda: agent.names("agenda/"), "the entry comes")
    (name,) = agent.names("agenda/")
    at = f"agenda/{name}"
    stored = agent.get(at)
    assert "DTSTART;TZID=Europe/Paris:20261203T090000" in stored and "LOCATION:à\\, b\\; c" in stored
    until(lambda: agent.has_etag_of(at), "it is done with it")
    uid = re.findall(r"UID:(\S+)", stored)[0]
    agent.konsole("--change", "--uid", uid, "--summary", "Conseil de juin")
    until(lambda: "SUMMARY:Conseil de juin" in agent.get(at), "the change comes")
    until(lambda: agent.has_etag_of(at), "it is done with it")
    agent.put(at, agent.get(at).replace("Conseil de juin", "Bureau"))
    agent.synchronize()
    until(lambda: "SUMMARY:Bureau" in agent.items()[name], "another program's change is seen")
    agent.put(at, agent.get(at).replace("Bureau", "Commission"))
    agent.konsole("--change", "--uid", uid, "--summary", "Perdu")
    until(lambda: "SUMMARY:Commission" in agent.items()[name], "what it did not know of comes back (412)")
    assert "SUMMARY:Commission" in agent.get(at)
    agent.konsole("--delete", "--uid", uid)
    until(lambda: agent.names("agenda/") == [], "the deletion comes")


def test_what_other_programs_store_is_there_and_goes(agent: Kde) -> None:
    series = event("s", "Permanence", more="RRULE:FREQ=WEEKLY;COUNT=5")
    moved = event("s", "Salle 2", starts="20261210T140000Z", more="RECURRENCE-ID:20261210T090000Z")
    one = moved[moved.index("BEGIN:VEVENT") : moved.index("END:VCALENDAR")]
    agent.put(
        "mairie-agenda/urn%3Auuid%3As%2C'1'*.ics", series.replace("END:VCALENDAR", f"{one}END:VCALENDAR")
    )
    agent.put("contacts/No%C3%ABl%2C%20Marie.vcf", card("c", "Marie Noël"))
    agent.synchronize()
    until(lambda: len(agent.items()) == 3, "all of it comes")
    by_name = agent.items()
    assert "FN:Marie Noël" in by_name["Noël, Marie.vcf"]
    assert "RRULE" in by_name["urn:uuid:s,'1'*.ics"]
    assert sorted(text.count("SUMMARY:Salle 2") for text in by_name.values()) == [0, 0, 1]
    for gone in ("mairie-agenda/urn%3Auuid%3As%2C'1'*.ics", "contacts/No%C3%ABl%2C%20Marie.vcf"):
        answer = agent.centre.ask("DELETE", agent.account.home + gone, account=agent.account)
        assert answer.status == 200
    agent.synchronize()
    until(lambda: agent.items() == {}, "all of it goes")


def test_what_all_share_is_read_only_for_an_elu(agent: Kde, elu: Kde) -> None:
    agent.put("mairie-agenda/c.ics", event("c", "Conseil"))
    number = _calendar(elu, "(Read only) Mairie")
    until(lambda: "c.ics" in elu.items(), "it is read")
    elu.konsole("--add", "--calendar", number, "--date", "2026-12-04", "--summary", "Interdit")
    elu.konsole("--change", "--uid", "c", "--summary", "Interdit")
    until(lambda: elu.desktop.log.count("(403)") >= 2, "both are refused")
    assert elu.names("mairie-agenda/") == ["c.ics"] and "SUMMARY:Conseil" in elu.get("mairie-agenda/c.ics")
