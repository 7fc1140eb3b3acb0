"""A device that changes files as ransomware does is stopped, and everything that it did is taken back; through the
real server, by a device that does it in memory alone."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from beffroi.core.events.models import OutboxEvent
from beffroi.drive import alarms, recovery
from beffroi.drive.guard import scoring
from beffroi.drive.sentry import Sentry, tell_alarm
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.stock import stocks
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, NotFound

from tests import drive_attacks
from tests.drive_alarming import (
    COLLEAGUE,
    COMMON,
    DEVICE,
    act,
    content_of,
    drive,
    encrypt,
    hash_of,
    judged,
    metadata,
    raised,
    town_hall,
)
from tests.drive_files import made
from tests.drive_server import A, B, Served
from tests.fixtures_stream import eventually

__all__ = ["drive"]


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


def test_a_device_is_stopped_before_what_came_after_it_is_looked_at(drive: Served) -> None:
    files = town_hall(drive)
    assert encrypt(drive, files) <= 4
    for number in range(5):
        assert drive.ask("PUT", f"{COLLEAGUE}/suite-{number}.txt", b"suite", "amir")[0] == 201
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


def test_a_device_whose_alarm_is_of_a_clock_that_ran_ahead_is_judged_again_once_that_is_settled(
    drive: Served,
) -> None:
    files = town_hall(drive)
    judged(drive)
    attacked = sorted(files, key=hash_of)
    encrypt(drive, {path: files[path] for path in attacked[:20]})
    drive.kill()
    with metadata(drive) as database:
        with database.reading() as reading:
            row = reading.one("SELECT windows FROM judged")
        assert row is not None
        windows = scoring.Commune.restore(bytes(row[0]))
        windows.windows[DEVICE].alarmed_s += 3650 * 86400
        database.write(lambda w: w.run("UPDATE judged SET windows = ?", (windows.save(),)))
        database.write(lambda w: alarms.settle(w, DEVICE, person_id="per_r", now_s=clock.epoch_s()))
    drive.start()
    assert encrypt(drive, {path: files[path] for path in attacked[20:]}) <= 4


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
