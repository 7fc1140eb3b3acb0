"""Whether there is room for one more entry in a calendar or an address book: it is one room with the Coffre's files.

Process: calendars. What calendars take is counted by the upkeep each hour; until then what was added does not count.
Fails:   closed: where the metadata do not answer, nothing is added.
Source:  docs/internals/drive.md, "Room".
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from beffroi.drive.calendars import homes
from beffroi.drive.store import look, room, schema
from beffroi.drive.store.commune import open_communes
from beffroi.lib.config import Config


class Fullness:
    def __init__(self, config: Config) -> None:
        self._communes = open_communes(config, ThreadPoolExecutor(1, "calendars-room"))

    def require(self, collectivite_id: str, person_id: str, collection: str, growth_bytes: int) -> None:
        """``collection``: its name in the person's home. Errors: QuotaFull, KeysErased, StoreFull, Unavailable."""
        name = schema.COMMON if collection in homes.LINKS else schema.HOME + person_id
        with self._communes.metadata(collectivite_id).reading() as reading:
            root = look.root(reading, name)
            room.require_bytes(reading, root.id if root else room.WHOLE, growth_bytes)
