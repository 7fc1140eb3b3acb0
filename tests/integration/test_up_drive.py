"""``./beffroi drive``: room, keys, words, backups of a collectivité."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest
from beffroi.cli import drive as command
from beffroi.core.audit.models import AuditEntry
from beffroi.drive.backup.work import NoPicture
from beffroi.drive.store import keys, tree
from beffroi.drive.store.stock import stocks
from beffroi.drive.web.sync import push
from beffroi.drive.words.indexer import Indexer
from beffroi.lib.config import Config

from tests.conftest import Commune
from tests.drive_meanwhile import told
from tests.drive_place import LARGE, Place
from tests.drive_sound import body
from tests.fixtures_drive import noise
from tests.fixtures_erasure import place, state

__all__ = ["place", "state"]
pytestmark = pytest.mark.django_db


@contextmanager
def push_heard(config: Config) -> Iterator[list[str]]:
    """What the process drive is told of."""
    path, heard = push.directory(config.run) / "test.sock", list[str]()
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        yield heard
        path.unlink()
        listener.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                heard.append(listener.recv(64).decode())


def test_the_command_gives_room_replaces_keys_backs_up_and_restores(
    place: Place, beaune: Commune, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> str:
        options = command._parser().parse_args(list(arguments))
        command.run(place.config, place.communes, options)
        return capsys.readouterr().out

    name = beaune.collectivite.name
    (place.config.state / "drive-backup").mkdir()
    assert "There is no backup in" in run("backup", "list")
    one = place.put("grand", noise(LARGE, b"x"))
    assert f"of 9 GB, 1 entries  {name}  (own limit)" in run("quota", name, "--gb", "9")
    assert "of 500 GB" in run("quota", name, "--usual") and name in run("quota")
    assert "2 objects" in run("backup", "now", name) or "objects" in run("backup", "now", name)
    assert "1 collectivités" in run("backup", "now") and name in run("backup", "list")
    assert "key 1 of" in run("key", name)
    assert "replaces 1: begins in a minute" in run("key", name, "--replace")
    for _ in range(2):
        with push_heard(place.config) as heard:
            said = run("words", name, "--rebuild")
        assert heard == [beaune.id] and f"made anew: 0 of 1 files and folders  {name}" in said
    follower = Indexer(place.communes, stocks(place.config), partial(keys.make, place.config), lambda _: "")
    while follower.step(beaune.id):
        pass
    assert run("words") == f"whole  {name}\n"
    place.database.write(lambda w: tree.delete(w, place.act(), one.id))
    with pytest.raises(command.RestoreNotConfirmed):
        run("restore", name)
    assert f"{name} is as of" in run("restore", name, "--yes")
    assert body(place, one) == noise(LARGE, b"x")
    with place.database.reading() as reading:
        row = reading.one("SELECT parent FROM node WHERE id = ?", (one.id,))
        assert row is not None and row[0] == place.root().id
    for wrong in (
        ("quota", "Nulle-part"),
        ("restore", "Nulle-part", "--yes"),
        ("key", "--replace"),
        ("words", "--rebuild"),
    ):
        with pytest.raises(command.NoSuchCommune):
            run(*wrong)
    assert AuditEntry.objects.filter(verb="drive:restored", object_id=beaune.id).count() == 1
    with pytest.raises(NoPicture):
        run("restore", name, "--yes", "--at", "2001-01-01")
    assert told()[-2:] == ["drive:restored", "not drive:restored: drive.backup_absent"]
