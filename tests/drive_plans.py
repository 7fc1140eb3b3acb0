"""No way into the drive reads a whole large table: the plan of each statement is asked for where it is said first.

Rule:    of all tests, whatever they look at: a statement of the drive's whose plan scans one of LARGE fails the test
         that said it, unless it is one of SWEEPS. SQLite's plans do not depend on what lies there, for nothing is
         analysed; PostgreSQL's do, but it reads a table only where no index helps (``postgres``); an index from one
         end to the other is the table, too, unless a limit ends it.
         Statements of tests and benchmarks are their own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import beffroi
from beffroi.drive.store import postgres, schema, sqlite
from beffroi.drive.store.sqlite import Connection

LARGE = {
    *("node", "chunk", "version", "change", "trash", "weight", "scanned", "favourite", "tagged", "handed"),
    *("part", "part_name", "word", "word_name", "word_file", "node_kind"),
}
"""Tables that grow with files."""
SWEEPS = {
    "drops.py:forget": "each day, what came by links",
    "findings.py:all_by": "once at the end of a walk through all contents",
    "index.py:seal_anew": "once a key",
    "pictures.py:load": "a restore: all is replaced",
    "scrub.py:light": "once a walk",
    "resealing.py:_begin": "once a walk for a new key",
    "resealing.py:_begin_proof": "once a walk for a new key",
    "weights.py:_parts_there": "each day: parts of uploads under way, and when a database is made",
    "weights.py:count": "each day, and when a database is made",
    "weights.py:drift": "each day",
    "whole.py:listed": "an export of a collectivité, when it leaves",
}
"""Who may read all of a table: file and function, and when it does."""
_SCAN = re.compile(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?")
_FEW = {"chunk_loose", "word_file_unread"}
"""Indexes of a few rows."""
_PART = {
    found[1]
    for one in schema.TABLES
    if (found := re.match(r"CREATE (?:UNIQUE )?INDEX IF NOT EXISTS (\w+) ON \w+ \([^)]*\)\s+WHERE", one))
}
"""Indexes of some rows: with few rows PostgreSQL takes one whole as soon as by its condition. SQLite's plans tell."""
_SAID = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_BENEATH = {
    __file__,
    *(
        str(Path(sqlite.__file__).with_name(f"{one}.py"))
        for one in ("sqlite", "postgres", "writing", "scalars")
    ),
}
_PACKAGE = Path(beffroi.__path__[0])
_seen: set[tuple[str, str]] = set()


def hold() -> None:
    """From now on, in this process."""
    for backend, look in ((Connection, scans), (postgres._Reading, reads)):
        for name in ("one", "all", "run", "many"):
            setattr(backend, name, _asking(getattr(backend, name), look))


def _asking(say: Callable[..., Any], look: Callable[..., list[str]]) -> Callable[..., Any]:
    def said(on: Any, sql: str, *rest: Any) -> Any:
        is_whole = "?" not in sql or (rest and rest[0])  # of no rows nothing is said
        if is_whole and (look.__name__, sql) not in _seen and _SAID.match(sql):
            who = _who()
            if who is not None:
                _seen.add((look.__name__, sql))
                whole = look(on, sql, *rest)
                assert not whole or who in SWEEPS, f"{who} reads all of {', '.join(whole)}: {sql}"
        return say(on, sql, *rest)

    return said


def reads(on: Any, sql: str, parameters: Sequence[Any] = ()) -> list[str]:
    """As ``scans``, in PostgreSQL; ``parameters``: of the statement, or rows of them."""
    if parameters and isinstance(parameters[0], (tuple, list)):
        parameters = parameters[0]
    ((found,),) = on.raw.execute(f"EXPLAIN (FORMAT JSON) {postgres._translated(sql)}", parameters).fetchall()
    return list(_whole(found[0]["Plan"], ends=False))


def _whole(plan: dict[str, Any], *, ends: bool) -> Iterator[str]:
    """``ends``: whoever takes the rows of this step wants only some of them."""
    kind, inside, table = plan["Node Type"], plan.get("Plans", ()), plan.get("Relation Name")
    by_index = kind in ("Index Scan", "Index Only Scan") and not ends and _is_unbounded(plan)
    by_bits = kind == "Bitmap Heap Scan" and any(map(_is_unbounded, inside))
    if table in LARGE and (kind == "Seq Scan" or by_index or by_bits):
        yield table
    ends = kind == "Limit" or (ends and kind not in ("Aggregate", "Sort", "Unique"))
    for inner in inside:
        yield from _whole(inner, ends=ends)


def _is_unbounded(plan: dict[str, Any]) -> bool:
    """Whether a whole index of a whole table is read."""
    return "Index Name" in plan and "Index Cond" not in plan and plan["Index Name"] not in _PART


def scans(connection: Connection, sql: str, _: Sequence[Any] = ()) -> list[str]:
    """Large tables of which a statement reads every row, in SQLite."""
    names = {table: table for table in LARGE}
    names |= {found[2]: found[1] for found in re.finditer(r"(?:FROM|JOIN|,) (\w+) (?:AS )?([a-z]\w*)\b", sql)}
    rows = connection.raw.execute(f"EXPLAIN QUERY PLAN {sql}", [""] * sql.count("?"))
    found = [match for match in (_SCAN.fullmatch(row[3]) for row in rows) if match is not None]
    return [names[one[1]] for one in found if names.get(one[1]) in LARGE and one[2] not in _FEW]


def _who() -> str | None:
    """Who said a statement: file and function; None for tests and benchmarks."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename in _BENEATH and frame.f_back is not None:
        frame = frame.f_back
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(_PACKAGE):  # a checkout may lie in a folder of the same name
        return None
    name = frame.f_code.co_name
    while name.startswith("<") and frame.f_back is not None:  # a comprehension, a lambda
        frame = frame.f_back
        name = frame.f_code.co_name
    return f"{path.name}:{name}"
