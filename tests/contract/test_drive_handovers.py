"""Files of somebody who left go to a colleague: what goes and what stays, in portions, and back, on every metadata."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
from beffroi.drive.store import handed, handovers, look, names, schema, shares, tags, trash, tree, versions
from beffroi.drive.store.database import Database
from beffroi.drive.store.handovers import Handover, HandoverUnderWay
from beffroi.drive.store.model import AbsentNode, Act, Node, QuotaFull
from beffroi.drive.store.shares import Wish
from beffroi.drive.store.writing import Writing

from tests.drive_seal_rows import sealed
from tests.drive_trees import ME, NOW_S, OTHER, Open, at, folder, listing, put, require_whole, seen

pytest_plugins = ["tests.fixtures_drive_store"]
REFERENT = at(NOW_S + 60, OTHER)
HEIR = "per_heir"
LINK = Wish("link", expires_s=NOW_S + 86400)
LABEL = "Fichiers de Jeanne Dupont"


@pytest.fixture
def theirs(metadata: Database) -> Node:
    return metadata.write(lambda w: tree.make_root(w, schema.HOME + HEIR, now_s=NOW_S))


@pytest.fixture
def full(metadata: Database, home: Node) -> Node:
    """A home with something of everything."""
    plans, health = folder(metadata, home.id, "Plans"), folder(metadata, home.id, "Santé")
    old = folder(metadata, plans.id, "2025")
    put(metadata, home.id, "budget.ods", b"first")
    put(metadata, home.id, "budget.ods", b"second one", at(NOW_S + 1))
    put(metadata, plans.id, "école.pdf", b"school")
    put(metadata, plans.id, "photos perso.zip", b"holidays")
    put(metadata, old.id, "mairie.pdf", b"hall")
    private = folder(metadata, old.id, "Privé")
    put(metadata, private.id, "mairie.pdf", b"mine")
    put(metadata, folder(metadata, private.id, "Budget").id, "b.txt", b"mine too")
    put(metadata, folder(metadata, health.id, "Personnel").id, "c.txt", b"mine as well")
    folder(metadata, home.id, "Vide")
    return home


def begin(metadata: Database, person_id: str = ME.person_id, heir: str = HEIR) -> Handover:
    with metadata.reading() as reading:
        there = handed.left(reading, person_id)
    return metadata.write(
        lambda w: handovers.begin(w, REFERENT, there, person_id=person_id, heir=heir, label=LABEL)
    )


def run(metadata: Database, one: Handover, most: int = handovers.MOST) -> int:
    """To its end; how many portions it took."""
    for count in itertools.count(1):
        if not metadata.write(lambda w: handovers.step(w, REFERENT, one.id, most=most)):
            whole(metadata)
            return count
    raise AssertionError


def back(metadata: Database, one: Handover, most: int = handovers.MOST) -> Handover:
    assert metadata.write(lambda w: handovers.begin_return(w, one.person_id, since_s=NOW_S))
    while metadata.write(lambda w: handovers.return_step(w, REFERENT, one.id, most=most)):
        whole(metadata)
    whole(metadata)
    return now(metadata, one)


def now(metadata: Database, one: Handover) -> Handover:
    with metadata.reading() as reading:
        return handovers.find(reading, one.id)


def whole(metadata: Database) -> None:
    with metadata.reading() as reading:
        require_whole(reading)


GIVEN = {
    "Plans": 10,
    "Plans/2025": 4,
    "Plans/2025/mairie.pdf": 4,
    "Plans/école.pdf": 6,
    "Vide": 0,
    "budget.ods": 10,
}
KEPT = {
    *("Plans/photos perso.zip", "Plans/2025/Privé/mairie.pdf", "Plans/2025/Privé/Budget/b.txt"),
    "Santé/Personnel/c.txt",
}


def files(metadata: Database, root: int) -> set[str]:
    """Paths of files below a node, from its root."""
    with metadata.reading() as reading:
        return {look.path_of(reading, one.id) for one in look.below(reading, root) if not one.is_folder}


def below(metadata: Database, top: Node) -> dict[str, int]:
    """What lies in the heir's folder, from it, by path."""
    return {path.removeprefix(f"{top.name}/"): size for path, size in listing(metadata, top.id).items()}


def test_what_is_left_is_counted_and_what_is_personal_stays_closed(metadata: Database, full: Node) -> None:
    with metadata.reading() as reading:
        found = handed.left(reading, ME.person_id)
        nobody = handed.left(reading, "per_nobody")
    assert found[:4] == (3, 3, 20, 4)
    assert (found.weight.size_bytes, found.weight.version_bytes) == (20, 5)
    assert nobody[:4] == (0, 0, 0, 0)


@pytest.mark.parametrize("most", [1, 2, 3, 200])
def test_all_but_what_is_personal_goes_in_portions_of_any_size(
    metadata: Database, full: Node, theirs: Node, most: int
) -> None:
    before = {one.id: one for one in _all(metadata, full)}
    made = begin(metadata)
    portions = run(metadata, made, most)
    assert portions > 1 or most == 200
    top = seen(metadata, made.folder)
    assert (top.parent, top.name) == (theirs.id, LABEL)
    assert below(metadata, top) == GIVEN
    assert files(metadata, full.id) == KEPT
    done = now(metadata, made)
    assert (done.state, done.files, done.done_files, done.done_bytes, done.closed) == ("done", 3, 3, 20, 4)
    for one in _all(metadata, top):
        assert (one.id in before) == (not one.is_folder), "files are moved, folders are made anew"


def _all(metadata: Database, top: Node) -> list[Node]:
    with metadata.reading() as reading:
        return list(look.below(reading, top.id))


def test_versions_come_along_and_the_room_of_both_is_true(
    metadata: Database, full: Node, theirs: Node
) -> None:
    made = begin(metadata)
    run(metadata, made)
    with metadata.reading() as reading:
        file = look.walk(reading, made.folder, ["budget.ods"])
        assert file is not None
        assert [one.size_bytes for one in versions.of(reading, file.id)] == [5]


def test_a_folder_s_past_does_not_come_along(metadata: Database, full: Node, theirs: Node) -> None:
    made = begin(metadata)
    run(metadata, made)
    with metadata.reading() as reading:
        plans = look.walk(reading, made.folder, ["Plans", "2025"])
        assert plans is not None
        rows = reading.all("SELECT name FROM change WHERE parent = ? OR node = ?", (plans.id, plans.id))
    assert {row[0] for row in rows} == {"2025"}


def test_a_label_that_says_personal_keeps_its_file(metadata: Database, home: Node, theirs: Node) -> None:
    file = put(metadata, home.id, "a.txt", b"a")
    put(metadata, home.id, "b.txt", b"b")
    tag = metadata.write(lambda w: tags.make(w, ME, "Privé", visible=True, assignable=True))
    metadata.write(lambda w: w.run("INSERT INTO tagged (node, tag) VALUES (?, ?)", (file.id, tag.id)))
    made = begin(metadata)
    run(metadata, made)
    assert files(metadata, made.folder) == {f"{LABEL}/b.txt"}
    assert files(metadata, home.id) == {"a.txt"}


def test_a_heir_without_room_gets_nothing_at_all(metadata: Database, full: Node, theirs: Node) -> None:
    metadata.write(lambda w: tree.set_limit(w, theirs.id, 24))  # 20 and a version of 5
    with pytest.raises(QuotaFull):
        begin(metadata)
    assert listing(metadata, theirs.id) == {} and len(files(metadata, full.id)) == 7
    metadata.write(lambda w: tree.set_limit(w, theirs.id, 25))
    made = begin(metadata)
    run(metadata, made)
    assert now(metadata, made).state == "done"


def test_what_is_cut_off_goes_on_and_a_change_that_fails_moves_nothing(
    metadata: Database, opens: Open, full: Node, theirs: Node
) -> None:
    made = begin(metadata)
    metadata.write(lambda w: handovers.step(w, REFERENT, made.id, most=2))

    def dies(writing: Writing) -> None:
        handovers.step(writing, REFERENT, made.id, most=2)
        raise RuntimeError

    before = listing(metadata, theirs.id), now(metadata, made)
    with pytest.raises(RuntimeError):
        metadata.write(dies)
    assert (listing(metadata, theirs.id), now(metadata, made)) == before
    again = opens()
    run(again, made, 2)
    assert below(again, seen(again, made.folder)) == GIVEN
    assert not again.write(lambda w: handovers.step(w, REFERENT, made.id))
    assert below(again, seen(again, made.folder)) == GIVEN, "called again, it does nothing"


@pytest.mark.parametrize("what", ["deleted", "destroyed", "given away"])
def test_what_the_heir_took_away_meanwhile_gets_nothing_more(
    metadata: Database, full: Node, theirs: Node, what: str
) -> None:
    made, heir = begin(metadata), Act(HEIR, "", NOW_S)
    metadata.write(lambda w: handovers.step(w, REFERENT, made.id, most=3))
    with metadata.reading() as reading:
        went = {one.id for one in look.below(reading, made.folder) if not one.is_folder}
    if what == "given away":
        common = metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
        metadata.write(lambda w: tree.move(w, heir, made.folder, common.id, "Tous"))
    else:
        metadata.write(lambda w: tree.delete(w, heir, made.folder))
        if what == "destroyed":
            metadata.write(lambda w: trash.empty(w, heir, theirs.id))
            trash.destroy_all(metadata, heir)
    run(metadata, made, 3)
    with metadata.reading() as reading:
        (folder,) = look.children(reading, theirs.id)
        came = {one.id for one in look.below(reading, folder.id) if not one.is_folder}
        assert handovers.find(reading, made.id).folder == folder.id
    assert (len(went), len(came), went & came) == (1, 2, set())
    assert files(metadata, full.id) == KEPT
    assert back(metadata, made).back_files == len(came)


def test_one_at_a_time_and_none_where_nothing_is_left(metadata: Database, full: Node, theirs: Node) -> None:
    made = begin(metadata)
    with pytest.raises(HandoverUnderWay):
        begin(metadata)
    run(metadata, made)
    with metadata.reading() as reading:
        again = handed.left(reading, ME.person_id)
    assert again[:4] == (0, 0, 0, 4), "folders that were emptied are nothing to hand over"
    with pytest.raises(AbsentNode):
        begin(metadata, "per_nobody")


def test_what_came_later_goes_to_another_without_the_folders_that_were_emptied(
    metadata: Database, full: Node, theirs: Node
) -> None:
    run(metadata, begin(metadata))
    with metadata.reading() as reading:
        plans = look.walk(reading, full.id, ["Plans"])
    assert plans is not None
    put(metadata, plans.id, "retrouvé.pdf", b"found")
    made = begin(metadata, heir="per_third")
    run(metadata, made)
    assert below(metadata, seen(metadata, made.folder)) == {"Plans": 5, "Plans/retrouvé.pdf": 5}


def test_a_taken_name_and_an_odd_one_are_no_hindrance(metadata: Database, home: Node, theirs: Node) -> None:
    folder(metadata, theirs.id, LABEL)
    put(metadata, home.id, "a.txt", b"a")
    assert seen(metadata, begin(metadata).folder).name == f"{LABEL} (2)"
    assert handovers.named("Fichiers de A/B\\\n" + "é" * 300) == ("Fichiers de AB" + "é" * 66)


def test_links_go_along_and_open_the_folder_made_anew(metadata: Database, full: Node, theirs: Node) -> None:
    with metadata.reading() as reading:
        plans = look.walk(reading, full.id, ["Plans"])
        private = look.walk(reading, full.id, ["Plans", "2025", "Privé"])
    assert plans is not None and private is not None
    made_link, token = metadata.write(lambda w: shares.make(w, ME, plans.id, LINK))
    closed_link, _ = metadata.write(lambda w: shares.make(w, ME, private.id, LINK))
    one = begin(metadata)
    run(metadata, one)
    with metadata.reading() as reading:
        new = look.walk(reading, one.folder, ["Plans"])
        found = shares.behind(reading, token, now_s=NOW_S + 100)
        assert new is not None and (found.id, found.node) == (made_link.id, new.id)
        assert shares.find(reading, closed_link.id).node == private.id
    back(metadata, one)
    with metadata.reading() as reading:
        assert shares.behind(reading, token, now_s=NOW_S + 100).node == plans.id


@pytest.mark.parametrize("most", [1, 2, 200])
def test_an_undone_departure_gives_back_what_still_lies_there(
    metadata: Database, full: Node, theirs: Node, most: int
) -> None:
    before = {one.id: one.parent for one in _all(metadata, full)}
    made = begin(metadata)
    run(metadata, made)
    assert back(metadata, made, most)[4:6] == ("returned", "")
    assert {one.id: one.parent for one in _all(metadata, full)} == before
    assert listing(metadata, theirs.id) == {}
    assert now(metadata, made).back_files == 3


def test_what_the_heir_moved_out_deleted_or_added_stays_theirs(
    metadata: Database, full: Node, theirs: Node
) -> None:
    made = begin(metadata)
    run(metadata, made)
    with metadata.reading() as reading:
        budget = look.walk(reading, made.folder, ["budget.ods"])
        hall = look.walk(reading, made.folder, ["Plans", "2025", "mairie.pdf"])
        plans = look.walk(reading, made.folder, ["Plans"])
    assert budget and hall and plans
    metadata.write(lambda w: tree.move(w, REFERENT, budget.id, theirs.id, "budget 2026.ods"))
    metadata.write(lambda w: tree.delete(w, REFERENT, hall.id))
    put(metadata, plans.id, "nouveau.pdf", b"new", REFERENT)
    assert back(metadata, made).back_files == 1
    assert "Plans/école.pdf" in listing(metadata, full.id)
    assert files(metadata, theirs.id) == {"budget 2026.ods", f"{LABEL}/Plans/nouveau.pdf"}


def test_what_was_sealed_meanwhile_stays_and_keeps_nothing_else_from_coming_back(
    metadata: Database, full: Node, theirs: Node
) -> None:
    made = begin(metadata)
    run(metadata, made)
    common = metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S))
    metadata.write(lambda w: tree.move(w, REFERENT, made.folder, common.id, "Fonds"))
    with metadata.reading() as reading:
        plans = look.walk(reading, made.folder, ["Plans"])
    assert plans is not None
    sealed(metadata, plans)
    assert back(metadata, made)[4:6] == ("returned", "")
    assert now(metadata, made).back_files == 1 and "budget.ods" in listing(metadata, full.id)
    assert files(metadata, common.id) == {"Fonds/Plans/2025/mairie.pdf", "Fonds/Plans/école.pdf"}


def test_an_undoing_in_the_middle_gives_back_what_went(metadata: Database, full: Node, theirs: Node) -> None:
    before = listing(metadata, full.id)
    made = begin(metadata)
    metadata.write(lambda w: handovers.step(w, REFERENT, made.id, most=4))
    back(metadata, made, 1)
    assert listing(metadata, full.id) == before
    assert not metadata.write(lambda w: handovers.step(w, REFERENT, made.id)), "it does not go on"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_what_went_on_to_others_comes_back_to_whose_it_was_whoever_is_back_first(
    metadata: Database, full: Node, theirs: Node, order: tuple[int, ...]
) -> None:
    before = files(metadata, full.id)
    people = (ME.person_id, HEIR, "per_third", "per_fourth")
    made: list[Handover] = []
    for person_id, heir in itertools.pairwise(people):
        made.append(begin(metadata, person_id, heir))
        run(metadata, made[-1])
        if heir == HEIR:
            put(metadata, made[0].folder, "note.txt", b"of the heir")
            (school,) = [one for one in inside(metadata, made[0].folder) if one.name == "école.pdf"]
            metadata.write(lambda w, it=school.id: tree.move(w, REFERENT, it, theirs.id, "mine now.pdf"))
    assert len(files(metadata, made[-1].folder)) == 4
    for number in order:
        back(metadata, made[number])
    assert files(metadata, full.id) == before - {"Plans/école.pdf"}
    of_heir = {path.rpartition("/")[2] for path in files(metadata, theirs.id)}
    assert of_heir == {"note.txt", "mine now.pdf"}
    with metadata.reading() as reading:
        for person_id in people[2:]:
            root = look.root(reading, schema.HOME + person_id)
            assert root is not None and not [one for one in look.below(reading, root.id) if not one.is_folder]


def inside(metadata: Database, top: int) -> list[Node]:
    with metadata.reading() as reading:
        return list(look.below(reading, top))


def test_folders_at_the_end_of_what_may_be_deep_can_still_be_reached(
    metadata: Database, home: Node, theirs: Node
) -> None:
    parent = home
    for _ in range(names.MAX_DEPTH - 1):
        parent = folder(metadata, parent.id, "d")
    file = put(metadata, parent.id, "a.txt", b"a")
    made = begin(metadata)
    run(metadata, made)
    with metadata.reading() as reading:
        assert len(look.above(reading, file.id)) - 1 <= names.MAX_DEPTH


def test_ways_back_are_forgotten_after_their_time_and_the_record_stays(
    metadata: Database, full: Node, theirs: Node
) -> None:
    made = begin(metadata)
    run(metadata, made)
    far, late_s = made.folder + 1, made.begun_s + 1
    # One that a clock behind says to be older than it is; one that is young; one that is over.
    for before_s, before, rows in ((late_s, made.folder, 3), (made.begun_s, far, 3), (late_s, far, 0)):
        while metadata.write(
            partial(handovers.forget_ways, before_s=before_s, before=before, most=2),
        ):
            pass
        with metadata.reading() as reading:
            assert len(reading.all("SELECT node FROM handover_file")) == rows
    assert now(metadata, made).done_files == 3
