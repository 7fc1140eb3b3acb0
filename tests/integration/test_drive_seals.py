"""Sealing by the process of contents: every byte read, signed, stamped, verified; kills, damage, packages."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.archives import manifest, report, stamps
from beffroi.drive.archives.rules import Sealed
from beffroi.drive.seals import authority as time_authority
from beffroi.drive.seals import contents, key
from beffroi.drive.seals import desk as desk_module
from beffroi.drive.seals.contents import Stopped
from beffroi.drive.seals.desk import Desk
from beffroi.drive.seals.verification import unpacked
from beffroi.drive.store import keys, seal_checks, seals, tree
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.model import Node
from beffroi.drive.store.objects import object_name
from beffroi.drive.store.seals import NO_END, Seal
from beffroi.drive.store.stock import stocks
from beffroi.drive.web.sync import push
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from cryptography import x509

from tests.fixtures_drive import noise
from tests.integration.test_drive_archives_stamps import an_authority, openssl
from tests.integration.test_drive_upkeep import LARGE, Place, place

__all__ = ["place"]


class Told(list[tuple[str, Mapping[str, str | int]]]):
    def __call__(self, kind: str, collectivite_id: str, payload: Mapping[str, str | int]) -> None:
        self.append((kind, payload))


def desk_of(place: Place, told: Told | None = None) -> Desk:
    return Desk(place.config, place.communes, stocks(place.config), told if told is not None else Told())


def filled(place: Place, files: Mapping[str, bytes]) -> Node:
    """The folder "Factures" with these files, perhaps in a folder of it."""
    root = place.root()
    folder = place.database.write(lambda w: tree.make_folder(w, place.act(), root.id, "Factures"))
    made: dict[str, Node] = {"": folder}
    for path, data in files.items():
        inner, _, name = path.rpartition("/")
        if inner not in made:
            made[inner] = place.database.write(
                lambda w, it=inner: tree.make_folder(w, place.act(), folder.id, it)
            )
        content = place.taken(data)
        place.database.write(
            lambda w, it=made[inner], name=name, content=content: tree.put(
                w, place.act(), it.id, name, content
            )
        )
    return folder


def begun(place: Place, folder: Node, *, until_s: int = NO_END) -> str:
    with place.database.reading() as reading:
        files, size_bytes, _ = seals.sums(reading, folder.id)
    made = Seal(
        new_id("seal"), folder.id, "sealing", folder.name, clock.epoch_s(), until_s, "invoices", "per_ref", 12,
        "ab" * 32, files, size_bytes, 0, 0, 0, "none", 0, 0, 0, "",
    )  # fmt: skip
    place.database.write(lambda w: seals.begin(w, made))
    return made.id


def seen(place: Place, seal_id: str) -> tuple[Seal, dict[str, bytes]]:
    with place.database.reading() as reading:
        return seals.find(reading, seal_id), seals.texts(reading, seal_id)


def checked(place: Place, seal_id: str, told: Told | None = None) -> report.Report:
    place.database.write(lambda w: seal_checks.ask(w, seal_id, person_id="per_ref", now_s=clock.epoch_s()))
    desk_of(place, told).work(place.owner)
    with place.database.reading() as reading:
        found = seal_checks.last(reading, seal_id)
    assert found is not None
    return unpacked(found.report)


FILES = {
    "a.pdf": b"%PDF-1.4 a",
    "Mars/b.bin": noise(LARGE, b"b"),
    "Mars/vide": b"",
    "Avril/c.bin": noise(2 * LARGE, b"c"),
}


def test_a_folder_is_read_signed_and_found_intact(place: Place) -> None:
    told = Told()
    seal_id = begun(place, filled(place, FILES), until_s=clock.epoch_s() + 86400)
    desk_of(place, told).work(place.owner)
    seal, texts = seen(place, seal_id)
    assert (seal.state, seal.done_files, seal.done_bytes) == ("sealed", 4, seal.size_bytes)
    statement = manifest.read_statement(texts[manifest.STATEMENT])
    assert statement.subject.collectivite_id == place.owner and statement.files == 4
    assert (statement.subject.until_s, statement.subject.rule) == (seal.until_s, "invoices")
    assert [line.path for line in manifest.read_files(texts[manifest.FILES])] == sorted(FILES)
    own = key.signing_key(keys.make(place.config, place.owner))
    assert told == [
        (
            "drive:sealed",
            {
                "seal_id": seal_id,
                "person_id": "per_ref",
                "files": 4,
                "root": statement.root,
                "key": key.public_bytes(own).hex(),
            },
        )
    ]
    found = checked(place, seal_id, told)
    assert found.intact and found.read and (found.present, found.stamp) == (4, "none")
    assert told[1][0] == "drive:seal_checked" and told[1][1]["intact"] == 1
    desk_of(place, told).work(place.owner)
    assert len(told) == 2, "nothing is told twice"


def test_openssl_and_sha256sum_check_a_seal(place: Place, tmp_path: Path) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    _, texts = seen(place, seal_id)
    where = tmp_path / "parts"
    where.mkdir()
    for name, data in texts.items():
        (where / name).write_bytes(data)
    check = (
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "cle.pem",
        "-rawin",
        "-in",
        "sceau.txt",
        "-sigfile",
        "sceau.sig",
    )
    assert "Verified Successfully" in openssl(where, *check)
    (where / "sceau.txt").write_bytes(texts["sceau.txt"].replace(b"invoices", b"receipts"))
    openssl(where, *check, well=False)


def test_two_collectivites_sign_with_different_keys(place: Place) -> None:
    own, other = (key.signing_key(keys.make(place.config, one)) for one in (place.owner, new_id("col")))
    assert key.public_bytes(own) != key.public_bytes(other)
    assert key.public_bytes(own) == key.public_bytes(key.signing_key(keys.make(place.config, place.owner)))


DAMAGES = {
    "bit": "",
    "gone": "",
    "text for bytes": "UPDATE chunk SET sealed = 'x' WHERE id = ?",
    "number for bytes": "UPDATE chunk SET sealed = 1099511627776 WHERE id = ?",
    "text for a list": "UPDATE node SET manifest = 'x' WHERE substr(manifest, 2, 32) = ?",
    "number for a list": "UPDATE node SET manifest = 7 WHERE substr(manifest, 2, 32) = ?",
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_ends_a_sealing_names_the_file_and_frees_the_folder(place: Place, what: str) -> None:
    folder = filled(place, FILES)
    damaged = _damage(place, what)
    seal_id, told = begun(place, folder), Told()
    desk_of(place, told).work(place.owner)
    seal, texts = seen(place, seal_id)
    assert seal.state == "failed" and set(texts) == {seals.DAMAGED}
    assert texts[seals.DAMAGED].decode().splitlines() == [damaged]
    assert [kind for kind, _ in told] == ["drive:seal_failed"]
    place.database.write(lambda w: tree.make_folder(w, place.act(), folder.id, "encore libre"))


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_after_the_sealing_is_found_by_the_report_and_named(place: Place, what: str) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    damaged = _damage(place, what)
    found = checked(place, seal_id)
    assert not found.intact and found.signed and found.listed
    assert found.changed == ((damaged, ("content",)),) and found.present == 3


def _damage(place: Place, what: str) -> str:
    """One bit in the middle of a file's first object, or all of it, or what SQLite keeps in another type; return whose
    it is."""
    with place.database.reading() as reading:
        row = reading.one("SELECT manifest FROM node WHERE name = 'b.bin'")
    assert row is not None
    chunk = Manifest.unpack(row[0]).chunks[0]
    victim = place.config.state / "drive" / "objects" / object_name(place.owner, chunk.id)
    if what == "gone":
        victim.unlink()
    elif DAMAGES[what]:
        place.database.write(lambda w: w.run(DAMAGES[what], (chunk.id,)))
    else:
        raw = bytearray(victim.read_bytes())
        raw[len(raw) // 2] ^= 1
        victim.chmod(0o600)
        victim.write_bytes(raw)
    return "Mars/b.bin"


def test_changes_below_our_rules_are_named(place: Place) -> None:
    """Somebody writes into the database itself."""
    folder = filled(place, FILES)
    seal_id = begun(place, folder)
    desk_of(place).work(place.owner)
    place.database.write(lambda w: w.run("UPDATE node SET mtime_s = 1 WHERE name = 'a.pdf'"))
    place.database.write(lambda w: w.run("UPDATE node SET name = 'x', folded = 'x' WHERE name = 'vide'"))
    found = checked(place, seal_id)
    assert not found.intact
    assert found.changed == (("a.pdf", ("date",)),)
    assert (found.absent, found.added) == (("Mars/vide",), ("Mars/x",))


def test_a_forged_statement_is_not_believed(place: Place) -> None:
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    _, texts = seen(place, seal_id)
    other = key.signing_key(keys.make(place.config, new_id("col")))
    text = texts[manifest.STATEMENT].replace(b"invoices", b"receipts")
    forged = {
        manifest.STATEMENT: text,
        manifest.SIGNATURE: other.sign(text),
        manifest.PUBLIC: key.public_pem(other),
    }
    for name, data in forged.items():
        place.database.write(
            lambda w, name=name, data=data: w.run(
                "UPDATE seal_text SET content = ? WHERE seal = ? AND name = ?", (data, seal_id, name)
            )
        )
    found = checked(place, seal_id)
    assert not found.signed and not found.intact


KILLED = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from beffroi.drive.seals import contents, desk
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.stock import stocks
from beffroi.lib.config import Config

contents.MOST_FILES = 1
config = Config(state=Path(sys.argv[1]))
plain = contents.is_sound
def slow(*given):
    found = plain(*given)
    print(given[0].path, flush=True)
    time.sleep(0.05)
    return found
contents.is_sound = slow
with ThreadPoolExecutor(1) as commits:
    communes = Communes(config.state / "drive", commits)
    desk.Desk(config, communes, stocks(config), lambda *said: print("told", said[0], flush=True)).work(sys.argv[2])
    communes.close()
"""


def test_a_sealing_that_was_killed_goes_on_where_it_was(place: Place) -> None:
    names = [f"{number:02d}.txt" for number in range(40)]
    folder = filled(place, {name: name.encode() for name in names})
    seal_id = begun(place, folder)
    arguments = (sys.executable, "-c", KILLED, str(place.config.state), place.owner)

    def read(until: int) -> list[str]:
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if len(lines) == until:
                process.send_signal(signal.SIGKILL)
        assert process.wait(30) == (-signal.SIGKILL if until else 0)
        return lines

    first = read(10)
    seal, _ = seen(place, seal_id)
    assert seal.state == "sealing" and 8 <= seal.done_files <= len(first)
    with pytest.raises(Sealed):
        place.database.write(lambda w: tree.make_folder(w, place.act(), folder.id, "n"))
    second = read(10)
    third = read(0)
    assert third[-1] == "told drive:sealed"
    everything = first + second + third[:-1]
    assert set(everything) == set(names)
    assert len(everything) <= len(names) + 4, "what was read is not read again, but what was under way"
    seal, texts = seen(place, seal_id)
    assert (seal.state, seal.done_files) == ("sealed", 40)
    assert manifest.read_statement(texts[manifest.STATEMENT]).files == 40
    assert checked(place, seal_id).intact


def test_what_the_end_of_the_process_cut_short_is_taken_up_again(place: Place) -> None:
    seal_id = begun(place, filled(place, FILES))
    ending = desk_of(place)
    ending.stop()
    with pytest.raises(Stopped):
        ending.work(place.owner)
    assert seen(place, seal_id)[0].state == "sealing"
    desk_of(place).work(place.owner)
    assert seen(place, seal_id)[0].state == "sealed"
    place.database.write(lambda w: seal_checks.ask(w, seal_id, person_id="per_ref", now_s=clock.epoch_s()))
    with pytest.raises(Stopped):
        ending.work(place.owner)
    with place.database.reading() as reading:
        assert seal_checks.last(reading, seal_id) is None
    assert checked(place, seal_id).intact


def test_damage_before_a_kill_is_not_forgotten_after_it(place: Place) -> None:
    folder = filled(place, FILES)
    damaged = _damage(place, "gone")
    seal_id = begun(place, folder)
    with place.database.reading() as reading:
        last = reading.all("SELECT MAX(id) FROM node WHERE is_folder = 0")[0][0]
    place.database.write(
        lambda w: seals.read_to(
            w, seal_id, reached=last, files=4, size_bytes=1, damaged=f"{damaged}\n".encode()
        )
    )
    desk_of(place).work(place.owner)
    assert seen(place, seal_id)[0].state == "failed"


def test_the_thread_hears_who_asks_and_takes_up_what_waited(place: Place) -> None:
    first = begun(place, filled(place, {"a": b"a"}))
    desk = desk_of(place)
    desk.start()
    try:
        _until(lambda: seen(place, first)[0].state == "sealed")
        place.database.write(lambda w: seal_checks.ask(w, first, person_id="per_ref", now_s=clock.epoch_s()))
        push.tell(place.config.run, place.owner)

        def is_checked() -> bool:
            with place.database.reading() as reading:
                return seal_checks.last(reading, first) is not None

        _until(is_checked)
    finally:
        desk.stop()
    assert not list(push.directory(place.config.run).iterdir())


def _until(holds: Any) -> None:
    end_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.02)


# -- the authority -----------------------------------------------------------------------------------------------


@contextmanager
def authority(folder: Path, answers: list[str]) -> Iterator[str]:
    """openssl behind HTTP. ``answers``: what it does in turn: "stamp", "busy", "nonsense", "drip"; then "stamp"."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # name of http.server
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            what = answers.pop(0) if answers else "stamp"
            body = b"not a stamp"
            if what == "stamp":
                (folder / "query").write_bytes(asked)
                openssl(
                    folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-signer", "tsa.pem",
                    "-inkey", "tsa.key", "-out", "reply",
                )  # fmt: skip
                body = (folder / "reply").read_bytes()
            self.send_response(503 if what == "busy" else 200)
            self.end_headers()
            with suppress(OSError):  # who asked has gone
                for _ in range(50 if what == "drip" else 0):
                    self.wfile.write(b"x")
                    time.sleep(0.1)
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as door:
        thread = threading.Thread(target=door.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.server_port}/tsa"
        finally:
            door.shutdown()
            thread.join(10)


def test_an_authority_stamps_the_statement_when_it_answers(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "tsa"
    folder.mkdir()
    an_authority(folder, ("-newkey", "rsa:2048"), "sha256", "sha256")
    with authority(folder, ["busy", "nonsense"]) as address:
        place.config = replace(
            place.config, drive_time_authority=address, drive_time_roots=str(folder / "ca.pem")
        )
        seal_id = begun(place, filled(place, FILES))
        for later_s in (0, 1000, 2000):
            with clock.shifted(later_s):
                desk_of(place).work(place.owner)
            seal, texts = seen(place, seal_id)
            assert seal.state == "sealed", "it waits for nobody"
            assert (seal.stamp, manifest.STAMP in texts) == (
                ("had", True) if later_s == 2000 else ("wanted", False)
            )
    roots = x509.load_pem_x509_certificates((folder / "ca.pem").read_bytes())
    stamp = stamps.verify(texts[manifest.STAMP], texts[manifest.STATEMENT], roots)
    assert stamp.authority == "Horodatage"
    found = checked(place, seal_id)
    assert found.intact and (found.stamp, found.stamped_by) == ("valid", "Horodatage")


def test_an_authority_without_roots_is_not_asked(place: Place) -> None:
    place.config = replace(place.config, drive_time_authority="http://127.0.0.1:9/tsa")
    seal_id = begun(place, filled(place, FILES))
    desk_of(place).work(place.owner)
    assert seen(place, seal_id)[0].stamp == "wanted"


def test_of_very_many_damaged_files_as_many_are_named_as_is_said(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MOST_FILES", 3)
    monkeypatch.setattr(desk_module, "MOST_NAMED", 4)
    files = [f"{number:02d}.txt" for number in range(12)]
    folder = filled(place, {name: name.encode() for name in files})
    place.database.write(lambda w: w.run("UPDATE node SET manifest = 'x' WHERE is_folder = 0"))
    seal_id = begun(place, folder)
    desk_of(place).work(place.owner)
    assert seen(place, seal_id)[1][seals.DAMAGED].decode().splitlines() == files[:4]


def test_an_authority_that_answers_byte_by_byte_keeps_no_other_folder_waiting(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_authority, "WHOLE_S", 0.5)
    folder = tmp_path / "tsa"
    folder.mkdir()
    an_authority(folder, ("-newkey", "rsa:2048"), "sha256", "sha256")
    with authority(folder, ["drip"]) as address:
        place.config = replace(
            place.config, drive_time_authority=address, drive_time_roots=str(folder / "ca.pem")
        )
        seal_id = begun(place, filled(place, FILES))
        since_s = time.monotonic()
        desk_of(place).work(place.owner)
        assert time.monotonic() - since_s < 4
        assert (seen(place, seal_id)[0].state, seen(place, seal_id)[0].stamp) == ("sealed", "wanted")
        with clock.shifted(1000):
            desk_of(place).work(place.owner)
        assert seen(place, seal_id)[0].stamp == "had"
