"""A town hall with files, calendars and contacts of its own, whose whole is exported to a folder."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import homes
from beffroi.drive.store.model import Node
from beffroi.portal.commune_export import folder as folders
from beffroi.portal.commune_export import mails, out, work
from django.conf import settings

from tests.conftest import Commune
from tests.drive_browser import Browser
from tests.drive_pages import Drive
from tests.drive_server import Served
from tests.fixtures_calendars import card, event
from tests.fixtures_portal import portal_client

WISH = "Courrier du maire du 12 novembre 2026, signé A. Martin"
type Run = Callable[..., Any]


@pytest.fixture
def run(administrator: Actor, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run(commune, path)``, without mailboxes: those want a Dovecot."""
    monkeypatch.setattr(mails, "_write", lambda work, mailbox: None)

    def called(commune: Commune, path: Path, **more: Any) -> Any:
        path.mkdir(exist_ok=True)
        return work.run(
            actor=administrator,
            collectivite=commune.collectivite,
            path=path,
            account="root",
            **{"reason": WISH, **more},
        )

    return called


class Hall:
    """A town hall with files of its own, sent as a browser sends them."""

    def __init__(self, commune: Commune, server: Served, word: str) -> None:
        self.commune, self.word = commune, word
        self.drive = Drive(commune.agent_membership)
        self.browser = Browser(server, portal_client(commune.agent_membership))

    def send(self, name: str, above: Node, body: bytes = b"") -> None:
        sent = {"folder": above.id, "name": name, "mtime_s": 1_770_000_000, "taken": "replace"}
        status, answer = self.browser.send(body or f"{self.word} {name}".encode(), **sent)
        assert status in (200, 201), answer

    def fill(self) -> None:
        staff = self.drive.folder("Personnel", self.drive.common)
        mine = self.drive.folder("Perso", self.drive.own)
        self.drive.folder("Vide", self.drive.common)
        for above, name in (
            (self.drive.common, "Budget 2026.ods"),
            (staff, "Paie.pdf"),
            (self.drive.own, f"Notes de {self.word}.txt"),
            (self.drive.own, "CV perso.pdf"),
            (mine, "Vacances.jpg"),
        ):
            self.send(name, above)
        self.entry(homes.SHARED_HOME, "agenda", "VCALENDAR", "Mairie", event("a", f"Conseil {self.word}"))
        own = self.commune.agent.id
        self.entry(own, "agenda", "VCALENDAR", "Mon agenda", event("b", f"Réunion {self.word}"))
        self.entry(own, "agenda", "VCALENDAR", "", event("c", "Dentiste", more="CLASS:PRIVATE"))
        self.entry(own, "contacts", "VADDRESSBOOK", "Mes contacts", card("d", f"Notaire {self.word}"))

    def entry(self, home: str, name: str, tag: str, title: str, text: str) -> None:
        place = homes.folder(settings.BEFFROI, self.commune.id) / homes.ROOT / home / name
        place.mkdir(parents=True, exist_ok=True)
        if title:
            (place / homes.PROPS).write_text(json.dumps({"tag": tag, "D:displayname": title}))
        (place / f"{len(list(place.iterdir()))}.ics").write_text(text)


@pytest.fixture
def hall(beaune: Commune, server: Served, no_door: None) -> Hall:
    one = Hall(beaune, server, "Clos-Vougeot")
    one.fill()
    return one


def files_of(path: Path) -> dict[str, bytes]:
    return {
        one.relative_to(path).as_posix(): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()
    }


def check(path: Path) -> None:
    """What a commune does with it, by a program that is not ours."""
    done = ["sha256sum", "-c", "--quiet", "--strict", "manifest-sha256.txt"]
    subprocess.run(done, cwd=path, check=True)
    named = {line.split("  ", 1)[1] for line in (path / "manifest-sha256.txt").read_text().splitlines()}
    assert named == files_of(path).keys() - {"manifest-sha256.txt"}


@contextmanager
def cut_after(monkeypatch: pytest.MonkeyPatch, files: int) -> Iterator[None]:
    """As a kill: what was not noted by then is as if it had not been."""
    made = [0]
    real = out.Out.write

    def write(self: Any, data: Any) -> int:
        made[0] += 1
        if made[0] > files:
            raise KeyboardInterrupt
        return real(self, data)

    monkeypatch.setattr(folders, "CHECK_FILES", 2)
    monkeypatch.setattr(out.Out, "write", write)
    with pytest.raises(KeyboardInterrupt):
        yield
    monkeypatch.setattr(out.Out, "write", real)
