"""A restore and seals: no term becomes shorter by it, and who restores reads what is not sealed any more."""

from __future__ import annotations

from functools import partial

import pytest
from beffroi.drive.archives.rules import Sealed
from beffroi.drive.backup import pictures
from beffroi.drive.backup.work import Backups
from beffroi.drive.store import look, seal_ends, seals, trash, tree
from beffroi.drive.store.model import Node
from beffroi.drive.store.seal_ends import Elimination
from beffroi.drive.store.seals import NO_END, Seal
from beffroi.drive.store.writing import Writing
from beffroi.lib import clock

from tests.drive_place import Place
from tests.drive_seal_rows import a_seal
from tests.integration.test_drive_backup import backups, place

__all__ = ["backups", "place"]
DAY_S = 86400


def folder(place: Place, name: str) -> Node:
    root = place.root()
    return place.database.write(partial(tree.make_folder, act=place.act(), parent=root.id, name=name))


def sealed(place: Place, node: Node, until_s: int) -> Seal:
    made = a_seal(node, until_s=until_s)
    place.database.write(lambda w: seals.begin(w, made))
    place.database.write(lambda w: seals.finish(w, made.id, {}, stamp="none"))
    return made


def terms(place: Place) -> dict[str, int]:
    with place.database.reading() as reading:
        return seals.terms(reading)


def test_a_restore_shortens_no_term_and_counts_what_was_sealed_since(place: Place, backups: Backups) -> None:
    place.put("petit", b"petit")
    soon_s, late_s = (clock.epoch_s() + days * DAY_S for days in (10, 900))
    extended, ever, lifted, fresh = (folder(place, name) for name in ("a", "b", "c", "d"))
    first, second, third = (
        sealed(place, extended, soon_s),
        sealed(place, ever, NO_END),
        sealed(place, lifted, soon_s),
    )
    backups.back_up(place.owner)
    place.database.write(lambda w: seals.extend(w, first.id, until_s=late_s))
    place.database.write(lambda w: seals.end(w, third.id, "lifted", now_s=clock.epoch_s(), by="per_ref"))
    sealed(place, fresh, late_s)
    done = backups.restore(place.owner)
    assert terms(place) == {first.id: late_s, second.id: NO_END, third.id: soon_s}
    assert done.unsealed == 1
    assert backups.restore(place.owner).unsealed == 0


def test_a_restore_counts_the_eliminations_that_it_undid(place: Place, backups: Backups) -> None:
    kept = place.put("petit", b"petit")
    old, new = folder(place, "a"), folder(place, "b")
    first, second = (sealed(place, one, clock.epoch_s() + DAY_S) for one in (old, new))

    def eliminate(seal: Seal) -> None:
        record = Elimination(seal.id, f"apr_{seal.name}", "per_a", "per_b", "AD21", "2026-11-01", "AD21", 1)
        place.database.write(lambda w: seal_ends.eliminate(w, place.act(), record))
        trash.destroy_all(place.database, place.act())

    eliminate(first)
    backups.back_up(place.owner)
    eliminate(second)
    assert backups.restore(place.owner).uneliminated == 1
    with place.database.reading() as reading:
        assert [look.node(reading, one.id) is None for one in (old, new, kept)] == [True, False, False]
        assert seals.find(reading, second.id).state == "sealed"
    assert backups.restore(place.owner).uneliminated == 0


def test_what_comes_in_the_moment_of_a_restore_finds_its_seals(
    place: Place, backups: Backups, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One group of changes: the seals that stand are looked up again after all was replaced."""
    path = tmp_path_factory.mktemp("picture") / "metadata"
    closed = folder(place, "a")
    made = sealed(place, closed, NO_END)
    pictures.take(place.database, path)
    place.database.write(lambda w: w.run("DELETE FROM seal WHERE id = ?", (made.id,)))

    def change(writing: Writing) -> None:
        tree.make_folder(writing, place.act(), closed.id, "avant")  # nothing is sealed
        pictures.load(writing, path)
        tree.make_folder(writing, place.act(), closed.id, "après")

    with pytest.raises(Sealed):
        place.database.write(change)
