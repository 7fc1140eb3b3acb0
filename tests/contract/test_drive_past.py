"""A folder's past is shown to whom it was shown then, and a way back gives nobody what was another's."""

from __future__ import annotations

import pytest
from beffroi.drive.store import findings, going_back, look, moments, schema, trash, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.findings import Result
from beffroi.drive.store.going_back import Going
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.moments import MomentAbsent, MomentForgotten, MomentPrivate, Past
from beffroi.drive.store.ways import Plan

from tests.drive_trees import ME, NOW_S, at, folder, listing, put, require_whole, way_to

pytest_plugins = ["tests.fixtures_drive_store"]
THEN_S, NOW = NOW_S + 10, NOW_S + 1000


@pytest.fixture
def common(metadata: Database) -> Node:
    return metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))


def move(metadata: Database, node: Node, into: Node, now_s: int) -> None:
    metadata.write(lambda w: tree.move(w, at(now_s), node.id, into.id, node.name))


def delete(metadata: Database, node: Node, now_s: int) -> None:
    metadata.write(lambda w: tree.delete(w, at(now_s), node.id))


def plan_of(metadata: Database, node: Node, at_s: int = THEN_S) -> Plan:
    with metadata.reading() as reading:
        return way_to(reading, node.id, at_s)


def refused(metadata: Database, node: Node, at_s: int, error: type[Exception]) -> None:
    with metadata.reading() as reading:
        for ask in (moments.seen, way_to):
            with pytest.raises(error) as caught:
                ask(reading, node.id, at_s)
            assert caught.type is error


def shown(metadata: Database, node: Node, at_s: int = THEN_S) -> dict[str, Past]:
    with metadata.reading() as reading:
        return {one.name: one for one in moments.seen(reading, node.id, at_s).children(node.id)}


def taken(metadata: Database, plan: Plan, *, portions: int | None = None) -> Going:
    """All of a way, or so many portions of it; its row."""
    going_back.begin(metadata, at(NOW), plan)
    return gone_on(metadata, plan.folder, portions=portions)


def gone_on(metadata: Database, folder_id: int, *, portions: int | None = None) -> Going:
    while portions != 0 and metadata.write(lambda w: going_back.go_on(w, folder_id, now_s=NOW)):
        portions = None if portions is None else portions - 1
    with metadata.reading() as reading:
        require_whole(reading)
        found = going_back.find(reading, folder_id)
    assert found is not None
    return found


def test_what_was_written_while_the_clock_ran_ahead_is_there_since_it_was_written(
    metadata: Database, common: Node
) -> None:
    """A day after the clock was set right, nobody is shown the folder as it was before that."""
    put(metadata, common.id, "a", b"1")
    put(metadata, common.id, "a", b"22", at(NOW_S + 10 * 86400))
    put(metadata, common.id, "b", b"333", at(NOW_S + 100))
    with metadata.reading() as reading:
        for now_s, at_s, sizes in ((86400, 86300, [2, 3]), (200, 50, [2]), (200, 150, [2, 3])):
            then = moments.seen(reading, common.id, NOW_S + at_s, NOW_S + now_s)
            assert sorted(one.size_bytes for one in then.children(common.id)) == sizes


@pytest.mark.parametrize("jump_s", [10 * 86400, 10 * 86400 + 43000, -30 * 86400])
def test_long_after_a_clock_was_wrong_moments_are_what_they_were(
    metadata: Database, common: Node, jump_s: int
) -> None:
    put(metadata, common.id, "a", b"1")
    put(metadata, common.id, "a", b"22", at(NOW_S + jump_s))
    put(metadata, common.id, "b", b"333", at(NOW_S + 100))
    for day in range(1, 20):
        if day not in (5, 6, 12):  # nobody works each day
            put(metadata, common.id, "day", b"x" * (10 + day), at(NOW_S + day * 86400))
    with metadata.reading() as reading:
        for at_s in range(2 * 86400 + 50, 19 * 86400, 21600):
            then = moments.seen(reading, common.id, NOW_S + at_s, NOW_S + 20 * 86400)
            last = max(one for one in range(1, at_s // 86400 + 1) if one not in (5, 6, 12))
            found = {one.name: one.size_bytes for one in then.children(common.id)}
            assert found == {"a": 2, "b": 3, "day": 10 + last}, at_s / 86400


def test_a_folder_that_lay_in_somebodys_own_files_shows_colleagues_nothing_of_then(
    metadata: Database, home: Node, common: Node
) -> None:
    budget = folder(metadata, home.id, "budget")
    inside = folder(metadata, budget.id, "annexes")
    salaries = put(metadata, budget.id, "salaires.xlsx", b"2900")
    pages = put(metadata, inside.id, "pages", b"1")
    move(metadata, salaries, home, NOW_S + 20)
    assert set(shown(metadata, budget)) == {"annexes", "salaires.xlsx"}, "to whom it is, it is shown"
    move(metadata, budget, common, NOW_S + 30)
    put(metadata, inside.id, "pages", b"22", at(NOW_S + 40))
    for one in (budget, inside):
        refused(metadata, one, THEN_S, MomentPrivate)
        refused(metadata, one, NOW_S + 25, MomentPrivate)
    assert set(shown(metadata, budget, NOW_S + 30)) == {"annexes"}
    assert shown(metadata, inside, NOW_S + 35)["pages"].size_bytes == 1, "since it lies here, its past is"
    move(metadata, budget, home, NOW_S + 50)
    refused(metadata, budget, NOW_S + 45, MomentPrivate)
    assert set(shown(metadata, budget)) == {"annexes", "salaires.xlsx"}, "what was meanwhile hides nothing"
    assert pages.id in [one.node for one in shown(metadata, inside).values()]


def test_a_folder_that_was_not_there_or_is_not_seen_is_refused(
    metadata: Database, home: Node, common: Node
) -> None:
    late = folder(metadata, common.id, "late", at(NOW_S + 20))
    file = put(metadata, common.id, "file", b"1")
    refused(metadata, late, THEN_S, MomentAbsent)
    refused(metadata, file, THEN_S, AbsentNode)
    delete(metadata, late, NOW_S + 30)
    refused(metadata, late, NOW_S + 25, AbsentNode)
    metadata.write(lambda w: trash.restore(w, at(NOW_S + 40), common.id, late.id))
    refused(metadata, late, NOW_S + 35, MomentAbsent)
    assert shown(metadata, late, NOW_S + 25) == {}
    metadata.write(lambda w: moments.forget(w, before_s=NOW_S + 30))
    refused(metadata, late, NOW_S + 25, MomentForgotten)


def test_what_lies_in_somebodys_own_trash_stays_there_and_is_copied_as_it_was(
    metadata: Database, home: Node, common: Node
) -> None:
    shared = folder(metadata, common.id, "budget")
    file = put(metadata, shared.id, "notes.txt", b"of all")
    move(metadata, file, home, NOW_S + 20)
    put(metadata, home.id, "notes.txt", b"a secret of mine", at(NOW_S + 30))
    put(metadata, home.id, "notes.txt", b"another", at(NOW_S + 40))
    with metadata.reading() as reading:
        mine = look.child(reading, home.id, "notes.txt")
    assert mine is not None and mine.id == file.id
    delete(metadata, mine, NOW_S + 50)
    plan = plan_of(metadata, shared)
    assert (plan.copied, plan.returned) == (1, 0)
    assert taken(metadata, plan).missed == 0
    assert listing(metadata, common.id)["budget/notes.txt"] == len(b"of all")
    with metadata.reading() as reading:
        assert [one.node for one in trash.page(reading, home.id)] == [file.id]
        copy = look.child(reading, shared.id, "notes.txt")
        assert copy is not None and copy.id != file.id
        assert reading.all("SELECT etag FROM version WHERE node = ?", (copy.id,)) == []


def test_what_was_written_between_the_plan_and_its_step_stays_its_writers(
    metadata: Database, home: Node, common: Node
) -> None:
    shared = folder(metadata, common.id, "budget")
    file = put(metadata, shared.id, "notes.txt", b"of all")
    move(metadata, file, home, NOW_S + 20)
    plan = plan_of(metadata, shared)
    put(metadata, home.id, "notes.txt", b"a secret of mine", at(NOW_S + 30))
    taken(metadata, plan)
    assert listing(metadata, common.id)["budget/notes.txt"] == len(b"of all")


def test_what_was_deleted_for_good_is_lost_before_it_is_destroyed(metadata: Database, common: Node) -> None:
    shared = folder(metadata, common.id, "budget")
    inner = folder(metadata, shared.id, "inner")
    put(metadata, inner.id, "deep", b"1")
    single = put(metadata, shared.id, "single", b"22")
    for one in (inner, single):
        delete(metadata, one, NOW_S + 20)
    before = plan_of(metadata, shared)
    for one in (inner, single):
        metadata.write(lambda w, it=one: trash.forget(w, ME, common.id, it.id))
    assert not shown(metadata, shared)["single"].is_kept
    with metadata.reading() as reading:
        (deep,) = moments.seen(reading, shared.id, THEN_S).children(inner.id)
        assert not deep.is_kept
        plan = way_to(reading, shared.id, THEN_S)
    assert (plan.lost, plan.copied, plan.returned) == (2, 1, 0), "an empty folder is made again"
    taken(metadata, before)
    assert listing(metadata, common.id) == {"budget": 0, "budget/inner": 0}


def test_a_long_way_goes_on_after_a_crash_and_is_one_at_a_time(metadata: Database, common: Node) -> None:
    shared = folder(metadata, common.id, "budget")
    inner = folder(metadata, shared.id, "inner")
    made = [put(metadata, inner.id, f"f{n:03d}", b"x") for n in range(250)]
    for one in made:
        delete(metadata, one, NOW_S + 20)
    assert plan_of(metadata, shared).returned == 250
    half = taken(metadata, plan_of(metadata, shared), portions=1)
    assert (half.state, half.done, half.total) == ("going", 100, 250)
    with metadata.reading() as reading:
        assert [one.folder for one in going_back.unfinished(reading)] == [shared.id]
    with pytest.raises(going_back.WayUnderWay):
        going_back.begin(metadata, at(NOW), plan_of(metadata, shared))
    over = gone_on(metadata, shared.id)
    assert (over.state, over.done, over.missed, over.why) == ("done", 250, 0, "")
    assert len(listing(metadata, inner.id)) == 250
    with metadata.reading() as reading:
        assert reading.all("SELECT number FROM way_portion") == []
    assert plan_of(metadata, shared).steps == ()
    metadata.write(lambda w: going_back.forget(w, before_s=NOW + 1))
    with metadata.reading() as reading:
        assert going_back.find(reading, shared.id) is None


def test_a_folder_that_moves_to_colleagues_on_the_way_gets_nothing_more(
    metadata: Database, home: Node, common: Node
) -> None:
    mine = folder(metadata, home.id, "budget")
    made = [put(metadata, mine.id, f"f{n:03d}", b"x") for n in range(150)]
    for one in made:
        delete(metadata, one, NOW_S + 20)
    going_back.begin(metadata, at(NOW), plan_of(metadata, mine))
    assert metadata.write(lambda w: going_back.go_on(w, mine.id, now_s=NOW))
    move(metadata, mine, common, NOW + 1)
    stopped = gone_on(metadata, mine.id)
    assert (stopped.state, stopped.why) == ("stopped", "drive.moment_private")
    assert len(listing(metadata, mine.id)) == 100


def test_a_folder_that_was_taken_elsewhere_on_the_way_is_written_by_nobody_else(
    metadata: Database, common: Node, home: Node
) -> None:
    top = folder(metadata, common.id, "top")
    plans, other = folder(metadata, top.id, "plans"), folder(metadata, top.id, "autre")
    put(metadata, plans.id, "école", b"first")
    put(metadata, other.id, "mairie", b"first")
    for one, name in ((plans, "école"), (other, "mairie")):
        put(metadata, one.id, name, b"second", at(NOW_S + 20))
    plan = plan_of(metadata, top)
    assert plan.rewritten == 2
    move(metadata, plans, home, NOW)
    with metadata.reading() as reading:
        before = sorted((one.id, one.name, one.etag) for one in look.below(reading, home.id))
    going = taken(metadata, plan)
    assert (going.state, going.missed, going.why) == ("done", 1, AbsentNode.code)
    with metadata.reading() as reading:
        assert sorted((one.id, one.name, one.etag) for one in look.below(reading, home.id)) == before
        assert [one.size_bytes for one in look.below(reading, other.id)] == [len(b"first")]


def test_what_came_late_into_folders_in_the_trash_goes_once(metadata: Database, common: Node) -> None:
    top = folder(metadata, common.id, "top")
    chain = [top]
    for number in range(30):
        chain.append(folder(metadata, chain[-1].id, f"{number}"))
    for number in range(20):
        put(metadata, chain[-1].id, f"late {number}", b"late", at(NOW_S + 20))
    delete(metadata, chain[1], NOW_S + 30)
    plan = plan_of(metadata, top)
    assert [one.kind for one in plan.steps].count("remove") == 20
    assert taken(metadata, plan).missed == 0
    with metadata.reading() as reading:
        assert [one.name for one in look.below(reading, top.id)] == [one.name for one in chain[1:]]


def test_what_came_late_goes_also_where_its_folder_lies_in_one_that_came_late(
    metadata: Database, common: Node
) -> None:
    shared = folder(metadata, common.id, "budget")
    kept = folder(metadata, shared.id, "annexes")
    late = folder(metadata, shared.id, "nouveau", at(NOW_S + 20))
    move(metadata, kept, late, NOW_S + 30)
    file = put(metadata, kept.id, "notes.txt", b"1", at(NOW_S + 40))
    plan = plan_of(metadata, shared)
    assert (plan.removed, plan.moved) == (2, 1)
    assert taken(metadata, plan).missed == 0
    assert listing(metadata, common.id) == {"budget": 0, "budget/annexes": 0}
    with metadata.reading() as reading:
        assert {one.node for one in trash.page(reading, common.id)} == {file.id, late.id}


@pytest.mark.parametrize("limit_bytes", [3, 100])
def test_what_finds_no_room_is_counted_and_the_rest_is_done(
    metadata: Database, common: Node, home: Node, limit_bytes: int
) -> None:
    shared = folder(metadata, common.id, "budget")
    away = put(metadata, shared.id, "away", b"12345")
    back = put(metadata, shared.id, "back", b"1")
    move(metadata, away, home, NOW_S + 20)
    delete(metadata, back, NOW_S + 20)
    metadata.write(lambda w: tree.set_limit(w, common.id, limit_bytes))
    over = taken(metadata, plan_of(metadata, shared))
    is_full = limit_bytes == 3
    assert (over.state, over.missed) == ("done", int(is_full))
    assert over.why == ("drive.quota_full" if is_full else "")
    assert {"back"} <= {path.rpartition("/")[2] for path in listing(metadata, common.id)}


def test_what_is_held_does_not_come_back(metadata: Database, common: Node, home: Node) -> None:
    shared = folder(metadata, common.id, "budget")
    held = put(metadata, shared.id, "held.exe", b"malware")
    move(metadata, held, home, NOW_S + 20)
    result = Result(held.sha256, "mark", {findings.VIRUS: ["rule"]}, True)
    metadata.write(lambda w: findings.keep(w, [result], now_s=NOW_S + 30))
    over = taken(metadata, plan_of(metadata, shared))
    assert (over.missed, over.why, listing(metadata, shared.id)) == (1, "drive.found", {})
