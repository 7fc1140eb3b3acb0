"""Sealing by the process of contents: every byte read, signed, stamped, verified; kills, damage, packages."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.archives import manifest
from beffroi.drive.archives.rules import Sealed
from beffroi.drive.seals import contents, files, key
from beffroi.drive.seals import desk as desk_module
from beffroi.drive.seals.contents import Stopped
from beffroi.drive.store import keys, seal_checks, seals, tree
from beffroi.drive.store.objects import StoreUnavailable
from beffroi.drive.web.sync import push
from beffroi.lib import clock
from beffroi.lib.ids import new_id

from tests.drive_place import Place, place
from tests.drive_sealing import DAMAGES, FILES, Told, begun, checked, damage, desk_of, filled, seen
from tests.integration.test_drive_archives_stamps import openssl
from tests.waiting import PATIENCE_S, until

__all__ = ["place"]


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
    assert found.intact and found.whole and (found.present, found.stamp) == (4, "none")
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


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_ends_a_sealing_names_the_file_and_frees_the_folder(place: Place, what: str) -> None:
    folder = filled(place, FILES)
    damaged = damage(place, what)
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
    damaged = damage(place, what)
    found = checked(place, seal_id)
    assert not found.intact and found.signed and found.listed
    assert found.changed == ((damaged, ("content",)),) and found.present == 3


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


@pytest.mark.parametrize("part", [manifest.STATEMENT, manifest.FILES, manifest.SIGNATURE])
@pytest.mark.parametrize("value", ["x", 1 << 40, "", b""])
def test_a_part_of_a_seal_that_is_none_is_a_damage(place: Place, part: str, value: object) -> None:
    seal_id = begun(place, filled(place, {"a.pdf": b"a"}))
    desk_of(place).work(place.owner)
    place.database.write(lambda w: w.run("UPDATE seal_text SET content = ? WHERE name = ?", (value, part)))
    assert not checked(place, seal_id).intact


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
        assert process.wait(PATIENCE_S) == (-signal.SIGKILL if until else 0)
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
    damaged = damage(place, "gone")
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
        until(lambda: seen(place, first)[0].state == "sealed", "it is sealed")
        place.database.write(lambda w: seal_checks.ask(w, first, person_id="per_ref", now_s=clock.epoch_s()))
        push.tell(place.config.run, place.owner)

        def is_checked() -> bool:
            with place.database.reading() as reading:
                return seal_checks.last(reading, first) is not None

        until(is_checked, "it is checked")
    finally:
        desk.stop()
    assert not list(push.directory(place.config.run).iterdir())


@pytest.mark.parametrize("by", ["per_ref", seal_checks.NOBODY])
def test_an_object_that_does_not_answer_keeps_no_other_seal_from_its_turn(
    place: Place, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    root = place.root()
    folders = [
        place.database.write(lambda w, name=name: tree.make_folder(w, place.act(), root.id, name))
        for name in "abc"
    ]
    content = place.taken(b"x")
    for one in folders:
        place.database.write(lambda w, it=one: tree.put(w, place.act(), it.id, "x.txt", content))
    stuck = [folders[0].id]
    plain = contents.is_sound

    def is_sound(file: files.File, *given: Any) -> bool:
        if file.node.parent in stuck:
            raise StoreUnavailable("EIO")
        return plain(file, *given)

    monkeypatch.setattr(contents, "is_sound", is_sound)
    seal_ids = [begun(place, one) for one in folders]
    desk = desk_of(place)
    with pytest.raises(StoreUnavailable):
        desk.work(place.owner)
    assert [seen(place, one)[0].state for one in seal_ids] == ["sealing", "sealed", "sealed"]
    stuck.clear()
    desk.work(place.owner)
    stuck.append(folders[1].id)
    for number, one in enumerate(reversed(seal_ids)):
        place.database.write(
            lambda w, it=one, at=number: seal_checks.ask(w, it, person_id=by, now_s=clock.epoch_s() + at)
        )
    failed = 0
    for _ in range(8):
        try:
            desk.work(place.owner)
        except StoreUnavailable:
            failed += 1
    with place.database.reading() as reading:
        left = [one.seal for one in seal_checks.unfinished(reading)]
        assert left == [seal_ids[1]] and seal_checks.last(reading, seal_ids[0]) is not None
    assert failed >= 4
    stuck.clear()
    desk.work(place.owner)
    desk.work(place.owner)
    with place.database.reading() as reading:
        assert seal_checks.unfinished(reading) == []


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
