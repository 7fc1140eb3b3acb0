"""Versions of one minute, and of one second: each has words of its own, for the eye and for a screen reader."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from beffroi.drive.store import tree, versions
from beffroi.drive.store.model import EMPTY, Node
from beffroi.portal import drive_words
from django.test import Client
from django.utils import timezone, translation

from tests.drive_pages import Drive, client, drive
from tests.fixtures_portal import no_door
from tests.markup import flat

__all__ = ["client", "drive", "no_door"]
pytestmark = pytest.mark.django_db


def at(hour: int, minute: int, second: int = 0, fold: int = 0) -> datetime:
    zone = timezone.get_default_timezone()
    return datetime(2024, 10, 27, hour, minute, second, tzinfo=zone, fold=fold)


def test_a_minute_with_several_is_said_to_the_second_and_a_second_by_number() -> None:
    moments = [at(17, 9, 40), at(17, 8, 59), at(17, 8, 59), at(17, 8, 3), at(9, 0)]
    day = "le 27 octobre 2024 à"
    assert [one.replace("\u00a0", " ") for one in drive_words.written(moments)] == [
        f"{day} 17 h 09",
        f"{day} 17 h 08 min 59 s (2)",
        f"{day} 17 h 08 min 59 s (1)",
        f"{day} 17 h 08 min 03 s",
        f"{day} 9 h 00",
    ]
    with translation.override("en"):
        english = [one.replace("\u00a0", " ") for one in drive_words.written(moments)]
    assert english[1].endswith("at 17:08:59 (2)") and english[0].endswith("at 17:09")
    assert drive_words.written([]) == []


def test_an_hour_that_comes_twice_in_autumn_is_told_apart() -> None:
    assert len(set(drive_words.written([at(2, 30, fold=1), at(2, 30)]))) == 2


def saved(drive: Drive, name: str) -> Node:
    """A file that was saved five times within a minute, twice with the same time, as programs do."""
    for second in (5, 20, 20, 41, 59):
        mtime_s = int(at(17, 8, second).timestamp())
        node, _ = drive.database.write(
            lambda writing, mtime_s=mtime_s: tree.put(
                writing, drive.act, drive.own.id, name, EMPTY, mtime_s=mtime_s
            )
        )
    return node


def test_every_button_and_link_of_the_list_has_a_name_of_its_own(drive: Drive, client: Client) -> None:
    page = client.get(f"/coffre/{saved(drive, 'notes.txt').id}/").content.decode()
    part = page.partition('id="h-versions"')[2].partition("</section>")[0]
    names = [
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", one)).strip()
        for one in re.findall(r"(?s)<(?:a|button) .*?</(?:a|button)>", part)
    ]
    for verb in ("Voir", "Télécharger", "Comparer", "Rétablir", "Supprimer"):
        mine = [
            one for one in names if one.startswith(f"{verb} la version écrite le 27 octobre 2024 à 17 h 08")
        ]
        assert len(set(mine)) == 4, names
    assert len(set(names)) == len(names) == 20
    # The same words stand beside them.
    shown = [one.replace("\u00a0", " ") for one in re.findall(r"<p>Écrite (.*?) ·", flat(part))]
    assert [f"Rétablir la version écrite {one}" for one in shown] == [
        one.replace("\u00a0", " ") for one in names if one.startswith("Rétablir")
    ]
    assert shown[1].endswith("17 h 08 min 20 s (2)") and shown[3].endswith("17 h 08 min 05 s")


def test_the_pages_of_one_version_say_the_same(drive: Drive, client: Client) -> None:
    node = saved(drive, "photo.jpg")
    with drive.database.reading() as reading:
        etag = versions.of(reading, node.id)[1].etag
    said = "le 27 octobre 2024 à 17 h 08 min 20 s (2)"
    for page in ("versions/{}/", "versions/{}/supprimer/", "comparer/{}/"):
        found = flat(client.get(f"/coffre/{node.id}/{page.format(etag)}").content.decode()).replace(
            "\u00a0", " "
        )
        assert said in found, page
    assert "Écrite le 27 octobre 2024 à 17 h 08 min 20 s (1)</option>" in found
