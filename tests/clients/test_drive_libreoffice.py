"""LibreOffice keeps documents in the drive by its own WebDAV client: it locks, saves, and meets others' locks."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.desk import desk, needs_desk
from tests.desk_module import Module, module
from tests.drive_server import PASSWORD, Served, served
from tests.signed_in import signed_in

pytestmark = needs_desk("soffice", "/usr/lib/python3/dist-packages/uno.py")
FOLDER = "/dav/Commune"
NEW = "private:factory/swriter"
TABLE = "private:factory/scalc"


@dataclass
class Room:
    drive: Served
    program: Module
    ways: dict[str, str]
    heard: dict[str, list[str]] = field(default_factory=dict)

    def __call__(self, verb: str, login: str, *given: Any) -> Any:
        return self.program.ask(verb, login, *given)

    def made(self, name: str, text: str, kind: str = NEW) -> str:
        """Alice writes it and saves it there, and has it open; its address for her."""
        self("open", "alice", kind)
        self("write", "alice", kind, text)
        self("save_as", "alice", kind, f"{self.ways['alice']}{FOLDER}/{name}")
        return f"{self.ways['alice']}{FOLDER}/{name}"

    def stored(self, name: str, member: str = "content.xml") -> str:
        """What the office document there says."""
        status, _, body = self.drive.ask("GET", f"{FOLDER}/{name}")
        assert status == 200
        with zipfile.ZipFile(io.BytesIO(body)) as whole:
            return whole.read(member).decode()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    place = tmp_path_factory.mktemp("office")
    with ExitStack() as stack:
        drive = stack.enter_context(served(place / "drive"))
        program = stack.enter_context(module(stack.enter_context(desk(place / "home")), "desk_office"))
        heard: dict[str, list[str]] = {"alice": [], "amir": []}
        ways = {login: stack.enter_context(signed_in(drive, login, heard[login])) for login in heard}
        for login in ways:
            program.ask("start", login, PASSWORD)
        yield Room(drive, program, ways, heard)


def test_it_signs_in_where_it_saves(room: Room) -> None:
    """By its question for a password; elsewhere here it is signed in on the way."""
    room("open", "alice", NEW)
    room("write", "alice", NEW, "Bonjour")
    room("save_as", "alice", NEW, f"{room.drive.url}{FOLDER}/lettre.odt")
    room("close", "alice", f"{room.drive.url}{FOLDER}/lettre.odt")
    assert "Bonjour" in room.stored("lettre.odt")


@pytest.mark.parametrize("name", ["convention.odt", "d%C3%A9lib%C3%A9ration%20n%C2%B0%201.odt"])
def test_while_one_has_it_open_a_colleague_reads_and_afterwards_writes(room: Room, name: str) -> None:
    mine, theirs = room.made(name, "Première version"), f"{room.ways['amir']}{FOLDER}/{name}"
    room("write", "alice", mine, "Deuxième version")
    room("save", "alice", mine)
    assert "Deuxième version" in room.stored(name)
    for login, program in (("amir", "LibreOffice 25.2"), ("alice", "curl")):
        put = room.drive.ask("PUT", f"{FOLDER}/{name}", b"x", login=login, User_Agent=program)
        assert put[0] == 423 and "verrouillé" in put[2].decode()
    assert room("open", "amir", theirs, "Approve") is False, "it tells who has it, and opens it to read"
    assert room("asked", "amir") == ["Abort Approve Disapprove"]
    assert room("read", "amir", theirs) == "Deuxième version"
    room("close", "amir", theirs)
    room("close", "alice", mine)
    assert room("open", "amir", theirs) is True
    room("write", "amir", theirs, "D’Amir")
    room("save", "amir", theirs)
    room("close", "amir", theirs)
    assert "D’Amir" in room.stored(name)
    assert room.drive.ask("PUT", f"{FOLDER}/{name}", b"x")[0] == 204, "no lock is left"


def test_documents_of_other_programs_are_kept_in_their_format(room: Room) -> None:
    for name, kind, member in (
        ("arrêté.docx", NEW, "word/document.xml"),
        ("budget.xlsx", TABLE, "xl/sharedStrings.xml"),
    ):
        url = room.made(name, "Voirie", kind)
        room("save", "alice", url)
        room("close", "alice", url)
        assert "Voirie" in room.stored(name.replace("ê", "%C3%AA").replace("é", "%C3%A9"), member)
        assert room("open", "alice", url) is True and room("read", "alice", url) == "Voirie"
        room("close", "alice", url)
