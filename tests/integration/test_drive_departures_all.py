"""What ends with who leaves; in all collectivités also behind one that does not answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from beffroi.core.events import Event
from beffroi.drive import consumers, departures
from beffroi.drive.departures import Departure
from beffroi.drive.sharing import Line
from beffroi.drive.store import favourites, locks, received, schema, shares, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act, Locked, Node
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import LARGEST_ID
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

from tests.drive_place import Place, place

__all__ = ["place"]

FIRST = "col_" + "0" * 26
"""In whatever order they are gone through by their identifiers."""


def broken(place: Place) -> Path:
    path = place.config.state / "drive" / FIRST / "metadata.db"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"none" * 1024)
    return path


def test_links_of_a_collectivite_that_left_end_also_behind_one_whose_metadata_are_damaged(
    place: Place,
) -> None:
    file, damaged = place.put("acte.pdf", b"x"), broken(place)
    wish = Wish("link", expires_s=clock.epoch_s() + 86400)
    link, _ = place.database.write(lambda w: shares.make(w, place.act(), file.id, wish))
    told: list[Line] = []
    with pytest.raises(BeffroiError):  # and it is tried again
        departures.end_outside(place.config, place.owner, record=told.append)
    with place.database.reading() as reading:
        assert not shares.find(reading, link.id).is_open(clock.epoch_s())
    assert [one.share_id for one in told] == [link.id]
    damaged.unlink()
    assert departures.end_outside(place.config, place.owner, record=told.append) == 0


def test_marks_of_who_is_erased_go_also_behind_one_whose_metadata_are_damaged(place: Place) -> None:
    file = place.put("acte.pdf", b"x")
    place.database.write(lambda w: w.run("INSERT INTO favourite VALUES (?, ?)", ("per_a", file.id)))
    broken(place)
    with pytest.raises(BeffroiError):
        departures.forget_own_marks(place.config, "per_a")
    with place.database.reading() as reading:
        assert not favourites.has_some(reading, "per_a")


def test_a_device_whose_app_password_ended_keeps_nothing_locked_wherever_it_was(
    place: Place, settings: Any
) -> None:
    """Lost, given up or stopped: its locks would keep colleagues out for up to a day. Its person goes on elsewhere."""
    settings.BEFFROI = place.config
    abroad, now_s = place.communes.metadata(FIRST), clock.epoch_s()
    place.database.write(lambda w: received.offer(w, "shr_1", "", owner=FIRST, now_s=now_s))
    root = abroad.write(lambda w: tree.make_root(w, schema.COMMON, now_s=now_s))
    shared = abroad.write(lambda w: tree.make_folder(w, place.act(), root.id, "commun"))
    files = {"app_lost": place.put("a.docx", b"x"), "app_kept": place.put("b.docx", b"x")}

    def lock(database: Database, node: Node, device: str) -> None:
        act, most_s = Act("per_a", device, now_s), locks.LONGEST_S
        database.write(
            lambda w: locks.lock(w, act, node.id, deep=False, shared=False, owner="", timeout_s=most_s)
        )

    lock(abroad, shared, "app_lost")
    for device, node in files.items():
        lock(place.database, node, device)

    def held(database: Database, node: Node) -> int:
        with database.reading() as reading:
            return len(locks.held(reading, node.id, now_s=now_s))

    told = {"app_password_id": "app_lost"}
    consumers.end_locks(Event(1, "identity:app_password_revoked", place.owner, told, clock.now()))
    assert [held(place.database, node) for node in files.values()] == [0, 1]
    assert held(abroad, shared) == 0


def test_what_somebody_had_open_as_they_left_is_free_for_the_colleague_who_takes_over(place: Place) -> None:
    """A lock may last for a day; of who is back by now it may be a new one."""
    now_s, file = clock.epoch_s(), place.put("acte.docx", b"x")
    for person_id in ("per_a", "per_stays"):
        other, act = place.put(f"{person_id}.docx", b"x"), Act(person_id, "app", now_s)
        place.database.write(
            lambda w, it=(other.id, act): locks.lock(
                w, it[1], it[0], deep=False, shared=False, owner="", timeout_s=locks.LONGEST_S
            )
        )
    place.database.write(
        lambda w: locks.lock(
            w, place.act(), file.id, deep=False, shared=False, owner="", timeout_s=locks.LONGEST_S
        )
    )

    def written(name: str) -> bool:
        content, root = place.taken(b"taken over"), place.root()
        colleague = Act("per_b", "app_b", clock.epoch_s())
        try:
            place.database.write(lambda w: tree.put(w, colleague, root.id, name, content))
        except Locked:
            return False
        return True

    for before_s, is_free in ((now_s, False), (LARGEST_ID, True)):
        departure = Departure(place.owner, "per_a", before_s=before_s, left_s=now_s)
        departures.end_their_shares(place.config, departure, record=lambda _: None)
        assert [written("acte.docx"), written("per_a.docx")] == [is_free] * 2
    assert not written("per_stays.docx")
