"""Stars on both databases: each person's own, on nodes of their collectivité and of others."""

from __future__ import annotations

from beffroi.drive.store import favourites, mounts, schema, seen, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.favourites import Star
from beffroi.drive.who import Who

from tests.drive_server import A, B, who
from tests.drive_trees import put as make

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


def stars(metadata: Database, person: Who) -> frozenset[Star]:
    with metadata.reading() as reading:
        return favourites.everywhere(reading, person)


def test_stars_of_visitors_and_on_what_is_gone_are_tidied_away_and_no_others(metadata: Database) -> None:
    gone, newcomer, visitor = (who(name, A) for name in ("gone", "newcomer", "visitor"))
    for person in (ME, gone):
        name = schema.HOME + person.person_id
        metadata.write(lambda w, n=name: tree.make_root(w, n, now_s=1))
    common = metadata.write(lambda w: tree.make_root(w, schema.COMMON, now_s=1))
    node, lost = make(metadata, common.id, "a", b"a").id, common.id + 1_000
    for person in (ME, gone, newcomer, visitor):
        put(metadata, person, (A, node))
        put(metadata, person, (B, lost))
    put(metadata, ME, (A, lost))
    metadata.write(lambda w: favourites.tidy(w, {ME.person_id, newcomer.person_id}))
    assert [stars(metadata, one) for one in (ME, gone, newcomer)] == [{(A, node), (B, lost)}] * 3
    assert stars(metadata, visitor) == {(B, lost)}, "on other collectivités' files they are the person's own"


def test_who_is_erased_leaves_no_name_of_a_share_and_no_time(metadata: Database) -> None:
    for person in (ME, COLLEAGUE):
        metadata.write(lambda w, p=person.person_id: mounts.rename(w, "shr_1", p, "Plans"))
        metadata.write(lambda w, p=person.person_id: seen.look(w, p, now_s=5))
    for forget in (mounts.forget, seen.forget):
        metadata.write(lambda w, forget=forget: forget(w, ME.person_id))
    with metadata.reading() as reading:
        assert mounts.of(reading, ME.person_id) == {} and seen.shares(reading, ME.person_id) == 0
        assert list(mounts.of(reading, COLLEAGUE.person_id)) == ["shr_1"]
        assert seen.shares(reading, COLLEAGUE.person_id) == 5


def test_who_is_erased_leaves_no_star(metadata: Database) -> None:
    for person in (ME, COLLEAGUE):
        put(metadata, person, (A, 7))
        put(metadata, person, (B, 7))
    with metadata.reading() as reading:
        assert favourites.has_some(reading, ME.person_id)
    metadata.write(lambda w: favourites.forget(w, ME.person_id))
    with metadata.reading() as reading:
        assert not favourites.has_some(reading, ME.person_id)
    assert stars(metadata, ME) == frozenset() and stars(metadata, COLLEAGUE) == {(A, 7), (B, 7)}
