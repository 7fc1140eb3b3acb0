"""Groups keep their promises on every metadata, and who is in one sees what is shared with it."""

from __future__ import annotations

import pytest
from beffroi.drive.groups import GroupLine, Groups
from beffroi.drive.store import groups, shares
from beffroi.drive.store.database import Database
from beffroi.drive.store.groups import Group, GroupExists, TooManyGroups
from beffroi.drive.store.model import Node, StoreFull
from beffroi.drive.store.shares import Share, Wish
from beffroi.drive.views import SHARED_NAME, View
from beffroi.drive.who import Role, Who
from beffroi.lib.errors import Invalid, NotAllowed, NotFound, Unavailable

from tests.drive_server import A
from tests.drive_trees import ME, OTHER, folder

pytest_plugins = ["tests.fixtures_drive_store"]
NOBODY = "grp_" + "0" * 26
WHO = Who(OTHER.person_id, "mem_x", A, "elu", "x", "X", "")


@pytest.fixture
def council(metadata: Database) -> Group:
    return metadata.write(lambda w: groups.make(w, ME, "Conseil municipal"))


def add(metadata: Database, group: Group, person_id: str = OTHER.person_id) -> bool:
    return metadata.write(lambda w: groups.add(w, ME, group.id, person_id))


def share(metadata: Database, node: Node, group: Group, rights: shares.Rights = "read") -> Share:
    return metadata.write(lambda w: shares.make(w, ME, node.id, Wish("group", group.id, rights)))[0]


def mounts(metadata: Database, who: Who = WHO) -> list[tuple[str, bool]]:
    view = View(metadata, who)
    metadata.write(view.make_roots)
    with metadata.reading() as reading:
        return [(one.name, one.may_write) for one in view.mounts(reading)]


def test_a_name_is_kept_once_whatever_its_capitals_spaces_and_form(
    metadata: Database, council: Group
) -> None:
    for same in ("Conseil municipal", "CONSEIL  MUNICIPAL", " conseil municipal\t", "Conseil\u00a0municipal"):
        with pytest.raises(GroupExists):
            metadata.write(lambda w, same=same: groups.make(w, ME, same))
    made = metadata.write(lambda w: groups.make(w, ME, "  Comité   des fe\u0302tes "))
    assert made.name == "Comité des f\u00eates"
    with metadata.reading() as reading:
        assert [one.name for one in groups.every(reading)] == ["Comité des fêtes", "Conseil municipal"]
        assert groups.find(reading, made.id) == made


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\x00b", "a\u202eb", "\ud800"])
def test_what_is_no_name_is_refused(metadata: Database, council: Group, name: str) -> None:
    with pytest.raises(Invalid):
        metadata.write(lambda w: groups.make(w, ME, name))
    with pytest.raises(Invalid):
        metadata.write(lambda w: groups.rename(w, council.id, name))
    with metadata.reading() as reading:
        assert groups.names(reading) == {council.id: "Conseil municipal"}


def test_a_group_takes_another_name_its_own_with_other_capitals_too_and_no_other_s(
    metadata: Database, council: Group
) -> None:
    other = metadata.write(lambda w: groups.make(w, ME, "Bureau"))
    assert (
        metadata.write(lambda w: groups.rename(w, council.id, "CONSEIL MUNICIPAL")).name
        == "CONSEIL MUNICIPAL"
    )
    with pytest.raises(GroupExists):
        metadata.write(lambda w: groups.rename(w, other.id, "Conseil municipal"))
    with pytest.raises(NotFound):
        metadata.write(lambda w: groups.rename(w, NOBODY, "Neuf"))


def test_people_are_in_it_once_and_leave_it(metadata: Database, council: Group) -> None:
    assert add(metadata, council) and not add(metadata, council)
    with metadata.reading() as reading:
        assert [one.person_id for one in groups.members(reading, council.id)] == [OTHER.person_id]
        assert groups.of_person(reading, OTHER.person_id) == {council.id: ME.now_s}
        assert groups.by_group(reading) == {council.id: {OTHER.person_id}}
    assert metadata.write(lambda w: groups.remove(w, council.id, OTHER.person_id))
    assert not metadata.write(lambda w: groups.remove(w, council.id, OTHER.person_id))
    with pytest.raises(NotFound):
        metadata.write(lambda w: groups.add(w, ME, NOBODY, OTHER.person_id))
    with pytest.raises(NotFound):
        metadata.write(lambda w: groups.remove(w, NOBODY, OTHER.person_id))


def test_who_left_leaves_what_they_came_to_before(metadata: Database, council: Group) -> None:
    add(metadata, council)
    assert metadata.write(lambda w: groups.leave(w, OTHER.person_id, before_s=ME.now_s)) == []
    assert metadata.write(lambda w: groups.leave(w, OTHER.person_id, before_s=ME.now_s + 1)) == [council.id]
    with metadata.reading() as reading:
        assert groups.of_person(reading, OTHER.person_id) == {}


def test_who_is_added_sees_what_is_shared_and_who_is_removed_does_not(
    metadata: Database, home: Node, council: Group
) -> None:
    plans = folder(metadata, home.id, "Plans")
    share(metadata, plans, council)
    assert mounts(metadata) == []
    add(metadata, council)
    assert mounts(metadata) == [("Plans", False)]
    metadata.write(lambda w: groups.remove(w, council.id, OTHER.person_id))
    assert mounts(metadata) == []


def test_the_root_says_each_change_of_a_group(metadata: Database, home: Node, council: Group) -> None:
    view, plans = View(metadata, WHO), folder(metadata, home.id, "Plans")
    metadata.write(view.make_roots)
    share(metadata, plans, council)

    def etag() -> int:
        with metadata.reading() as reading:
            return view.place(reading, ()).etag

    without = etag()
    add(metadata, council)
    within = etag()
    metadata.write(lambda w: groups.remove(w, council.id, OTHER.person_id))
    assert (within != without, etag()) == (True, without)


def test_the_widest_of_what_a_person_and_their_group_may_counts(
    metadata: Database, home: Node, council: Group
) -> None:
    plans = folder(metadata, home.id, "Plans")
    add(metadata, council)
    metadata.write(lambda w: shares.make(w, ME, plans.id, Wish("person", OTHER.person_id)))
    share(metadata, plans, council, "write")
    assert mounts(metadata) == [("Plans", True)]
    with metadata.reading() as reading:
        place = View(metadata, WHO).at(reading, plans.id)
    assert (place.path, place.rights.may_write, place.rights.is_shared) == (
        (SHARED_NAME, "Plans"),
        True,
        True,
    )


def test_a_group_s_member_does_not_see_what_they_share_themselves_as_others_(
    metadata: Database, home: Node, council: Group
) -> None:
    share(metadata, folder(metadata, home.id, "Plans"), council)
    add(metadata, council, ME.person_id)
    assert mounts(metadata, Who(ME.person_id, "mem_me", A, "agent", "me", "Me", "")) == []


def test_nothing_is_shared_with_a_group_that_is_not_there(
    metadata: Database, home: Node, council: Group
) -> None:
    plans = folder(metadata, home.id, "Plans")
    for target in (NOBODY, "", "agent", OTHER.person_id):
        with pytest.raises(Invalid):
            metadata.write(lambda w, target=target: shares.make(w, ME, plans.id, Wish("group", target)))
    made = share(metadata, plans, council)
    with metadata.reading() as reading:
        assert shares.to_group(reading, council.id, now_s=ME.now_s) == [made]
    metadata.write(lambda w: groups.delete(w, council.id))
    with pytest.raises(Invalid):
        share(metadata, plans, council)


def test_a_deleted_group_leads_nowhere_though_its_share_was_left(
    metadata: Database, home: Node, council: Group
) -> None:
    share(metadata, folder(metadata, home.id, "Plans"), council)
    add(metadata, council)
    assert metadata.write(lambda w: groups.delete(w, council.id)) == council
    assert mounts(metadata) == []
    with metadata.reading() as reading:
        assert (groups.every(reading), groups.by_group(reading)) == ([], {})
    with pytest.raises(NotFound):
        metadata.write(lambda w: groups.delete(w, council.id))


class Kept(list[str]):
    """Lines of the audit log, in order; ``refuses``: what cannot be written."""

    refuses = ""

    def __call__(self, line: GroupLine) -> None:
        if line.what == self.refuses:
            raise Unavailable("The audit log")
        self.append(line.what)


def desk(metadata: Database, lines: Kept, role: Role = "referent") -> Groups:
    view = View(metadata, Who(ME.person_id, "mem_me", A, role, "me", "Me", ""))
    return Groups(view, ME, lines, lambda line: lines.append(f"share {line.what}"))


def test_nothing_is_done_that_is_not_on_record(metadata: Database, home: Node, council: Group) -> None:
    lines, person = Kept(), OTHER.person_id
    for refused, change in (
        ("made", lambda: desk(metadata, lines).make("Bureau")),
        ("renamed", lambda: desk(metadata, lines).rename(council.id, "Bureau")),
        ("added", lambda: desk(metadata, lines).add(council.id, [person], [person])),
    ):
        lines.refuses = refused
        with pytest.raises(Unavailable):
            change()
    with metadata.reading() as reading:
        assert (groups.every(reading), groups.members(reading, council.id)) == ([council], [])
    lines.refuses = ""
    desk(metadata, lines).add(council.id, [person], [person])
    given = share(metadata, folder(metadata, home.id, "Plans"), council)
    for refused, change in (
        ("removed", lambda: desk(metadata, lines).remove(council.id, person)),
        ("deleted", lambda: desk(metadata, lines).delete(council.id)),
    ):
        lines.refuses = refused
        with pytest.raises(Unavailable):
            change()
    with metadata.reading() as reading:
        assert [one.person_id for one in groups.members(reading, council.id)] == [person]
        assert shares.to_group(reading, council.id, now_s=ME.now_s) == [given]
    assert lines == ["added"]
    lines.refuses = ""
    assert desk(metadata, lines).remove(council.id, person)
    assert not desk(metadata, lines).remove(council.id, person)
    assert lines == ["added", "removed"]


def test_what_was_told_and_failed_is_told_too(
    metadata: Database, home: Node, council: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Kept()
    monkeypatch.setattr(groups, "MOST_MEMBERS", 0)
    with pytest.raises(TooManyGroups):
        desk(metadata, lines).add(council.id, [OTHER.person_id], [OTHER.person_id])
    share(metadata, folder(metadata, home.id, "Plans"), council)
    assert len(desk(metadata, lines).delete(council.id)) == 1
    assert lines == ["added", "failed", "deleted", "share ended"]


def test_what_closes_was_told_and_failed_is_told_too(
    metadata: Database, home: Node, council: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreFull

    lines = Kept()
    desk(metadata, lines).add(council.id, [OTHER.person_id], [OTHER.person_id])
    given = share(metadata, folder(metadata, home.id, "Plans"), council)
    monkeypatch.setattr(groups, "remove", full)
    monkeypatch.setattr(groups, "delete", full)
    with pytest.raises(StoreFull):
        desk(metadata, lines).remove(council.id, OTHER.person_id)
    with pytest.raises(StoreFull):
        desk(metadata, lines).delete(council.id)
    assert lines == ["added", "removed", "failed", "deleted", "share ended", "failed", "share failed"]
    with metadata.reading() as reading:
        assert shares.to_group(reading, council.id, now_s=ME.now_s) == [given]


def test_nobody_but_the_referent_changes_a_group(metadata: Database, council: Group) -> None:
    roles: tuple[Role, ...] = ("agent", "elu", "dpo")
    for role in roles:
        lines = Kept()
        one = desk(metadata, lines, role)
        for change in (
            lambda one=one: one.make("Bureau"),
            lambda one=one: one.rename(council.id, "Bureau"),
            lambda one=one: one.add(council.id, [OTHER.person_id], [OTHER.person_id]),
            lambda one=one: one.remove(council.id, OTHER.person_id),
            lambda one=one: one.delete(council.id),
        ):
            with pytest.raises(NotAllowed):
                change()
        assert lines == []
    with metadata.reading() as reading:
        assert groups.every(reading) == [council]


def test_there_are_so_many_groups_and_people_at_most(
    metadata: Database, council: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MOST_GROUPS", 1)
    monkeypatch.setattr(groups, "MOST_MEMBERS", 1)
    with pytest.raises(TooManyGroups):
        metadata.write(lambda w: groups.make(w, ME, "Bureau"))
    add(metadata, council)
    with pytest.raises(TooManyGroups):
        add(metadata, council, "per_third")
    assert not add(metadata, council)
