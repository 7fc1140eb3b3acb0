"""What ends in all collectivités ends also behind one that does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.drive import departures
from beffroi.drive.sharing import Line
from beffroi.drive.store import favourites, shares
from beffroi.drive.store.shares import Wish
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

from tests.drive_place import Place, placed
from tests.fixtures_drive import new_config

FIRST = "col_" + "0" * 26
"""In whatever order they are gone through by their identifiers."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with placed(new_config(tmp_path / "state")) as one:
        yield one


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
