"""Good copies out of the backup for the scrub: of objects, and of what lies within the metadata.

Rule:    a picture is opened once for all that is looked for in it, the newest first, until nothing lacks.
Process: drive-keeper, in the thread of the walk.
Fails:   none where the backup cannot be reached, or there is no room to open a picture: a walk goes on without.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from beffroi.drive.backup import turns
from beffroi.drive.backup.places import open_place
from beffroi.drive.backup.vault import Vault
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.scrub import Kept
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.backup")


class Copies:
    """Implements ``scrub.Copies``."""

    def __init__(self, config: Config, collectivite_id: str) -> None:
        self._config, self._owner = config, collectivite_id

    def objects(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        try:
            found = self._vault()
            for chunk_id in wanted:
                if (copy := found.fetch(chunk_id)) is not None:
                    yield chunk_id, copy
        except BeffroiError as error:
            log.error("no copies of %s: %s", self._owner, error.code)

    def inline(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        left = set(wanted)
        for found, picture in self._pictures():
            for chunk_id in list(left):
                rows = self._rows(picture, "SELECT sealed FROM chunk WHERE id = ?", (chunk_id,))
                sealed = rows[0][0] if rows else None
                copy = found.of_today(chunk_id, bytes(sealed)) if sealed is not None else None
                if copy is not None:
                    left.discard(chunk_id)
                    yield chunk_id, copy
            if not left:
                return

    def manifests(self, wanted: Collection[Kept]) -> Generator[tuple[Kept, bytes]]:
        for _, picture in self._pictures():
            for one in wanted:
                asked = (one.node, one.size_bytes, one.sha256)
                rows = self._rows(
                    picture,
                    "SELECT manifest FROM node WHERE id = ? AND size_bytes = ? AND sha256 = ?"
                    " UNION SELECT manifest FROM version WHERE node = ? AND size_bytes = ? AND sha256 = ?",
                    (*asked, *asked),
                )
                yield from ((one, bytes(row[0])) for row in rows)

    def _rows(
        self, picture: sqlite3.Connection, sql: str, parameters: tuple[object, ...]
    ) -> list[tuple[Any]]:
        """None of a picture that is no database, or one of another form."""
        try:
            return picture.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            log.error("%s: a picture is passed over: %s", self._owner, type(error).__name__)
            return []

    def _pictures(self) -> Iterator[tuple[Vault, sqlite3.Connection]]:
        try:
            found = self._vault()
            for number, one in enumerate(reversed(found.pictures())):
                with turns.draft(self._config, self._owner) as folder:
                    path: Path = folder / str(number)
                    try:
                        found.open_kept(one.metadata, path)
                        with closing(sqlite3.connect(path)) as picture:
                            yield found, picture
                    except (BeffroiError, sqlite3.Error) as error:
                        log.error("%s: the picture of %d is passed over: %s", self._owner, one.at_s, error)
        except BeffroiError as error:
            log.error("no copies of %s: %s", self._owner, error.code)

    def _vault(self) -> Vault:
        return Vault(open_place(self._config), Keys(self._config, self._owner))
