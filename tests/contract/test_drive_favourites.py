"""Stars on both databases: each person's own, on nodes of their collectivité and of others."""

from __future__ import annotations

from beffroi.drive.store import favourites
from beffroi.drive.store.database import Database
from beffroi.drive.store.favourites import Star
from beffroi.drive.who import Who

from tests.drive_server import A, B, who

pytest_plugins = ["tests.fixtures_drive_store"]
ME, COLLEAGUE = who("me", A), who("colleague", A)


def put(metadata: Database, person: Who, star: Star, *, starred: bool = True) -> None:
    metadata.write(lambda writing: favourites.set_star(writing, person, star, starred=starred))


def test_a_number_of_two_communes_is_two_stars(metadata: Database) -> None:
    for star in ((A, 7), (B, 7), (B, 8), (B, 7)):
        put(metadata, ME, star)
    with metadata.reading() as reading:
        assert favourites.everywhere(reading, ME) == {(A, 7), (B, 7), (B, 8)}
        assert favourites.of(reading, ME, A) == {7} and favourites.of(reading, ME, B) == {7, 8}
        assert favourites.everywhere(reading, COLLEAGUE) == frozenset()
    put(metadata, COLLEAGUE, (B, 7), starred=False)
    put(metadata, ME, (B, 8), starred=False)
    put(metadata, ME, (A, 7), starred=False)
    with metadata.reading() as reading:
        assert favourites.everywhere(reading, ME) == {(B, 7)}
