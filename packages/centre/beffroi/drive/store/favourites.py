"""What each person starred, for themselves: a star changes nothing of the file, and no device need fetch anything.

Rule:   rows lie in the metadata of the person's own collectivité, also for what another one shares with it: what
        somebody likes is nobody's there.
Source: docs/internals/drive-sync.md, "Favourites".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from beffroi.drive.store import look, schema
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.who import Who

type Star = tuple[str, int]
"""A collectivité and a node of its."""


def of(home: Reading, who: Who, owner: str) -> frozenset[int]:
    """Nodes of one collectivité; some may have been deleted since. ``home``: of the person's own metadata."""
    if owner == who.collectivite_id:
        rows = home.all("SELECT node FROM favourite WHERE person_id = ?", (who.person_id,))
    else:
        rows = home.all(
            "SELECT node FROM favourite_abroad WHERE person_id = ? AND owner = ?", (who.person_id, owner)
        )
    return frozenset(row[0] for row in rows)


def everywhere(home: Reading, who: Who) -> frozenset[Star]:
    return of_person(home, who.person_id, who.collectivite_id)


def of_person(home: Reading, person_id: str, collectivite_id: str) -> frozenset[Star]:
    """``collectivite_id``: whose metadata these are."""
    own = home.all("SELECT node FROM favourite WHERE person_id = ?", (person_id,))
    abroad = home.all("SELECT owner, node FROM favourite_abroad WHERE person_id = ?", (person_id,))
    return frozenset((collectivite_id, row[0]) for row in own) | {(row[0], row[1]) for row in abroad}


def set_star(home: Writing, who: Who, star: Star, *, starred: bool) -> None:
    owner, node_id = star
    if owner == who.collectivite_id:
        home.run("DELETE FROM favourite WHERE person_id = ? AND node = ?", (who.person_id, node_id))
        if starred:
            home.run("INSERT INTO favourite (person_id, node) VALUES (?, ?)", (who.person_id, node_id))
        return
    row = who.person_id, owner, node_id
    home.run("DELETE FROM favourite_abroad WHERE person_id = ? AND owner = ? AND node = ?", row)
    if starred:
        home.run("INSERT INTO favourite_abroad (person_id, owner, node) VALUES (?, ?, ?)", row)


def forget(home: Writing, person_id: str) -> None:
    """All stars of somebody who is erased, in one collectivité's metadata."""
    home.run("DELETE FROM favourite WHERE person_id = ?", (person_id,))
    home.run("DELETE FROM favourite_abroad WHERE person_id = ?", (person_id,))


def has_some(home: Reading, person_id: str) -> bool:
    own = home.one("SELECT 1 FROM favourite WHERE person_id = ? LIMIT 1", (person_id,))
    return bool(own or home.one("SELECT 1 FROM favourite_abroad WHERE person_id = ? LIMIT 1", (person_id,)))


def tidy(home: Writing, members: Collection[str]) -> None:
    """Take away stars that nobody can find: on what is gone for good, and those of visitors, which are looked for with
    them. ``members``: of the collectivité; who left it, and may come back, has a folder here and is no visitor."""
    for person_id in _persons(home):
        if person_id not in members and look.root(home, schema.HOME + person_id) is None:
            home.run("DELETE FROM favourite WHERE person_id = ?", (person_id,))
        else:
            home.run(
                "DELETE FROM favourite WHERE person_id = ?"
                " AND NOT EXISTS (SELECT 1 FROM node WHERE node.id = favourite.node)",
                (person_id,),
            )


def _persons(home: Reading) -> Iterator[str]:
    """One after the other by the index: there are few of them, and many stars."""
    found = ""
    while (row := home.one("SELECT MIN(person_id) FROM favourite WHERE person_id > ?", (found,))) and row[0]:
        found = row[0]
        yield found
