"""GNOME's file manager and editors reach the drive by gvfs: all names, both ways, nothing written over unseen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.desk import Desk, Refused
from tests.drive_devices import on_server
from tests.drive_server import PASSWORD, Served, served

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/usr/libexec/gvfsd-dav").exists(), reason="gvfs-backends is missing"),
]
NAMES = ("été.txt", "a#b.txt", "100 %.txt", "pourquoi ?.txt", "a;b&c=d+e.txt", "l'été (1) [2].txt", "%41.txt")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("gvfs") / "drive") as one:
        yield one


@pytest.fixture(scope="module")
def desk(drive: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("desk") / "home", "desk_gvfs") as one:
        yield one


@pytest.fixture(scope="module")
def place(drive: Served, desk: Desk) -> str:
    """The collectivité's folder, mounted as *Other locations* mounts it."""
    mount = f"dav://alice@127.0.0.1:{drive.port}/dav/"
    with pytest.raises(Refused, match="Unauthorized"):
        desk.ask("mount", mount, "alice", "un autre mot de passe")
    desk.ask("mount", mount, "alice", PASSWORD)
    assert desk.ask("names", mount) == {"Commune": -1}
    return f"{mount}Commune"


def test_all_names_go_both_ways(drive: Served, desk: Desk, place: str) -> None:
    folder = f"{place}/{quote('Dossier n° 1')}"
    desk.ask("make_folder", folder)
    for name in NAMES:
        desk.ask("create", f"{folder}/{quote(name)}", name)
        path = f"/dav/Commune/{quote('Dossier n° 1')}/{quote(name)}"
        assert drive.ask("GET", path)[2].decode() == name
        assert desk.ask("read", f"{folder}/{quote(name)}")[0] == name
        assert desk.ask("etag", f"{folder}/{quote(name)}") == drive.ask("HEAD", path)[1]["etag"]
    assert set(desk.ask("names", folder)) == set(NAMES)
    first, second = (f"{folder}/{quote(name)}" for name in NAMES[:2])
    for verb, *given in (("create", first, "x"), ("copy", second, first), ("rename", second, NAMES[0])):
        with pytest.raises(Refused, match="already exists"):
            desk.ask(verb, *given)
    desk.ask("copy", second, first, True)
    desk.ask("rename", second, "c'est % d'été #1.txt")
    desk.ask("move", first, f"{place}/{quote('sorti ?.txt')}")
    assert desk.ask("read", f"{place}/{quote('sorti ?.txt')}")[0] == NAMES[1]
    assert {"c'est % d'été #1.txt", *NAMES[2:]} == set(desk.ask("names", folder))
    with pytest.raises(Refused, match="not empty"):
        desk.ask("delete", folder)
    with pytest.raises(Refused, match="not supported"):
        desk.ask("trash", first)  # it asks whether to delete for good; the drive's own trash has it then


def test_a_long_file_goes_both_ways(desk: Desk, place: str, tmp_path: Path) -> None:
    start, back = tmp_path / "plan.bin", tmp_path / "back.bin"
    start.write_bytes(os.urandom(20_000_000))
    desk.ask("copy", start.as_uri(), f"{place}/plan.bin")
    desk.ask("copy", f"{place}/plan.bin", back.as_uri())
    assert back.read_bytes() == start.read_bytes()


def test_an_editor_does_not_write_over_what_a_colleague_changed(
    drive: Served, desk: Desk, place: str
) -> None:
    note = f"{place}/note.txt"
    desk.ask("create", note, "un")
    desk.ask("save", note, "deux", desk.ask("etag", note))
    old = desk.ask("etag", note)
    assert drive.ask("PUT", "/dav/Commune/note.txt", b"d'Amir", login="amir")[0] == 204
    with pytest.raises(Refused, match="externally modified"):
        desk.ask("save", note, "trois", old)
    assert desk.ask("read", note)[0] == "d'Amir"
    lock = f"{place}/{quote('.~lock.été.odt#')}"  # as LibreOffice keeps others out on a mount
    desk.ask("create", lock, ",alice,poste,28.11.2026 22:00,file:///home/alice;")
    with pytest.raises(Refused, match="already exists"):
        desk.ask("create", lock, "x")
    desk.ask("delete", lock)


def test_room_is_told_and_a_server_that_comes_back_is_found_again(
    drive: Served, desk: Desk, place: str
) -> None:
    with closing(on_server(drive)) as database:
        (root,) = database.execute("SELECT id FROM node WHERE parent = 0 AND name LIKE 'home:%'").fetchone()
        database.execute("INSERT INTO quota (root, limit_bytes) VALUES (?, 1000)", (root,))
    desk.ask("create", f"{place.removesuffix('Commune')}ici.txt", "x" * 400)
    assert desk.ask("room", place.removesuffix("Commune")) == [1000, 600]
    drive.kill()
    with pytest.raises(Refused, match="refused"):
        desk.ask("names", place)
    drive.start()
    assert "plan.bin" in desk.ask("names", place)
    desk.ask("unmount", place)
    with pytest.raises(Refused, match="not mounted"):
        desk.ask("names", place)
