"""The search by content over the real store, the real scanner and the real index: what is found, by whom, and what
leaves."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from beffroi.core.planes.tokens import make_grant
from beffroi.drive.crossing import Crossing
from beffroi.drive.store import frozen, keys, look, tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.model import AbsentNode, Act, Node
from beffroi.drive.store.sealing import HEADER_BYTES, Header
from beffroi.drive.store.stock import stocks
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.drive.web.bodies import SealedStore
from beffroi.drive.web.found import MOST_READ_BYTES, Found
from beffroi.drive.web.sync import push
from beffroi.drive.who import Who
from beffroi.drive.words import index, wire
from beffroi.drive.words.indexer import Indexer
from beffroi.drive.words.texts import by_scan
from beffroi.lib.errors import TooLarge, Unavailable
from beffroi.scan import wire as scan_wire

from tests import scan_samples, waiting
from tests.drive_server import PEOPLE, served
from tests.fixtures_drive import new_config
from tests.pdf_samples import document
from tests.waiting import PATIENCE_S

ALICE, AMIR, BRUNO = PEOPLE["alice"], PEOPLE["amir"], PEOPLE["bruno"]
NOW_S = 1_800_000_000


@pytest.fixture(scope="module")
def scanner() -> Iterator[Path]:
    """The socket of the real scanner."""
    with tempfile.TemporaryDirectory(prefix="bfs-") as state:
        folder = Path(state)
        for name in ("scan", "scan-files", "rules"):
            (folder / name).mkdir()
        (folder / "beffroi.toml").write_text("")
        process = subprocess.Popen(
            (sys.executable, "-m", "beffroi.scan"), env={**os.environ, "BEFFROI_STATE": state}
        )
        path = folder / "scan" / "scan.sock"

        def answers() -> bool:
            try:
                return scan_wire.ask(path, scan_wire.PING) == b"PONG"
            except (OSError, scan_wire.Ended):
                return False

        waiting.until(answers, "the scanner")
        yield path
        process.terminate()
        process.wait(PATIENCE_S)


@dataclass
class World:
    """Drives without a server. ``reads``: how documents are read."""

    state: Path
    pool: ThreadPoolExecutor
    reads: Callable[[bytes], str]
    indexer: Indexer = field(init=False)

    def __post_init__(self) -> None:
        self.config = new_config(self.state)
        self.communes = Communes(self.state / "drive", self.pool)
        self.held: set[str] = set()
        self.crossed: list[Crossing] = []
        self.store = SealedStore(self.config, self.communes, self.pool, self._refuse)
        self.keys_of = partial(keys.make, self.config)
        self.found = Found(
            self.communes,
            self.keys_of,
            self.store,
            self.reads,
            b"x",
            lambda request, who: None,
            self.crossed.append,
        )
        self.restart()

    def _refuse(self, sha256: str, collectivite_id: str) -> None:
        """The door of files."""
        if sha256 in self.held:
            raise frozen.Frozen("dec_x")

    def restart(self) -> None:
        self.indexer = Indexer(self.communes, stocks(self.config), self.keys_of, self.reads)

    def put(self, who: Who, name: str, data: bytes, *, common: bool = False) -> Node:
        database = self.communes.metadata(who.collectivite_id)
        with database.reading() as reading:
            root = View(database, who).roots(reading)[common]

        async def pieces() -> AsyncIterator[bytes]:
            yield data

        content = asyncio.run(self.store(who.collectivite_id).receive(pieces(), len(data)))
        act = Act(who.person_id, "", NOW_S)
        return database.write(lambda w: tree.put(w, act, root.id, name, content))[0]

    def settle(self, collectivite_id: str = ALICE.collectivite_id) -> None:
        for _ in range(100):
            if not self.indexer.step(collectivite_id):
                return
        raise AssertionError("it does not come to an end")

    def names(self, who: Who, words: str) -> list[str]:
        database = self.communes.metadata(who.collectivite_id)
        with database.reading() as reading:
            view = View(database, who)
            return sorted(view.at(reading, one.node).node.name for one in self.found.find(who, words).hits)


@pytest.fixture
def world(scanner: Path) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="bfw-") as state, ThreadPoolExecutor(4) as pool:
        made = World(Path(state) / "s", pool, by_scan(scanner))
        yield made
        made.communes.close()


FILES = {
    "note.txt": b"La cantine rouvre lundi.",
    "marque.txt": "cantine".encode("utf-16"),
    "liste.csv": "Prénom;Été\r\nZoé;cantine".encode("cp1252"),
    "page.html": b"<html><style>voirie{}</style><p>can<b></b> cantine &eacute;t&eacute;</p></html>",
    "pv.pdf": document(["Séance du conseil", "Tarifs de la cantine"]),
    "lettre.docx": scan_samples.docx("Les cantines scolaires"),
    "budget.ods": scan_samples.ods(),
    "avis.rtf": rb"{\rtf1\ansi\ansicpg1252 Arr\'eat\'e9 du maire}",
    "lettre.rtf": rb"{\rtf1\ansi\ansicpg1251 \'cf\'f0\'e8\'e2\'e5\'f2}",
    "courriel.eml": b"Subject: Menus\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64encode(b"La cantine"),
    "ancien.eml": b"Subject: La cantine\r\n\r\nBonjour",
    "vide.txt": b"",
    "faux.txt": b"\0\1\2cantine",
    "casse.pdf": b"%PDF-1.7 cantine",
}


def test_texts_documents_and_pdfs_are_found_by_what_they_say(world: World) -> None:
    for name, data in FILES.items():
        world.put(ALICE, name, data)
    world.settle()
    assert world.names(ALICE, "CANTINES") == [
        "ancien.eml",
        "courriel.eml",
        "lettre.docx",
        "liste.csv",
        "marque.txt",
        "note.txt",
        "page.html",
        "pv.pdf",
    ]
    assert world.names(ALICE, "été") == ["liste.csv", "page.html"]
    assert world.names(ALICE, "tarif cantine") == ["pv.pdf"]
    assert world.names(ALICE, "budgets") == ["budget.ods"]
    assert world.names(ALICE, "arrêtés") == ["avis.rtf"] and world.names(ALICE, "привет") == ["lettre.rtf"]
    assert world.names(ALICE, "voirie") == world.names(ALICE, "le la les") == []
    (hit,) = world.found.find(ALICE, "seance").hits
    assert (hit.before, hit.words, hit.after) == ("", "Séance", " du conseil Tarifs de la cantine")


def test_nobody_finds_what_is_anothers_and_no_commune_what_is_another_communes(world: World) -> None:
    world.put(ALICE, "secret.txt", b"subvention secrete")
    world.put(ALICE, "tous.txt", b"subvention commune", common=True)
    world.put(BRUNO, "ailleurs.txt", b"subvention ailleurs", common=True)
    world.settle()
    world.settle(BRUNO.collectivite_id)
    assert world.names(ALICE, "subvention") == ["secret.txt", "tous.txt"]
    assert world.names(AMIR, "subvention") == ["tous.txt"]
    assert world.names(BRUNO, "subvention") == ["ailleurs.txt"]


def test_what_is_replaced_deleted_moved_or_held_leaves_and_what_returns_comes_back(world: World) -> None:
    one = world.put(ALICE, "a.txt", b"cantine")
    world.settle()
    assert world.names(ALICE, "cantine") == ["a.txt"]
    world.put(ALICE, "a.txt", b"voirie")
    world.settle()
    assert world.names(ALICE, "cantine") == [] and world.names(ALICE, "voirie") == ["a.txt"]
    database, act = world.communes.metadata(ALICE.collectivite_id), Act(ALICE.person_id, "", NOW_S)
    with database.reading() as reading:
        own, common = View(database, ALICE).roots(reading)
        sha256 = View(database, ALICE).at(reading, one.id).node.sha256
    inside = database.write(lambda w: tree.make_folder(w, act, own.id, "dossier"))
    database.write(lambda w: tree.move(w, act, one.id, inside.id, "a.txt"))
    database.write(lambda w: tree.move(w, act, inside.id, common.id, "dossier"))
    world.settle()
    assert world.names(AMIR, "voirie") == ["a.txt"], "a folder takes what lies in it along"
    database.write(lambda w: frozen.freeze(w, sha256=sha256, decision_id="dec_x", now_s=NOW_S))
    world.settle()
    with database.reading() as reading:
        held = index.kept(reading, one.id)
    assert held is not None and held.terms == () and held.sealed == b""
    database.write(lambda w: frozen.thaw(w, sha256=sha256))
    world.settle()
    assert world.names(AMIR, "voirie") == ["a.txt"]
    database.write(lambda w: tree.delete(w, act, inside.id))
    world.settle()
    with database.reading() as reading:
        assert reading.all("SELECT 1 FROM word") == [] and index.kept(reading, one.id) is None


def test_what_is_set_free_while_the_index_looks_at_it_is_looked_at_again(world: World) -> None:
    held = world.put(ALICE, "note.txt", FILES["note.txt"])
    database = world.communes.metadata(ALICE.collectivite_id)
    database.write(lambda w: frozen.freeze(w, sha256=held.sha256, decision_id="dec_x", now_s=NOW_S))
    slow = world.put(ALICE, "pv.pdf", FILES["pv.pdf"])

    def reads(_: bytes) -> str:
        database.write(lambda w: frozen.thaw(w, sha256=held.sha256))
        return "cantine"

    world.reads = reads
    world.restart()
    world.settle()
    assert slow.id > held.id and world.names(ALICE, "cantine") == ["note.txt", "pv.pdf"]


def test_a_restart_goes_on_and_what_was_there_before_is_indexed(world: World) -> None:
    for number in range(70):
        world.put(ALICE, f"{number}.txt", b"cantine %d" % number)
    world.indexer.step(ALICE.collectivite_id)
    world.indexer.step(ALICE.collectivite_id)
    world.restart()
    world.settle()
    assert world.names(ALICE, "cantine 69") == ["69.txt"]
    assert (
        len(world.found.find(ALICE, "cantine").hits) == wire.MOST_HITS
        and world.found.find(ALICE, "cantine").more
    )


def test_one_row_that_cannot_be_read_keeps_no_other_from_the_index(world: World) -> None:
    broken = world.put(ALICE, "a.txt", b"cantine")
    world.put(ALICE, "b.txt", b"cantine")
    database = world.communes.metadata(ALICE.collectivite_id)
    database.write(lambda w: w.run("UPDATE node SET manifest = ? WHERE id = ?", (b"\2", broken.id)))
    world.settle()
    assert world.names(ALICE, "cantine") == ["b.txt"]


def test_documents_wait_for_the_scanner_and_nothing_else_does(world: World) -> None:
    reads, asked = world.reads, []

    def away(data: bytes) -> str:
        asked.append(len(data))
        raise Unavailable("The scanner of files")

    world.reads = away
    world.restart()
    for name in ("pv.pdf", "lettre.docx", "note.txt"):
        world.put(ALICE, name, FILES[name])
    world.settle()
    assert world.names(ALICE, "cantine") == ["note.txt"] and len(asked) == 1
    world.reads = reads
    world.restart()
    world.settle()
    assert world.names(ALICE, "cantine") == ["lettre.docx", "note.txt", "pv.pdf"]


def test_no_word_of_a_content_lies_in_the_metadata(world: World) -> None:
    world.put(ALICE, "a.txt", b"cantine voirie subvention " * 50)
    world.settle()
    assert world.names(ALICE, "voirie") == ["a.txt"]
    world.communes.close()
    stored = b"".join(one.read_bytes() for one in (world.state / "drive").rglob("*") if one.is_file()).lower()
    assert b"a.txt" in stored and b"cantine" not in stored and b"subvention" not in stored


def test_with_the_key_of_a_commune_its_words_are_gone(world: World) -> None:
    world.put(ALICE, "a.txt", b"cantine")
    world.put(BRUNO, "b.txt", b"cantine")
    world.settle()
    world.settle(BRUNO.collectivite_id)
    keys.Keys(world.config, ALICE.collectivite_id).erase("usr_x")
    for ask in (world.settle, lambda: world.found.find(ALICE, "cantine")):
        with pytest.raises(keys.KeysErased):
            ask()
    assert world.names(BRUNO, "cantine") == ["b.txt"]


def test_texts_follow_the_key_and_what_cannot_be_opened_is_read_again(world: World) -> None:
    one, two = world.put(ALICE, "a.txt", b"cantine"), world.put(ALICE, "b.txt", b"cantine aussi")
    world.settle()
    world.keys_of(ALICE.collectivite_id).rotate()
    database = world.communes.metadata(ALICE.collectivite_id)
    database.write(lambda w: w.run("UPDATE word_file SET sealed = ? WHERE node = ?", (b"broken", two.id)))
    world.settle()
    with database.reading() as reading:
        for node in (one, two):
            text_id, sealed = index.text_of(reading, node.id)
            assert Header.read(text_id, sealed[:HEADER_BYTES]).generation == 2
    assert {hit.words + hit.after for hit in world.found.find(ALICE, "cantine").hits} == {
        "cantine",
        "cantine aussi",
    }


def test_the_text_of_a_document_is_told_to_who_sees_it_alone(world: World) -> None:
    node = world.put(ALICE, "lettre.docx", FILES["lettre.docx"])
    world.put(ALICE, "lettre.docx", scan_samples.docx("Autre texte"))
    database = world.communes.metadata(ALICE.collectivite_id)

    def text(who: Who, etag: int = 0) -> str:
        return asyncio.run(world.found.text(who, wire.Which(node.id, etag))).text.strip()

    assert text(ALICE) == "Autre texte" and text(ALICE, node.etag) == "Les cantines scolaires"
    for other in (AMIR, BRUNO):
        with pytest.raises(AbsentNode):
            text(other, node.etag)
    with pytest.raises(AbsentNode):
        text(ALICE, 1)
    database.write(lambda w: frozen.freeze(w, sha256=node.sha256, decision_id="dec_x", now_s=NOW_S))
    world.held.add(node.sha256)
    with pytest.raises(frozen.Frozen):
        text(ALICE, node.etag)
    large = world.put(ALICE, "large.pdf", bytes(MOST_READ_BYTES + 1))
    with pytest.raises(TooLarge):
        asyncio.run(world.found.text(ALICE, wire.Which(large.id)))


def test_what_another_process_changes_is_heard_and_indexed(tmp_path: Path) -> None:
    """The portal's pages change metadata in their own process, and say so."""
    state = tmp_path / "s"
    with served(state) as server, ThreadPoolExecutor(2) as pool:
        assert server.ask("PUT", "/remote.php/dav/files/alice/a.txt", b"cantine")[0] == 201
        communes = Communes(state / "drive", pool)
        database = communes.metadata(ALICE.collectivite_id)

        def roots() -> set[int]:
            with database.reading() as reading:
                return {row[0] for row in reading.all("SELECT root FROM word")}

        with database.reading() as reading:
            own, common = View(database, ALICE).roots(reading)
            found = look.child(reading, own.id, "a.txt")
        assert found is not None
        waiting.until(lambda: roots() == {own.id}, "the index")
        act = Act(ALICE.person_id, "", NOW_S)
        database.write(lambda w: tree.move(w, act, found.id, common.id, "a.txt"))
        push.tell(state / "run", ALICE.collectivite_id)
        waiting.until(lambda: roots() == {common.id}, "the index")
        communes.close()


def test_only_a_grant_for_the_search_is_answered(tmp_path: Path) -> None:
    with served(tmp_path / "s") as server:
        key = (tmp_path / "s" / "secrets" / "drive-grant.key").read_bytes().strip()

        def ask(path: str, body: bytes, method: str = "POST") -> int:
            grant = make_grant(
                key,
                subject_id="per_alice",
                collectivite_id=ALICE.collectivite_id,
                paths=(path,),
                role="agent",
            )
            return server.ask(method, wire.PATH, body, Authorization=f"Bearer {grant}")[0]

        assert server.ask("POST", wire.PATH, b'{"words": "x"}')[0] == 403
        assert ask(granted.OUT_PATH, b'{"words": "x"}') == ask(granted.IN_PATH, b'{"words": "x"}') == 403
        assert ask(wire.PATH, b'{"words": "x"}') == 200
        assert ask(wire.PATH, b'{"words": 1}') == 400 and ask(wire.PATH, b"x" * 2000) == 413
        assert ask(wire.PATH, b"", "GET") == 404
        assert server.ask("POST", wire.TEXT_PATH, b'{"node": 1}')[0] == 403
