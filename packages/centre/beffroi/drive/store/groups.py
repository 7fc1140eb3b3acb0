"""Groups of people of one collectivité, with whom files are shared as with one person.

Rule:    they lie in the metadata of the collectivité, beside its shares: who is added or removed sees or loses what is
         shared at the next look, and a group of another collectivité does not exist here. ``group_member`` holds
         identifiers alone; who that is, and whether they belong, identity knows.
Source:  docs/decisions/0085-groups-lie-beside-the-shares.md.
"""

from __future__ import annotations

import unicodedata
from typing import LiteralString, NamedTuple

from beffroi.drive.store.model import Act
from beffroi.drive.store.names import folded
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import Conflict, Invalid, existing
from beffroi.lib.ids import is_id, new_id

MAX_NAME_CHARS = 80
MOST_GROUPS = 500
MOST_MEMBERS = 5000
_GROUPS: LiteralString = "SELECT id, name, created_s, created_by FROM people_group"


class GroupExists(Conflict):
    """There is a group of this name already, perhaps with other capitals."""

    code = "drive.group_exists"


class TooManyGroups(Conflict):
    """A collectivité has at most {} groups, and a group at most {} people."""

    code = "drive.too_many_groups"


class Group(NamedTuple):
    """A row of ``people_group``. ``created_s``: epoch seconds."""

    id: str
    name: str
    created_s: int
    created_by: str


class Member(NamedTuple):
    """``since_s``: epoch seconds."""

    person_id: str
    since_s: int


def every(database: Reading) -> list[Group]:
    """All of the collectivité, by name."""
    return [Group(*row) for row in database.all(_GROUPS + " ORDER BY folded, id")]


def names(database: Reading) -> dict[str, str]:
    """By identifier."""
    return {one.id: one.name for one in every(database)}


def find(database: Reading, group_id: str) -> Group:
    """Errors: NotFound."""
    row = database.one(_GROUPS + " WHERE id = ?", (group_id,)) if is_id(group_id, "grp") else None
    return Group(*existing(row, "group"))


def is_there(database: Reading, group_id: str) -> bool:
    """``group_id``: whatever somebody sent."""
    return (
        is_id(group_id, "grp")
        and database.one("SELECT 1 FROM people_group WHERE id = ?", (group_id,)) is not None
    )


def members(database: Reading, group_id: str) -> list[Member]:
    """Those who were added first come first."""
    rows = database.all(
        "SELECT person_id, since_s FROM group_member WHERE group_id = ? ORDER BY since_s, person_id",
        (group_id,),
    )
    return [Member(*row) for row in rows]


def by_group(database: Reading) -> dict[str, set[str]]:
    """The people of each group that has any."""
    found: dict[str, set[str]] = {}
    for group_id, person_id in database.all("SELECT group_id, person_id FROM group_member"):
        found.setdefault(group_id, set()).add(person_id)
    return found


def of_person(database: Reading, person_id: str) -> dict[str, int]:
    """Since when a person is in which group."""
    rows = database.all("SELECT group_id, since_s FROM group_member WHERE person_id = ?", (person_id,))
    return {row[0]: row[1] for row in rows}


def checked(database: Reading, name: str, *, but: str = "") -> str:
    """A name as it is kept: NFC, one space between words. Errors: Invalid, GroupExists."""
    said = unicodedata.normalize("NFC", " ".join(name.split()))
    if not 0 < len(said) <= MAX_NAME_CHARS or any(
        unicodedata.category(one) in ("Cc", "Cf", "Cs") for one in said
    ):
        raise Invalid("name")
    if database.one("SELECT 1 FROM people_group WHERE folded = ? AND id <> ?", (folded(said), but)):
        raise GroupExists
    return said


def make(writing: Writing, act: Act, name: str, *, group_id: str = "") -> Group:
    """``group_id``: one that was told before. Errors: Invalid, GroupExists, TooManyGroups."""
    made = Group(group_id or new_id("grp"), checked(writing, name), act.now_s, act.person_id)
    if len(every(writing)) >= MOST_GROUPS:
        raise TooManyGroups(MOST_GROUPS, MOST_MEMBERS)
    writing.run(
        "INSERT INTO people_group VALUES (?, ?, ?, ?, ?)",
        (made.id, made.name, folded(made.name), made.created_s, made.created_by),
    )
    return made


def rename(writing: Writing, group_id: str, name: str) -> Group:
    """Errors: NotFound, Invalid, GroupExists."""
    found = find(writing, group_id)
    said = checked(writing, name, but=group_id)
    writing.run("UPDATE people_group SET name = ?, folded = ? WHERE id = ?", (said, folded(said), group_id))
    return found._replace(name=said)


def add(writing: Writing, act: Act, group_id: str, person_id: str) -> bool:
    """False for who is in it. Errors: NotFound, TooManyGroups."""
    there = members(writing, find(writing, group_id).id)
    if any(one.person_id == person_id for one in there):
        return False
    if len(there) >= MOST_MEMBERS:
        raise TooManyGroups(MOST_GROUPS, MOST_MEMBERS)
    writing.run(
        "INSERT INTO group_member VALUES (?, ?, ?, ?)", (group_id, person_id, act.now_s, act.person_id)
    )
    return True


def remove(writing: Writing, group_id: str, person_id: str) -> bool:
    """False for who was not in it. Errors: NotFound."""
    find(writing, group_id)
    return bool(
        writing.run("DELETE FROM group_member WHERE group_id = ? AND person_id = ?", (group_id, person_id))
    )


def leave(writing: Writing, person_id: str, *, before_s: int) -> list[str]:
    """Take a person out of each group that they came to before a moment; return which."""
    left = [one for one, since_s in of_person(writing, person_id).items() if since_s < before_s]
    for group_id in left:
        remove(writing, group_id, person_id)
    return left


def delete(writing: Writing, group_id: str) -> Group:
    """The group and its list of people; its shares are ended by whoever deletes it. Errors: NotFound."""
    found = find(writing, group_id)
    writing.run("DELETE FROM group_member WHERE group_id = ?", (group_id,))
    writing.run("DELETE FROM people_group WHERE id = ?", (group_id,))
    return found
