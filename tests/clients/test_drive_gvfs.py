"""GNOME's file manager and editors reach the drive by gvfs: all names, both ways, nothing written over unseen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.desk import desk, needs_desk
from tests.desk_module import Module, Refused, module
from tests.drive_devices import on_server
from tests.drive_server import PASSWORD, Served, served

pytestmark = needs_desk("/usr/libexec/gvfsd-dav")
NAMES = ("été.txt", "a#b.txt", "100 %.txt", "pourquoi ?.txt", "a;b&c=d+e.txt", "l'été (1) [2].txt", "%41.txt")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("gvfs") / "drive") as one:
        yield one


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Module]:
    services = ("org.gtk.vfs.Daemon", "org.gtk.vfs.Metadata")
    with (
        desk(tmp_path_factory.mktemp("desk"), services=services) as own,
        module(own, "desk_gvfs") as asked,
    ):
        yield asked


@pytest.fixture(scope="module")
def place(drive: Served, files: Module) -> str:
    """The collectivité's folder, mounted as *Other locations* mounts it."""
    mount = f"dav://alice@127.0.0.1:{drive.port}/dav/"
    with pytest.raises(Refused, match="Unauthorized"):
        files.ask("mount", mount, "alice", "un autre mot de passe")
    files.ask("mount", mount, "alice", PASSWORD)
    assert files.ask("names", mount) == {"Commune": -1}
    return f"{mount}Commune"


def test_all_names_go_both_ways(drive: Served, files: Module, place: str) -> None:
    folder = f"{place}/{quote('Dossier n° 1')}"
    files.ask("make_folder", folder)
    for name in NAMES:
        files.ask("create", f"{folder}/{quote(name)}", name)
        path = f"/dav/Commune/{quote('Dossier n° 1')}/{quote(name)}"
        assert drive.ask("GET", path)[2].decode() == name
        assert files.ask("read", f"{folder}/{quote(name)}")[0] == name
        assert files.ask("etag", f"{folder}/{quote(name)}") == drive.ask("HEAD", path)[1]["etag"]
    assert set(files.ask("names", folder)) == set(NAMES)
    first, second = (f"{folder}/{quote(name)}" for name in NAMES[:2])
    for verb, *given in (("create", first, "x"), ("copy", second, first), ("rename", second, NAMES[0])):
        with pytest.raises(Refused, match="already exists"):
            files.ask(verb, *given)
    files.ask("copy", second, first, True)
    files.ask("rename", second, "c'est % d'été #1.txt")
    files.ask("move", first, f"{place}/{quote('sorti ?.txt')}")
    assert files.ask("read", f"{place}/{quote('sorti ?.txt')}")[0] == NAMES[1]
    assert {"c'est % d'été #1.txt", *NAMES[2:]} == set(files.ask("names", folder))
    with pytest.raises(Refused, match="not empty"):
        files.ask("delete", folder)
    with pytest.raises(Refused, match="not supported"):
        files.ask("trash", first)  # it asks whether to delete for good; the drive's own trash has it then


def test_a_long_file_goes_both_ways(files: Module, place: str, tmp_path: Path) -> None:
    start, back = tmp_path / "plan.bin", tmp_path / "back.bin"
    start.write_bytes(os.urandom(20_000_000))
    files.ask("copy", start.as_uri(), f"{place}/plan.bin")
    files.ask("copy", f"{place}/plan.bin", back.as_uri())
    assert back.read_bytes() == start.read_bytes()


def test_an_editor_does_not_write_over_what_a_colleague_changed(
    drive: Served, files: Module, place: str
) -> None:
    note = f"{place}/note.txt"
    files.ask("create", note, "un")
    files.ask("save", note, "deux", files.ask("etag", note))
    old = files.ask("etag", note)
    assert drive.ask("PUT", "/dav/Commune/note.txt", b"d'Amir", login="amir")[0] == 204
    with pytest.raises(Refused, match="externally modified"):
        files.ask("save", note, "trois", old)
    assert files.ask("read", note)[0] == "d'Amir"
    lock = f"{place}/{quote('.~lock.été.odt#')}"  # as LibreOffice keeps others out on a mount
    files.ask("create", lock, ",alice,poste,28.11.2026 22:00,file:///home/alice;")
    with pytest.raises(Refused, match="already exists"):
        files.ask("create", lock, "x")
    files.ask("delete", lock)


def test_room_is_told_and_a_server_that_comes_back_is_found_again(
    drive: Served, files: Module, place: str
) -> None:
    with closing(on_server(drive)) as database:
        (root,) = database.execute("SELECT id FROM node WHERE parent = 0 AND name LIKE 'home:%'").fetchone()
        database.execute("INSERT INTO quota (root, limit_bytes) VALUES (?, 1000)", (root,))
    files.ask("create", f"{place.removesuffix('Commune')}ici.txt", "x" * 400)
    assert files.ask("room", place.removesuffix("Commune")) == [1000, 600]
    drive.kill()
    with pytest.raises(Refused, match="refused"):
        files.ask("names", place)
    drive.start()
    assert "plan.bin" in files.ask("names", place)
    files.ask("unmount", place)
    with pytest.raises(Refused, match="not mounted"):
        files.ask("names", place)
