"""The own files of somebody who left go to a colleague, and come back where the departure is undone.

Purpose: ``begin`` makes a folder in the colleague's root; ``step`` moves a portion of files into it, until nothing is
         left; ``return_step`` moves them back. A portion is one change: others write between two of them, and what a
         crash cuts off goes on with the next call.
Rule:    folders are made anew and never moved: a folder's past would show what once lay in it. Files keep their
         identifiers, versions and shares. What stays where it is, says ``handed``.
         The folders that files came from stay, empty, for the way back. What the heir deleted, or moved out of their
         own files, gets nothing more: the rest goes to the folder of the handover, or to another one like it. Whoever
         asks was judged above (``handover``).
Hostile: names of files, of people.
Errors:  begin: AbsentNode, HandoverUnderWay, QuotaFull, TooManyEntries; step: QuotaFull, TooManyEntries.
Source:  docs/decisions/0105-files-of-who-left-go-to-a-colleague.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, LiteralString, NamedTuple

from beffroi.drive.archives.rules import Sealed
from beffroi.drive.store import handed, look, names, passed, schema, tree
from beffroi.drive.store.handed import Left
from beffroi.drive.store.model import AbsentNode, Act, Node
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import Conflict
from beffroi.lib.ids import new_id

DUE = "drive:handover_due"
"""The event by which the worker takes the next portions."""
MOST = 200
"""Files and folders that one change looks at."""
MAX_LABEL_CHARS = 80
FOLDER = "Fichiers remis"
"""Where the folder that was named by its label is gone for good."""
State = Literal["running", "done", "stopped", "returning", "returned"]
Why = Literal["", "room", "people"]
_ROWS: LiteralString = (
    "SELECT id, person_id, heir, folder, state, why, begun_s, begun_by, ended_s, told_s, files, closed, done_files,"
    " done_bytes, back_files FROM handover"
)


class HandoverUnderWay(Conflict):
    """The files of this person are being moved already; wait for its end."""

    code = "drive.handover_under_way"


class Handover(NamedTuple):
    """A row of ``handover``. ``folder``: in the root of the person ``heir``, 0 without files. ``files``, ``closed``: as
    ``Left`` at the begin; ``done_files``, ``done_bytes``: that were moved; ``back_files``: that came back.

    ``state`` "stopped": ``why`` "room" (there was none left), "people" (somebody left or came back); what was moved is
    the heir's. "returned" with "room": the rest found none. ``told_s``: when the outbox heard of its end, 0 before.
    """

    id: str
    person_id: str
    heir: str
    folder: int
    state: State
    why: Why
    begun_s: int
    begun_by: str
    ended_s: int
    told_s: int
    files: int
    closed: int
    done_files: int
    done_bytes: int
    back_files: int

    @property
    def is_at_work(self) -> bool:
        return self.state in ("running", "returning")

    def is_during(self, at_s: int) -> bool:
        """Between its begin and its end, a way back included."""
        return self.begun_s <= at_s and (self.is_at_work or at_s <= self.ended_s)


# -- look-ups ------------------------------------------------------------------------------------------------


def find(reading: Reading, handover_id: str) -> Handover:
    """Errors: AbsentNode."""
    row = reading.one(_ROWS + " WHERE id = ?", (handover_id,))
    if row is None:
        raise AbsentNode("handover")
    return Handover(*row)


def of_person(reading: Reading, person_id: str, *, since_s: int = 0) -> list[Handover]:
    """Whose files they were, the oldest first. ``since_s``: begun then or later."""
    return _all(reading, " WHERE person_id = ? AND begun_s >= ?", (person_id, since_s))


def every(reading: Reading) -> list[Handover]:
    return _all(reading)


def at_work(reading: Reading) -> list[Handover]:
    return _all(reading, " WHERE state IN ('running', 'returning')")


def naming(reading: Reading, person_id: str) -> list[Handover]:
    """That name somebody: whose files they were, who got them, who asked for it."""
    return _all(reading, " WHERE person_id = ? OR heir = ? OR begun_by = ?", (person_id,) * 3)


def _all(reading: Reading, where: LiteralString = "", values: Sequence[object] = ()) -> list[Handover]:
    return [Handover(*row) for row in reading.all(_ROWS + where + " ORDER BY begun_s, id", values)]


# -- to the colleague ----------------------------------------------------------------------------------------


def require(
    reading: Reading, there: Left, *, person_id: str, heir: str, going: Sequence[passed.Going] = ()
) -> None:
    """That it could begin: as ``begin``. Errors: AbsentNode, HandoverUnderWay, QuotaFull."""
    if not (_has_files(reading, there, person_id) or going):
        raise AbsentNode("file")
    if any(one.is_at_work for one in of_person(reading, person_id)):
        raise HandoverUnderWay
    passed.require_room(reading, heir, there.weight.all_bytes + sum(one.size_bytes for one in going))


def begin(
    writing: Writing,
    act: Act,
    there: Left,
    *,
    handover_id: str = "",
    person_id: str,
    heir: str,
    label: str,
    going: Sequence[passed.Going] = (),
) -> Handover:
    """``there``: as ``handed.left`` told, outside of the change. ``handover_id``: one that was told before. ``label``:
    of the folder, made a name here, where there are files. ``going``: calendars and address books that go along."""
    home = look.root(writing, schema.HOME + person_id)
    is_some = _has_files(writing, there, person_id)
    theirs = tree.make_root(writing, schema.HOME + heir, now_s=act.now_s)
    require(writing, there, person_id=person_id, heir=heir, going=going)
    folder_id = 0
    if is_some:
        name = look.free_name(writing, theirs.id, named(label))
        folder_id = tree.make_folder(writing, act, theirs.id, name).id
    made = Handover(
        id=handover_id or new_id("hov"),
        person_id=person_id,
        heir=heir,
        folder=folder_id,
        state="running",
        why="",
        begun_s=act.now_s,
        begun_by=act.person_id,
        ended_s=0,
        told_s=0,
        files=there.files,
        closed=there.closed,
        done_files=0,
        done_bytes=0,
        back_files=0,
    )
    writing.run("INSERT INTO handover VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", made)
    if home is not None and is_some:
        _pair(writing, made.id, home.id, folder_id)
    passed.plan(writing, made.id, going)
    return made


def named(label: str) -> str:
    """A name of a file that says the same."""
    kept = "".join(sign for sign in label if sign not in names.FORBIDDEN)[:MAX_LABEL_CHARS].strip()
    return names.normal(kept)


def step(writing: Writing, act: Act, handover_id: str, *, most: int = MOST) -> bool:
    """A portion; True while there is more. Nothing where it is not running any more."""
    one = find(writing, handover_id)
    if one.state != "running":
        return False
    marked, budget, files, size_bytes = handed.labelled(writing), most, 0, 0
    while budget > 0:
        row = writing.one(
            "SELECT was, made, reached FROM handover_folder WHERE handover = ? AND is_done = 0 ORDER BY was LIMIT 1",
            (one.id,),
        )
        if row is None:
            break
        was, made, reached = row
        one, made = _in_sight(writing, act, one, made)
        found = handed.page(writing, was, reached, budget)
        for each in found:
            if handed.is_personal(each, marked):
                continue
            if each.is_folder:
                if handed.is_handed(writing, each, marked):
                    _make_anew(writing, act, one, each, made)
            else:
                _move(writing, act, each, made)
                writing.run("INSERT INTO handover_file VALUES (?, ?, ?)", (one.id, each.id, was))
                files, size_bytes = files + 1, size_bytes + each.size_bytes
        is_done = len(found) < budget
        reached = names.folded(found[-1].name) if found else reached
        writing.run(
            "UPDATE handover_folder SET reached = ?, is_done = ? WHERE handover = ? AND was = ?",
            (reached, int(is_done), one.id, was),
        )
        budget -= len(found) + 1
    is_over = budget > 0
    writing.run(
        "UPDATE handover SET done_files = done_files + ?, done_bytes = done_bytes + ? WHERE id = ?",
        (files, size_bytes, one.id),
    )
    if is_over:
        _end(writing, one.id, "done", "", act.now_s)
    return not is_over


def stop(writing: Writing, handover_id: str, why: Why, *, now_s: int) -> None:
    """It does not go on; what was moved is the heir's, or the person's again."""
    one = find(writing, handover_id)
    if one.is_at_work:
        _end(writing, one.id, "stopped" if one.state == "running" else "returned", why, now_s)


def tell(writing: Writing, handover_id: str, *, now_s: int) -> None:
    """The outbox heard of its end."""
    writing.run("UPDATE handover SET told_s = ? WHERE id = ?", (now_s, handover_id))


# -- and back ------------------------------------------------------------------------------------------------


def begin_return(writing: Writing, person_id: str, *, since_s: int) -> bool:
    """The departure is undone; whether there is something to give back. ``since_s``: when it was."""
    for one in of_person(writing, person_id, since_s=since_s):
        if one.state not in ("returning", "returned"):
            writing.run(
                "UPDATE handover SET state = 'returning', why = '', told_s = 0 WHERE id = ?", (one.id,)
            )
    return any(one.state == "returning" for one in of_person(writing, person_id, since_s=since_s))


def return_step(writing: Writing, act: Act, handover_id: str, *, most: int = MOST) -> bool:
    """As ``step``: what still lies in the folder goes back to where it came from; what the heir moved out, deleted or
    added stays theirs. The folder, once no file is in it, goes to their trash."""
    one = find(writing, handover_id)
    if one.state != "returning":
        return False
    rows = writing.all(
        "SELECT node, was_in FROM handover_file WHERE handover = ? ORDER BY node LIMIT ?", (one.id, most)
    )
    home = tree.make_root(writing, schema.HOME + one.person_id, now_s=act.now_s)
    back = 0
    for node_id, was_in in rows:
        moved = look.node(writing, node_id)
        if moved is not None and _is_still_handed(writing, one, moved):
            is_there = writing.root_of(was_in) == home.id
            with suppress(Sealed):  # the heir gave it to the collectivité, which sealed it: it stays there
                _move(writing, act, moved, was_in if is_there else home.id)
                back += 1
        writing.run("DELETE FROM handover_file WHERE handover = ? AND node = ?", (one.id, node_id))
    writing.run("UPDATE handover SET back_files = back_files + ? WHERE id = ?", (back, one.id))
    if len(rows) == most:
        return True
    pairs = writing.all(
        "SELECT was, made FROM handover_folder WHERE handover = ? ORDER BY was LIMIT ?", (one.id, most)
    )
    for was, made in pairs:
        _pass_links(writing, made, was, one.begun_s)
        writing.run("DELETE FROM handover_folder WHERE handover = ? AND was = ?", (one.id, was))
    if len(pairs) == most:
        return True
    folder = look.node(writing, one.folder)
    if (
        folder is not None
        and folder.parent == _root_id(writing, one.heir)
        and not handed.files_of(writing, folder)
    ):
        tree.discard(writing, act, folder)
    _end(writing, one.id, "returned", "", act.now_s)
    return False


def _is_still_handed(writing: Writing, one: Handover, moved: Node) -> bool:
    """It lies in the folder, or did until its heir left, and so on: then in the folder of the handover after that."""
    rows = writing.all(
        "SELECT h.folder, f.was_in FROM handover h JOIN handover_file f ON f.handover = h.id"
        " WHERE h.begun_s >= ? AND f.node = ?",
        (one.begun_s, moved.id),
    )
    came, place = dict[int, int](rows), moved.parent
    while True:
        above = {each.id for each in look.above(writing, place)}
        if one.folder in above:
            return True
        later = above & came.keys()
        if not later:
            return False
        place = came.pop(later.pop())


def forget_ways(writing: Writing, *, before_s: int, before: int = 1 << 62, most: int = MOST) -> bool:
    """Where files came from, of handovers that nobody undoes any more; True while there may be more. ``before``: and
    whose folder has a smaller number, which it got when they began (``moments.first_since``)."""
    rows = writing.all(
        "SELECT id FROM handover WHERE begun_s < ? AND folder < ? AND state IN ('done', 'stopped', 'returned')",
        (before_s, before),
    )
    for (handover_id,) in rows:
        for table in _FORGET:
            if writing.run(table, (handover_id, handover_id, most)):
                return True
    return False


_FORGET: tuple[LiteralString, ...] = (
    "DELETE FROM handover_file WHERE handover = ? AND node IN"
    " (SELECT node FROM handover_file WHERE handover = ? ORDER BY node LIMIT ?)",
    "DELETE FROM handover_folder WHERE handover = ? AND was IN"
    " (SELECT was FROM handover_folder WHERE handover = ? ORDER BY was LIMIT ?)",
)


# -- inside --------------------------------------------------------------------------------------------------


def _has_files(reading: Reading, there: Left, person_id: str) -> bool:
    is_home = look.root(reading, schema.HOME + person_id) is not None
    return is_home and bool(there.files or there.folders)


def _end(writing: Writing, handover_id: str, state: State, why: Why, now_s: int) -> None:
    writing.run(
        "UPDATE handover SET state = ?, why = ?, ended_s = ? WHERE id = ?", (state, why, now_s, handover_id)
    )


def _pair(writing: Writing, handover_id: str, was: int, made: int) -> None:
    writing.run("INSERT INTO handover_folder VALUES (?, ?, ?, '', 0)", (handover_id, was, made))


def _make_anew(writing: Writing, act: Act, one: Handover, was: Node, parent: int) -> None:
    """With its labels and its links."""
    if len(look.above(writing, parent)) >= names.MAX_DEPTH:
        parent = one.folder  # a level more than it had, and nobody would reach what lies in it
    name = look.free_name(writing, parent, was.name)
    made = tree.make_folder(writing, act, parent, name, mtime_s=was.mtime_s)
    for (tag,) in writing.all("SELECT tag FROM tagged WHERE node = ?", (was.id,)):
        writing.run("INSERT INTO tagged (node, tag) VALUES (?, ?)", (made.id, tag))
    _pass_links(writing, was.id, made.id, one.begun_s)
    _pair(writing, one.id, was.id, made.id)


def _in_sight(writing: Writing, act: Act, one: Handover, made: int) -> tuple[Handover, int]:
    """Where the next files go: ``made``, while it lies among the heir's own files."""
    theirs = tree.make_root(writing, schema.HOME + one.heir, now_s=act.now_s)
    for folder in (made, one.folder):
        if writing.root_of(folder) == theirs.id:
            return one, folder
    before = look.node(writing, one.folder)
    name = look.free_name(writing, theirs.id, before.name if before is not None else FOLDER)
    again = one._replace(folder=tree.make_folder(writing, act, theirs.id, name).id)
    writing.run("UPDATE handover SET folder = ? WHERE id = ?", (again.folder, one.id))
    return again, again.folder


def _move(writing: Writing, act: Act, one: Node, parent: int) -> None:
    folder = tree.folder_at(writing, parent)
    tree.relocate(writing, act, one, folder, look.free_name(writing, parent, one.name), kind="moved")


def _pass_links(writing: Writing, of: int, to: int, until_s: int) -> None:
    """Who got a link keeps it, and who has the folder sees and ends it. ``until_s``: those made until then."""
    writing.run(
        "UPDATE share SET node = ? WHERE node = ? AND kind = 'link' AND created_s <= ?", (to, of, until_s)
    )


def _root_id(reading: Reading, person_id: str) -> int:
    found = look.root(reading, schema.HOME + person_id)
    return found.id if found is not None else 0
