"""The objects of one collectivité, as collection, scrubbing and the guard ask for them.

Process: sentry, drive-keeper, filescan. Each call blocks.
Hostile: what is stored (``sealing``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from beffroi.drive.store.chunking import chunk_id
from beffroi.drive.store.collect import Stored
from beffroi.drive.store.keys import Keys, make
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.objects import ObjectMissing, Objects, chunk_of, object_name
from beffroi.drive.store.scrub import State
from beffroi.drive.store.sealing import HEADER_BYTES, Header, ObjectDamaged, Sealer
from beffroi.lib.config import Config


class Stock:
    """Implements ``collect.Objects`` and ``scrub.Objects``."""

    def __init__(self, collectivite_id: str, keys: Keys, objects: Objects) -> None:
        self._collectivite_id, self._keys, self._objects = collectivite_id, keys, objects
        self._sealer = Sealer(keys)

    def list(self) -> Iterator[Stored]:
        for one in self._objects.list(self._collectivite_id):
            yield Stored(chunk_of(one.name), one.size_bytes, one.age_s)

    def delete(self, chunk_id: bytes) -> None:
        self._objects.delete(self._name(chunk_id))

    def judge(self, chunk: bytes, length: int, sealed: bytes | None) -> State:
        try:
            stored = self._objects.get(self._name(chunk)) if sealed is None else sealed
            data = self._sealer.open(chunk, stored)
        except ObjectMissing:
            return "missing"
        except ObjectDamaged:
            return "damaged"
        return "sound" if len(data) == length and chunk_id(self._keys.naming(), data) == chunk else "damaged"

    def read(self, chunk: bytes, sealed: bytes | None) -> bytes:
        """The chunk, whole; ``sealed``: where it is inline. Errors: ObjectDamaged, ObjectMissing, StoreUnavailable,
        those of the keys."""
        return bytes(
            self._sealer.open(chunk, self._objects.get(self._name(chunk)) if sealed is None else sealed)
        )

    def read_part(self, chunk: bytes, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` (exclusive) of a chunk that is no inline one, from as few frames as hold them.
        Errors: as ``read``."""
        name = self._name(chunk)
        return bytes(
            self._sealer.open_range(
                chunk, lambda first, after: self._objects.get_range(name, first, after), start, end
            )
        )

    def generation(self, chunk: bytes, sealed: bytes | None) -> int:
        """Which key it is sealed by. Errors: ObjectDamaged, ObjectMissing, StoreUnavailable."""
        raw = self._objects.get_range(self._name(chunk), 0, HEADER_BYTES) if sealed is None else sealed
        return Header.read(chunk, bytes(raw[:HEADER_BYTES])).generation

    def reseal(self, chunk: bytes, sealed: bytes | None) -> bytes | None:
        """The chunk under the key of today; None where it is already. Errors: as ``read``."""
        before = self._objects.get(self._name(chunk)) if sealed is None else sealed
        made = self._sealer.reseal(chunk, before)
        return None if made is None else bytes(made)

    def replace(self, chunk_id: bytes, sealed: bytes) -> None:
        self._objects.put(self._name(chunk_id), sealed)

    def _name(self, chunk_id: bytes) -> str:
        return object_name(self._collectivite_id, chunk_id)


def stocks(config: Config) -> Callable[[str], Stock]:
    """The stock of a collectivité, by its identifier. Errors: SettingInvalid, StoreUnavailable; of a call, those of the
    keys."""
    objects = open_objects(config)
    return lambda collectivite_id: Stock(collectivite_id, make(config, collectivite_id), objects)
