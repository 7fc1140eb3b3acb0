"""Files that were put into the drive to be sent by a link in a mail: which message, which link, which file.

A message that is thrown away takes them along; one that leaves does not. ``message``: SHA-256 of its Message-ID, hex,
for the drive knows nothing of mail.
Source: docs/internals/drive.md.
"""

from __future__ import annotations

from typing import NamedTuple

from beffroi.drive.store.writing import Reading, Writing

FOLDER = "Pièces jointes envoyées"
"""In the person's own folder."""


class SentFile(NamedTuple):
    share_id: str
    node: int
    person_id: str


def note(writing: Writing, share_id: str, node_id: int, person_id: str, message: str) -> None:
    writing.run(
        "INSERT INTO sent_file (share_id, node, person_id, message) VALUES (?, ?, ?, ?)",
        (share_id, node_id, person_id, message),
    )


def of_message(reading: Reading, person_id: str, message: str) -> list[SentFile]:
    """What this person put there for a message."""
    rows = reading.all(
        "SELECT share_id, node, person_id FROM sent_file WHERE message = ? AND person_id = ? ORDER BY share_id",
        (message, person_id),
    )
    return [SentFile(*row) for row in rows]


def find(reading: Reading, person_id: str, share_id: str) -> SentFile | None:
    row = reading.one(
        "SELECT share_id, node, person_id FROM sent_file WHERE share_id = ? AND person_id = ?",
        (share_id, person_id),
    )
    return SentFile(*row) if row else None


def forget(writing: Writing, share_id: str) -> None:
    writing.run("DELETE FROM sent_file WHERE share_id = ?", (share_id,))
