"""What a receiver keeps of shares, and what they see of them, on every metadata."""

from __future__ import annotations

from dataclasses import replace

import pytest
from beffroi.drive.store import look, mounts, received, schema, seen, shares, trash, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.mounts import Kept
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME, View
from beffroi.drive.who import Who

from tests.drive_server import A, B
from tests.drive_trees import ME, OTHER, folder, put

pytest_plugins = ["tests.fixtures_drive_store"]
WHO = Who(OTHER.person_id, "mem_x", A, "agent", "x", "X", "")


def share(metadata: Database, node: Node, rights: shares.Rights = "read", after_s: int = 0) -> shares.Share:
    act, wish = replace(ME, now_s=ME.now_s + after_s), Wish("person", OTHER.person_id, rights)
    return metadata.write(lambda w: shares.make(w, act, node.id, wish))[0]


def view(metadata: Database) -> View:
    found = View(metadata, WHO)
    metadata.write(found.make_roots)
    return found


def test_a_receiver_s_name_comes_first_and_the_rest_is_numbered() -> None:
    kept = {"c": Kept("Plans", 0)}
    assert mounts.named([("a", "Plans"), ("b", "plans"), ("c", "Autre")], kept) == {
        "c": "Plans",
        "a": "Plans (2)",
        "b": "plans (3)",
    }


def test_leaving_and_naming_are_each_person_s_own(metadata: Database) -> None:
    metadata.write(lambda w: mounts.rename(w, "shr_1", "per_a", "Plans"))
    metadata.write(lambda w: mounts.leave(w, "shr_1", "per_b", now_s=9))
    with metadata.reading() as reading:
        assert mounts.of(reading, "per_a") == {"shr_1": Kept("Plans", 0)}
        assert mounts.of(reading, "per_b") == {"shr_1": Kept("", 9)}
    metadata.write(lambda w: mounts.come_back(w, "shr_1", "per_b"))
    with metadata.reading() as reading:
        assert mounts.of(reading, "per_b") == {}


def test_when_somebody_looked_is_kept_once(metadata: Database) -> None:
    for now_s in (5, 9):
        metadata.write(lambda w, now_s=now_s: seen.look(w, "per_a", now_s=now_s))
    with metadata.reading() as reading:
        assert (seen.shares(reading, "per_a"), seen.shares(reading, "per_b")) == (9, 0)


def test_the_root_says_each_change_and_the_old_etag_comes_back_with_the_old_state(
    metadata: Database, home: Node
) -> None:
    mine, plans = view(metadata), folder(metadata, home.id, "Plans")

    def etag() -> int:
        with metadata.reading() as reading:
            return mine.place(reading, ()).etag

    before = etag()
    made = share(metadata, plans)
    with metadata.reading() as reading:
        place = mine.place(reading, (SHARED_NAME, "Plans"))
        assert (place.rights.may_write, place.rights.is_shared) == (False, True)
        assert mine.at(reading, plans.id) == place
        root = look.root(reading, schema.SHARED + WHO.person_id)
    assert root is None or root.parent == 0
    seen_etags = [before, etag()]
    put(metadata, plans.id, "x", b"1")
    seen_etags.append(etag())
    metadata.write(lambda w: shares.change(w, made.id, rights="write", expires_s=0))
    seen_etags.append(etag())
    assert len(set(seen_etags)) == 4
    metadata.write(lambda w: shares.end(w, made.id, now_s=ME.now_s))
    assert etag() == before


def test_another_role_that_may_do_less_in_the_commune_s_folder_changes_the_root(metadata: Database) -> None:
    """A client that saw no change would send into it, or keep back what it may send."""
    agent, elu, referent = (View(metadata, replace(WHO, role=role)) for role in ("agent", "elu", "referent"))
    metadata.write(agent.make_roots)
    with metadata.reading() as reading:
        etags = [one.place(reading, ()).etag for one in (agent, elu, referent)]
    assert etags[0] == etags[2] != etags[1]


def test_what_is_shared_twice_is_one_mount_with_the_wider_right_and_goes_with_the_trash(
    metadata: Database, home: Node
) -> None:
    mine, plans = view(metadata), folder(metadata, home.id, "Plans")
    share(metadata, plans)
    share(metadata, plans, "write")
    share(metadata, plans)
    with metadata.reading() as reading:
        (one,) = mine.mounts(reading)
        assert (one.name, one.may_write) == ("Plans", True)
    metadata.write(lambda w: tree.delete(w, ME, plans.id))
    with metadata.reading() as reading:
        assert mine.mounts(reading) == [] and mine.find(reading, (SHARED_NAME,)) is None


@pytest.mark.parametrize("goes", ["ended", "left", "deleted"])
def test_the_name_of_what_is_shared_no_more_is_given_to_nothing_else(
    metadata: Database, home: Node, goes: str
) -> None:
    """A device may have something for it that it did not send yet."""
    mine = view(metadata)
    first = folder(metadata, home.id, "Comptes")
    second = folder(metadata, folder(metadata, home.id, "Autre").id, "Comptes")
    one, other = share(metadata, first, "write"), share(metadata, second, "write", after_s=1)

    def names() -> dict[str, int]:
        with metadata.reading() as reading:
            return {at.name: at.node.id for at in mine.mounts(reading)}

    assert names() == {"Comptes": first.id, "Comptes (2)": second.id}
    if goes == "ended":
        metadata.write(lambda w: shares.end(w, one.id, now_s=ME.now_s))
    elif goes == "left":
        metadata.write(lambda w: mounts.leave(w, one.id, WHO.person_id, now_s=ME.now_s))
    else:
        metadata.write(lambda w: tree.delete(w, ME, first.id))
    assert names() == {"Comptes (2)": second.id}
    if goes == "deleted":
        metadata.write(lambda w: trash.restore(w, ME, home.id, first.id))
    else:  # with the same again
        share(metadata, first, after_s=2)
    assert names() == {"Comptes": first.id, "Comptes (2)": second.id}
    metadata.write(lambda w: shares.end(w, other.id, now_s=ME.now_s))
    assert names() == {"Comptes": first.id}


def test_a_view_that_reaches_its_own_collectivite_alone_shows_no_other_s(metadata: Database) -> None:
    mine = view(metadata)
    metadata.write(lambda w: received.offer(w, "shr_x", "Plans", owner=B, now_s=1))
    metadata.write(lambda w: received.answer(w, ME, "shr_x", accepted=True))
    with metadata.reading() as reading:
        assert mine.mounts(reading) == [] and mine.owners(reading) == set()
        assert mine.place(reading, ()).node.parent == 0


def test_what_lies_in_a_folder_is_asked_for_again_once_its_person_may_write_or_no_more(
    metadata: Database, home: Node
) -> None:
    mine = view(metadata)
    plans = folder(metadata, home.id, "Plans")
    lots = folder(metadata, plans.id, "Lots")
    made = share(metadata, plans)
    with metadata.reading() as reading:
        _, common = mine.roots(reading)
    archives = folder(metadata, common.id, "Archives")

    def etags(seen_by: View) -> list[int]:
        with metadata.reading() as reading:
            shared = [seen_by.place(reading, (SHARED_NAME, "Plans")), seen_by.at(reading, lots.id)]
            commons = [seen_by.place(reading, ("Commune",)), seen_by.at(reading, archives.id)]
            for outer, inner in (shared, commons):
                assert inner in seen_by.children(reading, outer)
            return [one.etag for one in (*shared, *commons)]

    before = etags(mine)
    metadata.write(lambda w: shares.change(w, made.id, rights="write", expires_s=0))
    after = etags(mine)
    assert not set(before[:2]) & set(after[:2]) and after[2:] == before[2:]
    as_elu = etags(View(metadata, replace(WHO, role="elu")))
    assert as_elu[:2] == after[:2] and not set(as_elu[2:]) & set(after[2:])
