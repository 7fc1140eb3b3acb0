"""What each person starred, for themselves: a star changes nothing of the file, and no device need fetch anything.

Source: docs/internals/drive.md.
"""

from __future__ import annotations

from beffroi.drive.store.writing import Reading, Writing


def of(database: Reading, person_id: str) -> frozenset[int]:
    """Identifiers of nodes; some may have been deleted since."""
    rows = database.all("SELECT node FROM favourite WHERE person_id = ?", (person_id,))
    return frozenset(row[0] for row in rows)


def set_star(writing: Writing, person_id: str, node_id: int, *, starred: bool) -> None:
    writing.run("DELETE FROM favourite WHERE person_id = ? AND node = ?", (person_id, node_id))
    if starred:
        writing.run("INSERT INTO favourite (person_id, node) VALUES (?, ?)", (person_id, node_id))
