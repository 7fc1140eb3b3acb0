"""Whether there is room for one more entry in a calendar or an address book: it is one room with the Coffre's files.

Process: calendars. What an entry takes is counted with it (``counted``). Requests that run at once may each still see
         the room of before: a limit is passed by as many entries of MAX_ITEM_BYTES, and by no more.
Fails:   closed: where the metadata do not answer, nothing is added.
Source:  docs/internals/drive.md, "Room".
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from beffroi.drive.calendars import homes
from beffroi.drive.store import room, schema
from beffroi.drive.store.commune import open_communes
from beffroi.lib.config import Config


class Fullness:
    def __init__(self, config: Config) -> None:
        self._communes = open_communes(config, ThreadPoolExecutor(1, "calendars-room"))

    def require(
        self,
        collectivite_id: str,
        person_id: str,
        collection: str,
        growth_bytes: int,
        *,
        moved_bytes: int = 0,
    ) -> None:
        """``collection``: its name in the person's home; ``moved_bytes``: what of it is the collectivité's already.

        Errors: QuotaFull, KeysErased, StoreFull, Unavailable.
        """
        name = schema.COMMON if homes.is_shared(collection) else schema.HOME + person_id
        with self._communes.metadata(collectivite_id).reading() as reading:
            room.require_beside(reading, name, growth_bytes, waiting_bytes=moved_bytes)

    def grown(self, collectivite_id: str, owner: str, size_bytes: int) -> None:
        """``owner``: a person, or SHARED_HOME; ``size_bytes``: below 0 for what went. Errors: as ``require``."""
        database = self._communes.metadata(collectivite_id)
        database.write(lambda writing: room.add_calendars(writing, owner, size_bytes))
