"""What a device deleted comes back also where the trash was emptied since, as long as the alarm waits."""

from __future__ import annotations

import pytest
from beffroi.drive import alarms, recovery
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.store import look, schema, trash, tree
from beffroi.drive.store.writing import Writing

from tests.drive_trees import ME, NOW_S, OTHER, Open, at, folder, listing, put, require_whole

pytest_plugins = ["tests.fixtures_drive_store"]
EVIL, THIEF, REFERENT = at(NOW_S + 10), at(NOW_S + 20, OTHER), at(NOW_S + 100, OTHER)


def alarm(writing: Writing) -> None:
    found = Alarm(ME.device_id, float(EVIL.now_s), 3, {Sign.REPLACED: 3})
    alarms.raise_(writing, found, now_s=EVIL.now_s)


@pytest.mark.parametrize("emptied_first", [True, False])
def test_what_was_deleted_comes_back_out_of_an_emptied_trash(opens: Open, emptied_first: bool) -> None:
    database = opens()
    home = database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
    inner = folder(database, home.id, "Budget", OTHER)
    for number in range(4):
        put(database, (home if number % 2 else inner).id, f"{number}.ods", b"work %d" % number, OTHER)
    before = listing(database, home.id)
    for name in ("Budget", "1.ods", "3.ods"):
        with database.reading() as reading:
            one = look.child(reading, home.id, name)
        assert one is not None
        put(database, home.id, f"{name}.k9x2", b"pay", EVIL)
        database.write(lambda w, it=one: tree.delete(w, EVIL, it.id))
    if not emptied_first:
        database.write(alarm)
    assert not database.write(lambda w: trash.empty(w, THIEF, home.id))
    if emptied_first:
        database.write(alarm)
    with database.reading() as reading:
        lines = recovery.preview(reading, ME.device_id)
    assert sum(line.revived for line in lines) == 5 and not any(line.lost for line in lines)
    assert recovery.carry_out(database, REFERENT, ME.device_id).missed == 0
    assert listing(database, home.id) == before
    with database.reading() as reading:
        require_whole(reading)
