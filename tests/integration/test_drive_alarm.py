"""A device that changes files as ransomware does is stopped, and everything that it did is taken back; through the
real server, by a device that does it in memory alone."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.core.events.models import OutboxEvent
from beffroi.drive import alarms, recovery
from beffroi.drive.alarms import Raised
from beffroi.drive.sentry import Sentry, tell_alarm
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act
from beffroi.drive.store.stock import stocks
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, NotFound

from tests import drive_attacks
from tests.drive_files import OFFICE, made
from tests.drive_server import A, B, Served, served
from tests.fixtures_stream import eventually

COMMON = "/remote.php/dav/files/alice/Commune"
COLLEAGUE = "/remote.php/dav/files/amir/Commune"
DEVICE = "app_alice"
type Tree = dict[str, bytes]


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "state") as one:
        yield one


def town_hall(drive: Served) -> Tree:
    """40 office files of a colleague in 8 folders of the collectivité, by their path in it."""
    files: Tree = {}
    for folder in range(8):
        assert drive.ask("MKCOL", f"{COLLEAGUE}/f{folder}", login="amir")[0] == 201
        for number in range(5):
            kind = OFFICE[(folder * 5 + number) % len(OFFICE)]
            files[f"f{folder}/piece{number}.{kind}"] = made(kind, folder)
    for path, data in files.items():
        assert drive.ask("PUT", f"{COLLEAGUE}/{path}", data, "amir")[0] == 201
    return files


@contextmanager
def metadata(drive: Served, collectivite_id: str = A) -> Iterator[Database]:
    with ThreadPoolExecutor(1) as pool:
        communes = Communes(drive.directory / "drive", pool)
        yield communes.metadata(collectivite_id)
        communes.close()


def raised(drive: Served, collectivite_id: str = A) -> list[Raised]:
    with metadata(drive, collectivite_id) as database, database.reading() as reading:
        return alarms.every(reading)


def judged(drive: Served) -> None:
    """Wait until nothing is left to judge."""

    def is_over() -> bool:
        with metadata(drive) as database, database.reading() as reading:
            last = reading.one("SELECT MAX(number) FROM change WHERE device_id <> '' AND is_folder = 0")
            seen = reading.one("SELECT number FROM judged")
        return last is not None and seen is not None and seen[0] >= last[0]

    eventually(is_over, "judged")


def encrypt(drive: Served, files: Tree) -> int:
    """Overwrite one after the other until it is refused; how many were."""
    for number, (path, data) in enumerate(sorted(files.items(), key=lambda one: hash_of(one[0]))):
        status, _, answer = drive.ask("PUT", f"{COMMON}/{path}", drive_attacks.full(data, number))
        if status == 403:
            assert "Cet appareil est arrêté" in answer.decode()
            return number
        assert status == 204
        judged(drive)
    raise AssertionError("never stopped")


def hash_of(path: str) -> int:
    return random.Random(path).randrange(1 << 30)


def stopped_after(drive: Served, files: dict[str, bytes], step: Callable[[int, str], list[int]]) -> int:
    """How many files are attacked before the device is stopped, in an order of no meaning.

    ``step``: attacks one, by its number and path; returns the statuses that count."""
    for number, path in enumerate(sorted(files, key=hash_of)):
        if 403 in step(number, path):
            return number
        judged(drive)
    raise AssertionError("never stopped")


def content_of(drive: Served, files: Tree) -> Tree:
    """What the colleague finds."""
    found = {}
    for path in files:
        status, _, data = drive.ask("GET", f"{COLLEAGUE}/{path}", login="amir")
        if status == 200:
            found[path] = data
    return found


def act() -> Act:
    return Act("per_referent", "", clock.epoch_s())


def test_an_encryptor_is_stopped_after_a_few_files_and_all_comes_back(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    lost = encrypt(drive, files)
    assert lost <= 4, "docs/internals/ransomware.md: in place, whole: 3, and one that came meanwhile"
    for method in ("GET", "PROPFIND", "DELETE"):
        assert drive.ask(method, f"{COMMON}/f0")[0] == 403
    assert drive.ask("PUT", f"{COLLEAGUE}/suite.txt", b"on continue", "amir")[0] == 201
    assert drive.ask("PUT", "/remote.php/dav/files/bruno/note.txt", b"ailleurs", "bruno")[0] == 201
    (alarm,) = raised(drive)
    assert (alarm.device_id, alarm.person_id, alarm.state) == (DEVICE, "per_alice", "open")
    assert alarm.files == 3 and alarm.counts["lost"] == 3
    assert raised(drive, B) == []
    assert sum(content_of(drive, files)[path] != data for path, data in files.items()) == lost
    with metadata(drive) as database:
        with database.reading() as reading:
            lines = recovery.preview(reading, DEVICE)
        assert sum(line.reverted for line in lines) == lost
        assert {line.path.partition("/")[0] for line in lines} <= {f"f{number}" for number in range(8)}
        over = recovery.carry_out(database, act(), DEVICE)
        assert (over.state, over.done, over.missed) == ("restored", lost, 0)
        assert recovery.carry_out(database, act(), DEVICE) == over, "a second time does nothing"
    assert content_of(drive, files) == files
    assert drive.ask("GET", COMMON)[0] == 403, "it stays stopped"


def test_what_a_fast_encryptor_does_until_it_is_stopped_comes_back_too(drive: Served) -> None:
    files = town_hall(drive)
    for number, path in enumerate(sorted(files, key=hash_of)):
        if drive.ask("PUT", f"{COMMON}/{path}", drive_attacks.head(files[path], number))[0] == 403:
            break
    judged(drive)
    eventually(lambda: drive.ask("GET", COMMON)[0] == 403, "stopped")
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files


def test_a_restart_forgets_neither_the_signs_nor_the_stop(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    attacked = sorted(files, key=hash_of)
    for number, path in enumerate(attacked[:2]):
        assert drive.ask("PUT", f"{COMMON}/{path}", drive_attacks.full(files[path], number))[0] == 204
    judged(drive)
    assert raised(drive) == []
    drive.kill()
    drive.start()
    drive.ask("PUT", f"{COMMON}/{attacked[2]}", drive_attacks.full(files[attacked[2]], 2))
    drive.kill()  # acknowledged, and perhaps not judged
    drive.start()
    judged(drive)
    (alarm,) = raised(drive)
    assert alarm.files == 3
    drive.kill()
    drive.start()
    assert drive.ask("GET", COMMON)[0] == 403
    assert drive.ask("GET", COMMON, login="amir")[0] != 403


def test_copies_with_originals_deleted_are_seen_and_taken_back(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    refused = False
    for number, path in enumerate(sorted(files, key=hash_of)):
        data = drive_attacks.full_with_footer(files[path], number)
        done = drive.ask("PUT", f"{COMMON}/{path}.k9x2", data)[0]
        refused = 403 in (done, drive.ask("DELETE", f"{COMMON}/{path}")[0])
        if refused:
            break
        judged(drive)
    assert refused and number <= 4
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files
    assert content_of(drive, {f"{path}.k9x2": b"" for path in files}) == {}


def test_copies_made_before_anything_is_deleted_are_seen_once_it_is(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    for number, path in enumerate(files):
        folder = path.partition("/")[0]
        data = drive_attacks.full_with_footer(files[path], number)
        assert drive.ask("PUT", f"{COMMON}/{folder}/{number * 7919:08x}", data)[0] == 201, "of another name"
    judged(drive)
    assert raised(drive) == []
    lost = 0
    for path in sorted(files, key=hash_of):
        if drive.ask("DELETE", f"{COMMON}/{path}")[0] == 403:
            break
        lost += 1
        judged(drive)
    assert 3 <= lost <= 4


def test_originals_deleted_before_their_copies_come_are_seen(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        assert drive.ask("DELETE", f"{COMMON}/{path}")[0] in (204, 403)
        data = drive_attacks.full_with_footer(files[path], number)
        return [drive.ask("PUT", f"{COMMON}/{path.partition('/')[0]}/{number * 7919:08x}", data)[0]]

    assert stopped_after(drive, files, step) <= 4


def test_copies_made_elsewhere_and_moved_to_where_originals_were_deleted_are_seen(drive: Served) -> None:
    files = town_hall(drive)
    assert drive.ask("MKCOL", f"{COMMON}/ailleurs")[0] == 201
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        data = drive_attacks.full(files[path], number) + bytes(9000)
        made_at, target = f"{COMMON}/ailleurs/{number}", f"{COMMON}/{path}"
        done = [drive.ask("PUT", made_at, data)[0], drive.ask("DELETE", target)[0]]
        done.append(drive.ask("PUT", f"{COMMON}/ailleurs/journal.txt", b"x" * number)[0])
        return [*done, drive.ask("MOVE", made_at, Destination=target)[0]]

    assert stopped_after(drive, files, step) <= 4


def test_one_file_that_cannot_be_read_answers_for_one_deletion(drive: Served) -> None:
    """A vault of Cryptomator or GnuPG beside what its owner tidies away."""
    data = made("docx", 1)
    for number in range(12):
        assert drive.ask("PUT", f"{COMMON}/piece{number}.docx", data)[0] == 201
    assert drive.ask("PUT", f"{COMMON}/coffre.c9r", drive_attacks.full_with_footer(data, 1))[0] == 201
    for number in range(12):
        assert drive.ask("DELETE", f"{COMMON}/piece{number}.docx")[0] == 204
    judged(drive)
    assert raised(drive) == []


def test_a_temporary_file_moved_over_the_original_is_a_change_of_it(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        temporary = f"{COMMON}/{path.partition('/')[0]}/.upload{number}.tmp"
        first = drive.ask("PUT", temporary, drive_attacks.full(files[path], number))[0]
        return [first, drive.ask("MOVE", temporary, Destination=f"{COMMON}/{path}", Overwrite="T")[0]]

    assert stopped_after(drive, files, step) <= 4
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files


@pytest.mark.parametrize("between", [b"", b"\0" * 3000], ids=["emptied", "blanked"])
def test_what_is_emptied_before_it_is_encrypted_is_judged_by_what_it_was(
    drive: Served, between: bytes
) -> None:
    files = town_hall(drive)
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        data = drive_attacks.full(files[path], number)
        return [drive.ask("PUT", f"{COMMON}/{path}", one)[0] for one in (between, data)]

    assert stopped_after(drive, files, step) <= 4
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files


def test_what_is_emptied_before_its_copy_replaces_it_is_judged_by_what_it_was(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)

    def step(number: int, path: str) -> list[int]:
        data = drive_attacks.full_with_footer(files[path], number)
        done = [drive.ask("PUT", f"{COMMON}/{path}.k9x2", data)[0]]
        return [*done, drive.ask("PUT", f"{COMMON}/{path}")[0], drive.ask("DELETE", f"{COMMON}/{path}")[0]]

    assert stopped_after(drive, files, step) <= 4


def test_an_explorer_that_empties_a_file_before_it_saves_it_stops_nobody(drive: Served) -> None:
    files = town_hall(drive)
    for path in files:
        assert drive.ask("PUT", f"{COMMON}/{path}")[0] == 204
        assert drive.ask("PUT", f"{COMMON}/{path}", made(path.partition(".")[2], 60 + int(path[1])))[0] == 204
    judged(drive)
    assert raised(drive) == []


def test_a_device_is_stopped_before_what_came_after_it_is_looked_at(drive: Served) -> None:
    files = town_hall(drive)
    assert encrypt(drive, files) <= 4
    for path in sorted(files)[:5]:
        assert drive.ask("PUT", f"{COLLEAGUE}/{path}", b"suite", "amir")[0] == 204
    judged(drive)
    drive.kill()
    found: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        communes = Communes(drive.directory / "drive", pool)
        database = communes.metadata(A)

        def stop(collectivite_id: str) -> None:
            with database.reading() as reading:
                row = reading.one("SELECT number FROM judged")
            found.append(row[0] if row else 0)

        with database.reading() as reading:
            number = reading.one(
                "SELECT number FROM change WHERE device_id = ? ORDER BY number LIMIT 1 OFFSET 2", (DEVICE,)
            )
        for table in ("judged", "alarm"):
            database.write(lambda writing, it=table: writing.run(f"DELETE FROM {it}"))
        stock_of = stocks(Config(state=drive.directory))
        sentry = Sentry(communes, stock_of, lambda *_: None, stop)
        while sentry.judge(A) == 0.0:
            pass
        communes.close()
    assert number is not None and found == [number[0]]


def test_one_row_that_cannot_be_read_keeps_nobody_unjudged(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    first, *others = sorted(files, key=hash_of)
    with metadata(drive) as database:
        database.write(
            lambda writing: writing.run(
                "UPDATE node SET manifest = ? WHERE name = ?", (b"\2", first.partition("/")[2])
            )
        )
    assert drive.ask("PUT", f"{COMMON}/{first}", b"suite")[0] == 204
    assert encrypt(drive, {path: files[path] for path in others}) <= 4


def test_a_content_on_which_a_parser_stumbled_keeps_nobody_unjudged(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    data = b64encode(random.Random(1).randbytes(6000))[:4097] + b"!"
    assert drive.ask("PUT", f"{COMMON}/cle.txt", data)[0] == 201
    assert drive.ask("PUT", f"{COMMON}/cle.txt", data + b"?!")[0] == 204
    assert encrypt(drive, files) <= 4


def test_what_others_wrote_meanwhile_stays_and_a_deleted_folder_comes_back_whole(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    attacked = sorted(files, key=hash_of)
    for number, path in enumerate(attacked[:2]):
        assert drive.ask("PUT", f"{COMMON}/{path}", drive_attacks.full(files[path], number))[0] == 204
    theirs = b"le travail d'un collegue " * 40
    assert drive.ask("PUT", f"{COLLEAGUE}/{attacked[0]}", theirs, "amir")[0] == 204
    gone = attacked[2].partition("/")[0]
    assert drive.ask("DELETE", f"{COMMON}/{gone}")[0] == 204
    left = [path for path in attacked[3:] if not path.startswith(gone)]
    for number, path in enumerate(left):
        if drive.ask("PUT", f"{COMMON}/{path}", drive_attacks.full(files[path], number))[0] == 403:
            break
        judged(drive)
    with metadata(drive) as database:
        assert recovery.carry_out(database, act(), DEVICE).missed == 0
    assert content_of(drive, files) == files | {attacked[0]: theirs}
    stem, _, extension = attacked[0].rpartition(".")
    beside = f"{stem} (avant).{extension}".replace(" ", "%20")
    assert drive.ask("GET", f"{COLLEAGUE}/{beside}", login="amir")[2] == files[attacked[0]]


def test_honest_work_on_as_many_files_stops_nobody(drive: Served) -> None:
    files = town_hall(drive)
    for path in files:
        data = made(path.partition(".")[2], 60 + int(path[1]))
        assert drive.ask("PUT", f"{COMMON}/{path}", data)[0] == 204
    for path in sorted(files)[:20]:
        assert drive.ask("MOVE", f"{COMMON}/{path}", Destination=f"{COMMON}/{path}.old")[0] == 201
    assert drive.ask("DELETE", f"{COMMON}/f7")[0] == 204
    judged(drive)
    assert raised(drive) == []
    assert drive.ask("GET", f"{COMMON}/{sorted(files)[25]}")[0] == 200


def test_a_large_file_that_came_in_parts_is_judged_as_a_whole(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    names = sorted(files, key=hash_of)
    for number, path in enumerate(names):
        data, uploads = drive_attacks.full(files[path], number), "/remote.php/dav/uploads/alice"
        half = max(1, len(data) // 2)
        target = f"{drive.url}{COMMON}/{path}"
        steps = (
            ("MKCOL", f"{uploads}/u{number}", b"", {"Destination": target}),
            ("PUT", f"{uploads}/u{number}/1", data[:half], {"Destination": target}),
            ("PUT", f"{uploads}/u{number}/2", data[half:], {"Destination": target}),
            ("MOVE", f"{uploads}/u{number}/.file", b"", {"Destination": target}),
        )
        statuses = [drive.ask(method, at, body, **headers)[0] for method, at, body, headers in steps]
        if 403 in statuses:
            break
        assert statuses[-1] in (201, 204)
        judged(drive)
    else:
        raise AssertionError("never stopped")
    assert number <= 4


def test_an_alarm_is_of_its_own_collectivite_and_what_was_meant_stays(drive: Served) -> None:
    files = town_hall(drive)
    judged(drive)
    lost = encrypt(drive, files)
    with metadata(drive, B) as other, pytest.raises(NotFound):
        recovery.carry_out(other, act(), DEVICE)
    with metadata(drive) as database:
        now_s = clock.epoch_s()
        assert database.write(lambda w: alarms.settle(w, DEVICE, person_id="per_r", now_s=now_s))
        assert not database.write(lambda w: alarms.settle(w, DEVICE, person_id="per_r", now_s=now_s))
        with pytest.raises(Conflict):
            recovery.carry_out(database, act(), DEVICE)
    drive.kill()
    drive.start()
    assert drive.ask("GET", f"{COMMON}/{sorted(files)[0]}")[0] == 200, "settled, it is free again"
    assert sum(content_of(drive, files)[path] != data for path, data in files.items()) == lost


def test_the_outbox_hears_of_a_device_and_of_no_file(drive: Served, committed: str, config: Config) -> None:
    encrypt(drive, town_hall(drive))
    (alarm,) = raised(drive)
    tell_alarm(replace(config, database_url=committed), A, alarm)
    (event,) = OutboxEvent.objects.filter(kind="drive:alarm")
    assert event.collectivite_id == A
    assert json.loads(event.payload) == {
        "app_password_id": DEVICE,
        "person_id": "per_alice",
        "files": 3,
        "reasons": dict(alarm.counts),
    }
    assert set(alarm.counts) <= {"lost", "no_overlap", "kind", "container", "noise", "holes"}
    assert "piece" not in drive.log, "no name in the log"
