"""Explorers and sync clients at a sealed folder: each way refused with 403 and a reason; letters say read-only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.store import look, schema, seals
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.seals import Seal
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from lxml import etree

from tests.drive_server import A, Served, served

FILES, UPLOADS = "/remote.php/dav/files/alice/Commune", "/remote.php/dav/uploads/alice"
TRASH, VERSIONS = "/remote.php/dav/trashbin/alice", "/remote.php/dav/versions/alice"
SPACES = {"d": "DAV:", "oc": "http://owncloud.org/ns"}
PROPS = (
    b'<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop><oc:permissions/><oc:fileid/></d:prop>'
    b"</d:propfind>"
)


@dataclass
class World:
    """Commune/2026/Factures is sealed, with a.pdf (one version before) and Mars/b.pdf; Courrier/c.pdf is beside.
    ``trashed``: of a file that lay in it."""

    drive: Served
    ids: dict[str, str]
    trashed: str
    version: str

    def url(self, path: str) -> str:
        return self.drive.url + path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with served(tmp_path_factory.mktemp("seals") / "drive") as drive:

        def done(method: str, path: str, body: bytes = b"", **headers: str) -> Any:
            status, answered, answer = drive.ask(method, path, body, **headers)
            assert status < 300, (method, path, status, answer)
            return answered, answer

        for path in ("2026", "2026/Factures", "2026/Factures/Mars", "2026/Courrier"):
            done("MKCOL", f"{FILES}/{path}")
        for path, body in (("a.pdf", b"1"), ("a.pdf", b"22"), ("ancien.pdf", b"3"), ("Mars/b.pdf", b"4")):
            done("PUT", f"{FILES}/2026/Factures/{path}", body)
        done("PUT", f"{FILES}/2026/Courrier/c.pdf", b"5")
        done("DELETE", f"{FILES}/2026/Factures/ancien.pdf")
        listed = etree.fromstring(done("PROPFIND", TRASH + "/trash", Depth="1")[1])
        trashed = next(
            one.text or "" for one in listed.iterfind(".//d:href", SPACES) if "ancien" in (one.text or "")
        )
        ids = {}
        for path in ("2026/Factures", "2026/Factures/a.pdf"):
            answer = etree.fromstring(done("PROPFIND", f"{FILES}/{path}", PROPS, Depth="0")[1])
            ids[path] = answer.findtext(".//oc:fileid", "", SPACES)
        listed = etree.fromstring(
            done("PROPFIND", f"{VERSIONS}/versions/{ids['2026/Factures/a.pdf']}", Depth="1")[1]
        )
        version = [one.text or "" for one in listed.iterfind(".//d:href", SPACES)][-1]
        done("MKCOL", f"{UPLOADS}/one")
        done("PUT", f"{UPLOADS}/one/1", b"part")
        close(drive.directory, ("2026", "Factures"))
        yield World(drive, ids, trashed, version)


def close(directory: Path, path: Sequence[str]) -> None:
    """Seal a folder of the commune, as the portal does, from another process."""
    with ThreadPoolExecutor(1) as commits:
        communes = Communes(directory / "drive", commits)
        database = communes.metadata(A)
        with database.reading() as reading:
            common = look.root(reading, schema.COMMON)
            assert common is not None
            folder = look.walk(reading, common.id, path)
        assert folder is not None
        made = Seal(
            new_id("seal"), folder.id, "sealing", folder.name, clock.epoch_s(), 0, "", "per_ref", 1, "ab" * 32,
            2, 3, 0, 0, 0, "none", 0, 0, 0, "",
        )  # fmt: skip
        database.write(lambda w: seals.begin(w, made))
        communes.close()


SEALED = f"{FILES}/2026/Factures"
BESIDE = f"{FILES}/2026/Courrier"
MTIME = (
    b'<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><d:lastmodified>5</d:lastmodified></d:prop></d:set>'
    b"</d:propertyupdate>"
)
LOCK = (
    b'<d:lockinfo xmlns:d="DAV:"><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype>'
    b"</d:lockinfo>"
)
WAYS: dict[str, tuple[str, str, bytes, str]] = {
    "write a new file": ("PUT", f"{SEALED}/n.pdf", b"n", ""),
    "write over a file": ("PUT", f"{SEALED}/a.pdf", b"n", ""),
    "write deep": ("PUT", f"{SEALED}/Mars/n.pdf", b"n", ""),
    "new folder": ("MKCOL", f"{SEALED}/n", b"", ""),
    "delete a file": ("DELETE", f"{SEALED}/a.pdf", b"", ""),
    "delete it": ("DELETE", SEALED, b"", ""),
    "delete what holds it": ("DELETE", f"{FILES}/2026", b"", ""),
    "rename a file": ("MOVE", f"{SEALED}/a.pdf", b"", f"{SEALED}/z.pdf"),
    "rename it": ("MOVE", SEALED, b"", f"{FILES}/2026/Autres"),
    "rename what holds it": ("MOVE", f"{FILES}/2026", b"", f"{FILES}/2027"),
    "move out": ("MOVE", f"{SEALED}/a.pdf", b"", f"{BESIDE}/a.pdf"),
    "move in": ("MOVE", f"{BESIDE}/c.pdf", b"", f"{SEALED}/c.pdf"),
    "move over": ("MOVE", f"{BESIDE}/c.pdf", b"", f"{SEALED}/a.pdf"),
    "copy over": ("COPY", f"{BESIDE}/c.pdf", b"", f"{SEALED}/a.pdf"),
    "copy a folder over it": ("COPY", BESIDE, b"", SEALED),
    "move a folder over it": ("MOVE", BESIDE, b"", SEALED),
    "rename it in other capitals": ("MOVE", SEALED, b"", f"{FILES}/2026/FACTURES"),
    "set the time of it": ("PROPPATCH", SEALED, MTIME, ""),
    "lock it": ("LOCK", SEALED, LOCK, ""),
    "end an upload in parts over a file": ("MOVE", f"{UPLOADS}/one/.file", b"", f"{SEALED}/a.pdf"),
    "copy in": ("COPY", f"{BESIDE}/c.pdf", b"", f"{SEALED}/c.pdf"),
    "set its time": ("PROPPATCH", f"{SEALED}/a.pdf", MTIME, ""),
    "lock a file": ("LOCK", f"{SEALED}/a.pdf", LOCK, ""),
    "lock a new file": ("LOCK", f"{SEALED}/n.pdf", LOCK, ""),
    "end an upload in parts": ("MOVE", f"{UPLOADS}/one/.file", b"", f"{SEALED}/n.pdf"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_is_refused_with_a_reason(world: World, way: str) -> None:
    method, path, body, destination = WAYS[way]
    more = {"Destination": world.url(destination)} if destination else {}
    status, _, answer = world.drive.ask(method, path, body, **more)
    assert status == 403 and "scellé" in answer.decode() and "Forbidden" in answer.decode()
    assert world.drive.ask("GET", f"{SEALED}/a.pdf")[2] == b"22"
    assert world.drive.ask("GET", f"{BESIDE}/c.pdf")[2] == b"5"


def test_what_lay_in_it_does_not_come_back_into_it(world: World) -> None:
    name = world.trashed.rpartition("/")[2]
    restore = world.url(f"{TRASH}/restore/{name}")
    status, _, answer = world.drive.ask("MOVE", world.trashed, Destination=restore)
    assert status == 403 and "scellé" in answer.decode()


def test_an_earlier_content_does_not_come_back(world: World) -> None:
    restore = world.url(f"{VERSIONS}/restore/target")
    status, _, answer = world.drive.ask("MOVE", world.version, Destination=restore)
    assert status == 403 and "scellé" in answer.decode()


def test_no_tag_is_put_on_what_is_sealed(world: World) -> None:
    number = world.ids["2026/Factures/a.pdf"]
    relations = f"/remote.php/dav/systemtags-relations/files/{number}"
    _, headers, _ = world.drive.ask("POST", "/remote.php/dav/systemtags", b'{"name": "signed"}')
    word = headers["content-location"].rpartition("/")[2]
    for method, path, body in (("PUT", f"{relations}/{word}", b""), ("POST", relations, b'{"name": "more"}')):
        status, _, answer = world.drive.ask(method, path, body)
        assert status == 403 and "scellé" in answer.decode()
    assert b"more" not in world.drive.ask("PROPFIND", "/remote.php/dav/systemtags")[2]


@pytest.mark.parametrize(
    ("path", "letters"),
    [
        ("2026", "RGCK"),
        ("2026/Factures", "G"),
        ("2026/Factures/a.pdf", "G"),
        ("2026/Factures/Mars/b.pdf", "G"),
        ("2026/Courrier", "RGDNVCK"),
        ("2026/Courrier/c.pdf", "RGDNVW"),
    ],
)
def test_letters_say_what_is_read_only(world: World, path: str, letters: str) -> None:
    _, _, body = world.drive.ask("PROPFIND", f"{FILES}/{path}", PROPS, Depth="0")
    assert etree.fromstring(body).findtext(".//oc:permissions", "", SPACES) == letters
    above = path.rpartition("/")[0]
    _, _, body = world.drive.ask("PROPFIND", f"{FILES}/{above}", PROPS, Depth="1")
    found = {
        one.findtext("d:href", "", SPACES).rstrip("/"): one.findtext(".//oc:permissions", "", SPACES)
        for one in etree.fromstring(body).iterfind("d:response", SPACES)
    }
    assert found[f"{FILES}/{path}"] == letters


def test_it_is_read_copied_out_and_starred_as_before(world: World) -> None:
    drive = world.drive
    assert drive.ask("GET", SEALED, Accept="application/zip")[1]["content-type"] == "application/zip"
    status, _, _ = drive.ask("COPY", SEALED, Destination=world.url(f"{FILES}/copie"))
    assert status == 201
    assert drive.ask("PUT", f"{FILES}/copie/a.pdf", b"new")[0] == 204
    star = (
        b'<d:propertyupdate xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:set><d:prop><oc:favorite>1'
        b"</oc:favorite></d:prop></d:set></d:propertyupdate>"
    )
    assert drive.ask("PROPPATCH", f"{SEALED}/a.pdf", star)[0] == 207
    assert drive.ask("PUT", f"{BESIDE}/n.pdf", b"n")[0] == 201
    assert drive.ask("DELETE", f"{BESIDE}/n.pdf")[0] == 204
