"""The centre's database goes into its backups without what must be able to be destroyed, and comes back from them."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
import pytest
from beffroi.core.audit import heads
from beffroi.core.planes import feed_mark
from beffroi.lib import clock
from beffroi.lib.config import load
from beffroi.mail.backup import told
from beffroi.mail.backup.database import form, hands
from beffroi.mail.backup.database.form import PictureDamaged, Today
from beffroi.mail.backup.database.keeping import DatabaseFailed, Databases
from beffroi.mail.backup.store import StoreFailed, root
from beffroi.mail.backup.work import Work
from beffroi.mail.engines import layout
from beffroi.supervise import status

from tests.database_place import SERVER, Machine, machine, move, own_database, plant
from tests.waiting import until

pytestmark = pytest.mark.slow
KEPT = ("backup.key", "django.key", "commune-master.key")
GRANTED = """
INSERT INTO commune_erasure (id, collectivite_id, approval_id, state, asked_by, asked_name, granted_by, granted_name,
  visa, reason, no_export, stage, waits_for, removed, created_at, due_at, next_run_at, changed_at)
VALUES ('cer_1', 'col_a', 'apr_1', 'granted', 'per_1', '', 'adm_1', '', 'AD21', '', ?, 'mailboxes', '', '{}',
  '2026-11-01 08:00:00', '2026-11-02 08:00:00', '2026-11-02 08:00:00', '2026-11-01 08:00:00')
"""


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Of which each test has a copy."""
    with own_database() as url:
        made = machine(tmp_path_factory.mktemp("planted") / "state", url=url)
        plant(made, "--demo", "default")
        yield made


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """With nobody in it."""
    with own_database() as url:
        made = machine(tmp_path_factory.mktemp("installed") / "state", url=url)
        plant(made)
        yield made


@pytest.fixture
def opened(tmp_path: Path, demonstration: Machine) -> Iterator[Machine]:
    """A centre with the demonstration; on the server where the tests have one."""
    with own_database(demonstration) as url:
        yield machine(tmp_path / "first", url=url, place=tmp_path / "place", like=demonstration)


@pytest.fixture
def another(tmp_path: Path, installed: Machine) -> Iterator[Machine]:
    """A second machine, installed anew, with the place of backups of the first."""
    with own_database(installed) as url:
        yield machine(tmp_path / "second", url=url, place=tmp_path / "place", like=installed)


def between() -> str:
    """A moment after what was, and before what comes: backups are told apart by the second."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S+00:00", time.gmtime(clock.epoch_s()))
    time.sleep(1.1 - time.time() % 1 + 0.05)
    return moment


def people(made: Machine) -> int:
    ((count,),) = made.ask("SELECT COUNT(*) FROM person")
    assert isinstance(count, int)
    return count


def lose(of: Machine, to: Machine) -> None:
    """The first machine is gone; what somebody kept outside of it lies on the second."""
    move(of, to, KEPT)
    shutil.rmtree(of.config.state)


def bytes_of_backups(made: Machine) -> bytes:
    """All that snapshots hold, in clear: a dump is not compressed, so that restic finds what is equal."""
    found = b""
    for snapshot in made.databases.store.snapshots():
        with made.databases.store.stream(snapshot) as picture:
            found += picture.read()
    return found


def test_a_lost_machine_s_database_comes_back_on_another_one(opened: Machine, another: Machine) -> None:
    keys = {one: opened.mailbox(one) for one in ("mbx_1", "mbx_2")}
    (opened.config.state / "lists" / "a.zlib").write_bytes(b"values")
    erased = {"per_gone", "col_gone", "continued.col_gone.col_a.mbx_1"}
    for gone in erased:
        (opened.config.state / "erased" / gone).touch()
    ((entry,),) = opened.ask("SELECT MIN(id) FROM audit_entry")
    opened.ask("INSERT INTO audit_seal (position, entry_id, hash, sealed_at)"
               f" VALUES (1, {entry}, '{'a' * 64}', '2026-11-01 08:00:00')")  # fmt: skip
    opened.ask("INSERT INTO feed_channel (channel, epoch, version, head, updated_at)"
               " VALUES ('box', 7, 12, 'h', '2026-11-01 08:00:00')")  # fmt: skip
    everybody = people(opened)
    assert opened.databases.back_up()["people"] == everybody > 3
    (noted,) = heads.read(opened.config)
    assert (noted.position, noted.hash) == (1, "a" * 64)
    assert f"audit=1:{'a' * 64}" in opened.databases.store.snapshots()[-1].tags, "outside of the machine, too"
    assert another.run("database", "restore", "--yes").returncode == 1, "its own key opens nothing"
    heads.note(another.config, heads.Head(1, 9, "b" * 64))
    lose(opened, another)

    assert f"head of the audit log: {'a' * 64}" in another.said("database", "backup", "list")
    preview = another.said("database", "restore", "--preview")
    assert f"{everybody}  people" in preview and people(another) == 0
    said = another.said("database", "restore", "--yes")
    assert "Next: ./beffroi up" in said and "kept for seven days" in said
    assert people(another) == everybody
    assert {one: another.key(one) for one in keys} == keys, "their mailboxes open"
    assert (another.config.state / "lists" / "a.zlib").read_bytes() == b"values"
    assert {one.name for one in (another.config.state / "erased").iterdir()} == erased
    assert heads.read(another.config) == [], "of the database that was there"
    mark = json.loads((another.config.state / "feed" / "epoch").read_bytes())
    assert mark["epoch"] == 7 + feed_mark.LEAP, "no door has seen what begins now"
    ((payload,),) = another.ask("SELECT payload FROM outbox WHERE kind = 'database:restored'")
    assert json.loads(str(payload))["is_undone"] is False
    plant(another)  # it starts on it

    another.said("database", "restore", "--undo", "--yes")
    assert people(another) == 0
    assert another.ask("SELECT COUNT(*) FROM outbox WHERE kind = 'database:restored'") == [(1,)]
    another.said("database", "restore", "--undo", "--yes")
    assert people(another) == everybody, "an undo is undone in the same way"


def test_no_snapshot_holds_a_key_and_a_destroyed_one_is_nowhere_after_the_next_run(opened: Machine) -> None:
    deleted = opened.mailbox("mbx_0")
    opened.ask("UPDATE mail_mailbox SET crypt_key = '' WHERE id = 'mbx_0'")  # its bytes lie in free pages
    keys = [opened.mailbox(f"mbx_{n}") for n in range(1, 40)]
    opened.databases.back_up()
    beside = root(opened.config) / form.TODAY
    assert keys[0] in beside.read_text() and deleted not in beside.read_text()
    opened.ask("UPDATE mail_mailbox SET crypt_key = '', closed_at = '2026-11-02 08:00:00' WHERE id = 'mbx_1'")
    between()
    opened.databases.back_up()
    found = bytes_of_backups(opened)
    assert b"mbx_1@x.test" in found and not any(key.encode() in found for key in (deleted, *keys))
    assert keys[0] not in beside.read_text() and keys[1] in beside.read_text()


def test_a_key_that_is_destroyed_between_two_runs_lies_beside_no_snapshot(opened: Machine) -> None:
    """What an erasure's certificate says is true when it says so, not at the next run."""
    keys = [opened.mailbox(f"mbx_{n}") for n in range(3)]
    opened.databases.back_up()
    rows = {
        "mail_mailbox": [
            {"id": "mbx_0", "crypt_key": ""},
            {"id": "mbx_1", "crypt_key": keys[1]},
            {"id": "mbx_of_later", "crypt_key": ""},
        ],
        "mail_commune_key": [],
    }
    (opened.config.state / "backup-rows" / "rows.json").write_text(json.dumps(rows))
    Work(opened.config).forget_keys()
    for name in (form.TODAY, "rows.json"):
        assert keys[0] not in (root(opened.config) / name).read_text()
        assert keys[1] in (root(opened.config) / name).read_text()
    assert keys[2] in (root(opened.config) / form.TODAY).read_text(), "a row that lacks says nothing"
    opened.said("database", "restore", "--yes")
    assert opened.key("mbx_2") == keys[2]
    (opened.config.state / "backup-rows" / "rows.json").write_text("[]")
    with pytest.raises(StoreFailed):
        Work(opened.config).forget_keys()


def test_keys_of_mailboxes_that_went_with_their_collectivite_are_nowhere_after_the_next_run(
    opened: Machine,
) -> None:
    """Between two runs the key was destroyed and the row removed, as no other row of this table is."""
    key, other = opened.mailbox("mbx_1"), opened.mailbox("mbx_2")
    opened.databases.back_up()
    opened.ask("DELETE FROM mail_mailbox")
    (opened.config.state / "erased" / "mbx_1").touch()
    opened.databases.back_up()
    beside = (root(opened.config) / form.TODAY).read_text()
    assert key not in beside and other in beside, "a database that does not know it may be another one"


def test_what_was_destroyed_or_ended_since_stays_so_in_an_older_database(opened: Machine) -> None:
    opened.mailbox("mbx_1"), opened.mailbox("mbx_2"), opened.mailbox("mbx_3")
    (person,), *_ = opened.ask("SELECT person_id FROM membership WHERE until IS NULL ORDER BY id")
    opened.ask(GRANTED, True)
    opened.databases.back_up()
    then = between()
    late = "2026-11-28 08:00:00"
    opened.ask("UPDATE commune_erasure SET state = 'withdrawn'")
    opened.ask("UPDATE mail_mailbox SET crypt_key = '', closed_at = ? WHERE id = 'mbx_1'", late)
    opened.ask("UPDATE membership SET until = ? WHERE person_id = ?", late, person)
    opened.databases.back_up()
    # Since the last run.
    opened.ask("UPDATE mail_mailbox SET crypt_key = '', closed_at = ? WHERE id = 'mbx_2'", late)
    kept = opened.key("mbx_3")
    opened.said("database", "restore", "--at", then, "--yes")
    assert [opened.key(f"mbx_{n}") for n in (1, 2, 3)] == ["", "", kept]
    assert opened.ask("SELECT COUNT(*) FROM mail_mailbox WHERE closed_at IS NOT NULL") == [(2,)]
    assert opened.ask("SELECT COUNT(*) FROM membership WHERE person_id = ? AND until IS NULL", person) == [
        (0,)
    ]
    assert opened.ask("SELECT state FROM commune_erasure") == [("withdrawn",)], "nothing is erased by itself"
    assert people(opened) > 3


def test_a_database_that_was_made_anew_takes_no_key_away(opened: Machine, another: Machine) -> None:
    key = opened.mailbox("mbx_1")
    opened.databases.back_up()
    before = people(opened)
    lose(opened, another)
    between()
    another.databases.back_up()  # on a bad night: the centre was started before it was restored
    with clock.jumped(3650 * 86400):
        another.databases.back_up()  # and its clock was wrong
    listed = another.said("database", "backup", "list")
    assert "0 people" in listed and f"{before} people" in listed
    assert f"more people: {before} on" in another.said("database", "restore", "--preview")
    old, *_ = another.databases.store.snapshots()
    another.said("database", "restore", "--at", old.at.isoformat(), "--yes")
    assert another.key("mbx_1") == key


def test_keys_that_no_database_knows_are_kept_as_long_as_backups() -> None:
    def keys(**mailboxes: str) -> form.Rows:
        return {"mail_mailbox.crypt_key": {one: {"crypt_key": key} for one, key in mailboxes.items()}}

    first = form.merged(
        Today(), Today(keys(a="1", b="2"), erased=["per_1"]), now_s=100, till_s=100, keep_s=50
    )
    anew = form.merged(first, Today(keys(b="")), now_s=110, till_s=110, keep_s=50)
    assert anew.rows["mail_mailbox.crypt_key"] == keys(a="1", b="")["mail_mailbox.crypt_key"]
    assert anew.erased == ["per_1"]
    again = form.merged(anew, Today(keys(a="1", b="")), now_s=155, till_s=155, keep_s=50)
    assert form.merged(again, Today(), now_s=200, till_s=200, keep_s=50).rows[
        "mail_mailbox.crypt_key"
    ].keys() == {
        "a",
        "b",
    }
    over = form.merged(
        form.merged(again, Today(), now_s=200, till_s=200, keep_s=50),
        Today(),
        now_s=251,
        till_s=251,
        keep_s=50,
    )
    assert over.rows["mail_mailbox.crypt_key"] == {}


def test_a_restore_is_refused_while_the_centre_runs_and_where_nobody_agrees(opened: Machine) -> None:
    opened.databases.back_up()
    lock = status.Lock(opened.config)
    try:
        done = opened.run("database", "restore", "--yes")
        assert done.returncode == 1 and "runs already" in done.stderr
        assert "people" in opened.said("database", "restore", "--preview")
    finally:
        lock.release()
    assert "Nothing was restored" in opened.run("database", "restore").stderr
    assert "No backup holds" in opened.run("database", "restore", "--at", "2020-01-01", "--yes").stderr
    assert (
        "No database that a restore replaced" in opened.run("database", "restore", "--undo", "--yes").stderr
    )
    assert opened.ask("SELECT COUNT(*) FROM outbox WHERE kind = 'database:restored'") == [(0,)]


def test_a_restore_that_fails_takes_no_witness_of_the_audit_log_away(
    opened: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.databases.back_up()
    heads.note(opened.config, heads.Head(1, 9, "b" * 64))
    noted = heads.read(opened.config)
    with pytest.raises(DatabaseFailed, match="No database that a restore replaced"):
        opened.databases.undo()
    assert noted and heads.read(opened.config) == noted

    def fails(*_: object, **__: object) -> str:
        raise DatabaseFailed("the disk is full")

    def is_there(*_: object, **__: object) -> str:
        assert heads.read(opened.config) == noted, "a kill in the middle takes none away either"
        raise KeyboardInterrupt

    for way, error in ((fails, DatabaseFailed), (is_there, KeyboardInterrupt)):
        monkeypatch.setattr(Databases, "_run", way)
        with pytest.raises(error):
            opened.databases.restore(opened.databases.as_of(None))
        assert heads.read(opened.config) == noted, "the database that they are of is still in place"


def test_keys_beside_the_store_that_cannot_be_read_are_not_written_over(opened: Machine) -> None:
    opened.mailbox("mbx_1")
    opened.databases.back_up()
    beside = root(opened.config) / form.TODAY
    damaged = beside.read_bytes()[:-1]
    beside.write_bytes(damaged)
    opened.ask("DELETE FROM mail_mailbox")  # made anew: the keys lie nowhere else
    with pytest.raises(DatabaseFailed, match="keys of mailboxes"):
        opened.databases.back_up()
    assert beside.read_bytes() == damaged
    assert "keys of mailboxes" in told.read(opened.config).database.failure
    (opened.config.state / "backup-rows" / "rows.json").write_text('{"mail_mailbox": []}')
    with pytest.raises(DatabaseFailed, match="keys of mailboxes"):
        Work(opened.config).forget_keys()  # or an erasure would say that its key lies nowhere
    beside.write_bytes(damaged + b"}")
    opened.databases.back_up()
    assert "mbx_1" in json.loads(beside.read_bytes())["rows"]["mail_mailbox.crypt_key"]


def test_the_drill_reads_the_newest_and_says_what_is_wrong(opened: Machine, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="No backup holds"):
        opened.databases.check()
    opened.databases.back_up()
    done = opened.databases.check()
    assert done["rows"] > 100 and told.read(opened.config).database.drilled_at
    assert told.database_problem(opened.config, now=clock.epoch_s()) == ""
    engine, folder = hands.engine(opened.config), tmp_path / "damaged"
    with opened.databases.store.stream(opened.databases.as_of(None)) as picture:
        packed = picture.read()
    with hands.opened(opened.config, io.BytesIO(packed)) as (place, about, _engine):
        shutil.copytree(place, folder)
    others = msgspec.structs.replace(about, counts=about.counts | {"person": 999})
    for act in (lambda: engine.prove(folder, others), lambda: engine.load(folder, others, {}, {})):
        with pytest.raises(PictureDamaged, match=r"person has \d+ rows of 999"):
            act()
    (file,) = [*folder.glob("database.*")]
    with file.open("r+b") as damaged:
        damaged.seek(file.stat().st_size // 2)
        damaged.write(b"\xa5" * 4096)
    with pytest.raises(PictureDamaged):
        engine.prove(folder, about)
    with pytest.raises(PictureDamaged), hands.opened(opened.config, io.BytesIO(packed[: len(packed) // 2])):
        pass
    assert people(opened) > 3 and not (opened.config.state / "backup-rows" / "work").exists()


def test_the_drill_finds_a_row_that_refers_to_none(opened: Machine, tmp_path: Path) -> None:
    """Complete, and no database: a membership of nobody."""
    opened.databases.back_up()
    with opened.databases.store.stream(opened.databases.as_of(None)) as picture:
        packed = picture.read()
    with hands.opened(opened.config, io.BytesIO(packed)) as (place, about, engine):
        shutil.copytree(place, tmp_path / "damaged")
    (file,) = [*(tmp_path / "damaged").glob("database.*")]
    ((membership, person), *_) = opened.ask("SELECT id, person_id FROM membership ORDER BY id")
    nobody = str(person).swapcase()
    if SERVER:
        row = re.compile(f"({membership}\t.*){person}".encode())
        file.write_bytes(row.sub(rf"\1{nobody}".encode(), file.read_bytes()))
    else:
        with closing(sqlite3.connect(file)) as copy, copy:
            copy.execute("UPDATE membership SET person_id = ? WHERE id = ?", (nobody, membership))
    with pytest.raises(PictureDamaged, match=r"refers to none|violates foreign key|not present in table"):
        engine.prove(tmp_path / "damaged", about)


def test_root_takes_nothing_that_the_python_user_put_in_the_place_of_a_picture(opened: Machine) -> None:
    secret, place = opened.config.secrets / "backup.key", opened.config.state / "backup-rows"
    (place / form.PICTURE).symlink_to(secret)
    with pytest.raises(DatabaseFailed), opened.databases._handed_over(form.PICTURE):
        pass
    (place / form.PICTURE).unlink()
    os.mkfifo(place / form.PICTURE)
    with pytest.raises(DatabaseFailed, match="not the file"), opened.databases._handed_over(form.PICTURE):
        pass


def test_a_lock_of_a_machine_that_died_does_not_keep_the_backups(opened: Machine) -> None:
    """It was pruning when it died: nobody but a restore comes to take the lock away."""
    opened.databases.back_up()
    store = opened.databases.store
    with store._started("check", "--read-data", stdout=subprocess.DEVNULL) as pruning:
        until(lambda: any("-" not in one.name for one in (store.path / "locks").iterdir()), "it has its lock")
        pruning.kill()
    assert any((store.path / "locks").iterdir())
    opened.said("database", "restore", "--yes")


def test_what_was_replaced_goes_after_a_week(opened: Machine) -> None:
    opened.databases.back_up()
    opened.said("database", "restore", "--yes")
    opened.databases.back_up()
    opened.said("database", "restore", "--undo", "--yes")
    assert opened.databases._run("forget") == "0"
    with clock.shifted(8 * 86400):
        assert hands.engine(opened.config).forget(form.moment_name(clock.now())) == 1
    assert "No database" in opened.run("database", "restore", "--undo", "--yes").stderr


@pytest.fixture
def of_nobody(demonstration: Machine) -> Iterator[Machine]:
    """A centre whose Python user is another one than root, in a place that this one may enter."""
    place = Path(tempfile.mkdtemp(prefix="bfr-"))
    place.chmod(0o755)
    try:
        with own_database(demonstration) as url:
            made = machine(place / "state", url=url, place=place / "place", like=demonstration)
            with (made.config.state / "beffroi.toml").open("a") as settings:
                settings.write('user = "nobody"\n')
            made = Machine(load(made.config.state))
            for name in (*hands.FOLDERS, "backup-rows"):
                shutil.chown(made.config.state / name, "nobody")
                for one in (made.config.state / name).rglob("*"):
                    shutil.chown(one, "nobody")
            yield made
    finally:
        shutil.rmtree(place)


@pytest.mark.root
def test_a_restore_makes_the_directories_of_a_lost_disk(of_nobody: Machine) -> None:
    """STATE is root's: whoever writes there may make nothing in it."""
    state, everybody = of_nobody.config.state, people(of_nobody)
    (state / "lists" / "a.zlib").write_bytes(b"values")
    (state / "erased" / "per_gone").touch()
    of_nobody.databases.back_up()
    for name in hands.FOLDERS:
        shutil.rmtree(state / name)
    of_nobody.said("database", "restore", "--yes")
    assert people(of_nobody) == everybody
    assert (state / "lists" / "a.zlib").read_bytes() == b"values" and (state / "erased" / "per_gone").exists()
    owner = layout.python_owner(of_nobody.config).uid
    assert owner != os.getuid()
    for name in hands.FOLDERS:
        found = (state / name).stat()
        assert (found.st_uid, found.st_mode & 0o777) == (owner, 0o700), name
        assert all(one.stat().st_uid == owner for one in (state / name).iterdir())


if SERVER:  # what only a server has

    def test_a_role_that_may_make_no_database_reads_the_newest_and_says_that_it_loaded_it_nowhere(
        opened: Machine, tmp_path: Path
    ) -> None:
        opened.databases.back_up()
        assert opened.databases.check()["loaded"] is True
        url = opened.config.database_url.replace("user=beffroi", "user=beffroi_plain")
        assert url != opened.config.database_url
        (opened.config.state / "beffroi.toml").write_text(
            (opened.config.state / "beffroi.toml").read_text().replace(opened.config.database_url, url)
        )
        plain = Machine(load(opened.config.state))
        done = plain.databases.check()
        assert done["loaded"] is False and done["rows"] > 100
        assert not told.read(plain.config).database.drill_loaded

    def test_a_database_that_something_holds_is_left_alone_and_the_sentence_says_why(opened: Machine) -> None:
        opened.databases.back_up()
        with psycopg.connect(opened.config.database_url) as other:
            other.execute("SELECT COUNT(*) FROM person")  # in a transaction that does not end
            done = opened.run("database", "restore", "--yes")
            assert done.returncode == 1 and "lock timeout" in done.stderr, done.stderr
        opened.said("database", "restore", "--yes")


if not SERVER:  # what only a file has

    def test_a_damaged_file_is_kept_aside_and_replaced(opened: Machine) -> None:
        opened.databases.back_up()
        path = opened.config.state / "db" / "beffroi.sqlite"
        path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
        assert "kept for" not in opened.said("database", "restore", "--yes")
        assert people(opened) > 3
        (kept,) = (path.parent / "replaced").glob("*.sqlite")
        assert kept.name.endswith(".damaged.sqlite") and kept.read_bytes().endswith(b"\xff")
        assert "No database" in opened.run("database", "restore", "--undo", "--yes").stderr

    def test_a_database_that_something_has_open_is_left_alone(opened: Machine) -> None:
        opened.databases.back_up()
        with closing(sqlite3.connect(opened.config.state / "db" / "beffroi.sqlite")) as other:
            other.execute("BEGIN")
            other.execute("SELECT COUNT(*) FROM person").fetchone()
            done = opened.run("database", "restore", "--yes")
            assert done.returncode == 1 and "has the database open" in done.stderr
        opened.said("database", "restore", "--yes")
