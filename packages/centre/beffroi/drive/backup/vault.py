"""Where backups of the drive lie, and in what form: pictures of metadata, sealed as files are, and copies of objects.

Layout:  PLACE/objects/<collectivite_id>/ab/cdef...     sealed chunks: of files, and of the pictures themselves
         PLACE/<collectivite_id>/keys.json              the wrapped keys as they are today, never as they were
         PLACE/<collectivite_id>/pictures/<UTC>.json    ``Picture``
Rule:    nothing lies here in clear but sizes, moments and numbers: who destroys a collectivité's keys makes its
         backups unreadable. What is copied was opened and proved before. An object that is there is not copied
         again, unless it was written since (sealed anew). What still lives is read and proved each PROVED_S, and is
         young again; what did not live for longer than pictures are kept goes.
Hostile: whoever can write to the backup's disk: all is proved when it is read.
Fails:   StoreFull, StoreUnavailable, ObjectDamaged, ObjectMissing.
Source:  docs/internals/drive.md, "Backup".
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Container, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.drive.backup.places import Place
from beffroi.drive.store import keys as keys_
from beffroi.drive.store.chunking import chunk_id
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.manifest import Chunk, Manifest, ManifestBroken
from beffroi.drive.store.objects import (
    ObjectMissing,
    Objects,
    StoreUnavailable,
    chunk_of,
    failures,
    object_name,
)
from beffroi.drive.store.sealing import HEADER_BYTES, Header, ObjectDamaged, Sealer
from beffroi.lib.config import Config

log = logging.getLogger("beffroi.drive.backup")
VERSION = 1
PIECE_BYTES = 1 << 20
"""Fixed cuts: pages of a database stay where they are, so that the next picture shares most pieces."""
DAY_S = 86400
ALL_KEPT_S = 2 * DAY_S
PROVED_S = 8 * DAY_S
"""How long a copy is believed without being read."""
PIECES_DAYS = 2 + 2 * PROVED_S // DAY_S
"""How long pieces lie there after the term of the last picture that names them."""
PROOFS = 16
"""So many runs share the proofs that are due; none waits for longer than PROVED_S once more."""
SLACK_S = 900
"""What was written so shortly before its copy is copied once more: it may have been sealed anew meanwhile, and the
clocks of two stores differ, by no more than an S3 service lets a request."""
_PICTURES = "pictures"
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z\.json", re.ASCII)


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file, in pieces: the name of its manifest (hex), and that manifest sealed (base64)."""

    size_bytes: int
    manifest: str
    sealed: str


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``number``: of the metadata then. ``generations``: the keys that it needs. ``calendars``: a tar archive, None
    where there are none."""

    version: int
    collectivite_id: str
    at_s: int
    number: int
    generations: tuple[int, ...]
    metadata: Kept
    calendars: Kept | None


class Copied(NamedTuple):
    """``damaged``: objects that were not copied, because they do not open. ``rotten``: copies that did not open any
    more; what the store or the next picture has of them takes their place in the same run."""

    objects: int
    size_bytes: int
    damaged: int
    rotten: int


class Vault:
    """The backups of one collectivité."""

    def __init__(self, place: Place, keys: Keys) -> None:
        """Errors: StoreFull, StoreUnavailable."""
        self.owner = keys.collectivite_id
        self._keys, self._place = keys, place
        self._objects, self._sealer = place.objects, Sealer(keys)

    # -- to the backup -----------------------------------------------------------------------------------------

    def keep_picture(
        self,
        metadata: Path,
        calendars: Path | None,
        *,
        number: int,
        now_s: int,
        ages: dict[str, float],
        proved: int | None = None,
    ) -> Picture:
        """Seal the files of a picture; it is one of the backups when this returns. ``ages``: as ``copy_objects`` left
        them; ``proved``: the one key that it needs, where that was counted; else any that there is."""
        generations = self._numbers()
        needed = {proved} if proved == generations[-1] else set(generations)
        there = self._place.names(f"{self.owner}/{_PICTURES}")
        while self._path(now_s).rpartition("/")[2] in there:  # none takes the place of another
            now_s += 1
        kept = self._sealed(metadata, ages)
        archive = self._sealed(calendars, ages) if calendars is not None else None
        needed.update(one for one in self._numbers() if one > generations[-1])  # made while it was sealed
        made = Picture(VERSION, self.owner, now_s, number, tuple(sorted(needed)), kept, archive)
        self._place.write(self._path(now_s), msgspec.json.encode(made))
        return made

    def _numbers(self) -> list[int]:
        return [one.number for one in self._keys.generations()]

    def _sealed(self, path: Path, ages: dict[str, float]) -> Kept:
        chunks = []
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                chunks.append(Chunk(self._kept(piece, ages), len(piece)))
        packed = Manifest(tuple(chunks)).pack()
        name = self._named(packed)
        sealed = base64.b64encode(bytes(self._sealer.seal(name, packed))).decode()
        return Kept(path.stat().st_size, name.hex(), sealed)

    def keep_keys(self) -> None:
        """As they are today, where each of them opens: a damaged file never takes the place of a good copy, nor do
        keys by which nothing of these backups opens. Errors: KeyUnreadable, KeysDiffer."""
        path = keys_path(self.owner)
        kept = self._place.read(path)
        file = self._keys.proved(kept)
        if kept != file:
            self._place.write(path, file)

    def ages(self) -> dict[str, float]:
        """Seconds by name of each object that lies here."""
        ahead_s = self._place.ahead_s()
        return {one.name: max(0.0, one.age_s - ahead_s) for one in self._objects.list(self.owner)}

    def copy_objects(self, source: Objects, ages: dict[str, float]) -> Copied:
        """What is new or was sealed anew; a copy that was not read for PROVED_S is proved. ``ages`` is brought up."""
        objects = size_bytes = damaged = rotten = 0
        proofs = 1 + len(ages) // PROOFS
        for one in source.list(self.owner):
            age_s = ages.get(one.name)
            if age_s is not None and one.age_s > age_s + SLACK_S:
                if age_s < PROVED_S or (proofs <= 0 and age_s < 2 * PROVED_S):
                    continue
                proofs -= 1
                if self._proved(one.name, ages):
                    continue
                rotten += 1
            try:
                data = bytes(source.get(one.name))
                self._sealer.open(chunk_of(one.name), data)
            except ObjectMissing:  # collected just now
                continue
            except ObjectDamaged:
                damaged += 1
                continue
            self._objects.put(one.name, data)
            ages[one.name] = 0.0
            objects, size_bytes = objects + 1, size_bytes + len(data)
        return Copied(objects, size_bytes, damaged, rotten)

    def forget(self, ages: dict[str, float], *, now_s: int, keep_days: int) -> None:
        """Pictures past their term, but for the newest, and objects that none of those kept can need. Terms are counted
        to the newest picture of a day ago: a clock that runs ahead since ends none."""
        moments = [one.at_s for one in self.pictures()]
        till_s = max((one for one in moments if one <= now_s - DAY_S), default=now_s)
        for moment in spare(moments, now_s=till_s, keep_s=keep_days * DAY_S):
            self._place.remove(self._path(moment))
        for name, age_s in ages.items():
            if age_s - (now_s - till_s) > (keep_days + PIECES_DAYS) * DAY_S:
                self._objects.delete(name)

    # -- from the backup ---------------------------------------------------------------------------------------

    def pictures(self) -> list[Picture]:
        """Oldest first; what cannot be read is none (``broken``)."""
        return [found for _, found in self._read() if found is not None]

    def broken(self, there: Container[str]) -> list[str]:
        """Names of pictures that cannot come back: what is not readable, and whose pieces are not all among the objects
        that are ``there``."""
        out = []
        for name, found in self._read():
            try:
                whole = found is not None and all(
                    object_name(self.owner, one.id) in there
                    for kept in (found.metadata, found.calendars)
                    if kept is not None
                    for one in self._pieces(kept)
                )
            except (ObjectDamaged, ManifestBroken):
                whole = False
            if not whole:
                out.append(name)
        return out

    def open_kept(self, kept: Kept, path: Path) -> None:
        """Write the file anew, each piece proved. Errors: ObjectDamaged, ObjectMissing, ManifestBroken, those of the
        keys."""
        with failures(), path.open("xb") as file:
            for one in self._pieces(kept):
                piece = bytes(self._sealer.open(one.id, self._objects.get(object_name(self.owner, one.id))))
                self._prove(one.id, piece)
                file.write(piece)

    def fetch(self, chunk: bytes) -> bytes | None:
        """A copy of an object under the key of today, unproved but for its seal."""
        try:
            return self.of_today(chunk, bytes(self._objects.get(object_name(self.owner, chunk))))
        except (ObjectMissing, ObjectDamaged):
            return None

    def of_today(self, chunk: bytes, sealed: bytes) -> bytes | None:
        """A sealed chunk under the key of today; None where it does not open."""
        try:
            made = self._sealer.reseal(chunk, sealed)
            if made is None:
                self._sealer.open(chunk, sealed)
            return sealed if made is None else bytes(made)
        except ObjectDamaged:
            return None

    # -- inside ------------------------------------------------------------------------------------------------

    def _read(self) -> list[tuple[str, Picture | None]]:
        """(file name, what it says), oldest first; None for what cannot be read."""
        out: list[tuple[str, Picture | None]] = []
        for name in self._place.names(f"{self.owner}/{_PICTURES}"):
            data = self._place.read(f"{self.owner}/{_PICTURES}/{name}")
            try:
                found = msgspec.json.decode(data or b"", type=Picture)
            except UNDECODABLE:
                out.append((name, None))
                continue
            is_ours = _NAME.fullmatch(name) and (found.version, found.collectivite_id) == (
                VERSION,
                self.owner,
            )
            out.append((name, found if is_ours and self._path(found.at_s).endswith(f"/{name}") else None))
        return out

    def _pieces(self, kept: Kept) -> tuple[Chunk, ...]:
        """Errors: ObjectDamaged, ManifestBroken, those of the keys."""
        try:
            name, sealed = bytes.fromhex(kept.manifest), base64.b64decode(kept.sealed, validate=True)
        except ValueError:
            raise ManifestBroken from None
        packed = bytes(self._sealer.open(name, sealed))
        self._prove(name, packed)
        return Manifest.unpack(packed).chunks

    def _kept(self, piece: bytes, ages: dict[str, float]) -> bytes:
        name = self._named(piece)
        place = object_name(self.owner, name)
        age_s = ages.get(place)
        if (
            age_s is None
            or (age_s >= PROVED_S and not self._proved(place, ages))
            or not self._is_of_today(name)
        ):
            self._objects.put(place, self._sealer.seal(name, piece))
            ages[place] = 0.0
        return name

    def _proved(self, name: str, ages: dict[str, float]) -> bool:
        """Whether a copy still opens; it is as young as new then. What does not, goes."""
        try:
            data = bytes(self._objects.get(name))
            self._sealer.open(chunk_of(name), data)
        except (ObjectDamaged, ObjectMissing) as error:
            log.error("the copy %s is damaged: %s", name, error.code)
            self._objects.delete(name)
            ages.pop(name, None)
            return False
        self._place.renew(name, data)
        ages[name] = 0.0
        return True

    def _is_of_today(self, name: bytes) -> bool:
        try:
            raw = bytes(self._objects.get_range(object_name(self.owner, name), 0, HEADER_BYTES))
            return Header.read(name, raw).generation == self._keys.current()[0]
        except (ObjectDamaged, ObjectMissing):
            return False

    def _named(self, data: bytes) -> bytes:
        return chunk_id(self._keys.naming(), data)

    def _prove(self, name: bytes, data: bytes) -> None:
        if self._named(data) != name:
            raise ObjectDamaged(name)

    def _path(self, at_s: int) -> str:
        moment = datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{self.owner}/{_PICTURES}/{moment}.json"


def keys_path(collectivite_id: str) -> str:
    return f"{collectivite_id}/keys.json"


def needed(place: Place, collectivite_id: str) -> set[int]:
    """Generations that pictures of a collectivité need; without its keys. Errors: StoreUnavailable."""
    out: set[int] = set()
    for name in place.names(f"{collectivite_id}/{_PICTURES}"):
        data = place.read(f"{collectivite_id}/{_PICTURES}/{name}")
        if data == b"":  # the disk may read it again one day
            raise StoreUnavailable(name)
        try:
            out.update(msgspec.json.decode(data or b"", type=Picture).generations)
        except UNDECODABLE:
            continue
    return out


def spare(moments: Iterable[int], *, now_s: int, keep_s: int) -> set[int]:
    """Which pictures go: of the last two days all stay, then the last one of each day, none for longer than
    ``keep_s``; the newest stays whatever its age. Pure."""
    ordered = sorted(moments)
    last: dict[int, int] = {}
    gone: set[int] = set()
    for at_s in ordered[:-1]:
        age_s = now_s - at_s
        if age_s > keep_s:
            gone.add(at_s)
        elif age_s > ALL_KEPT_S:
            day = at_s // DAY_S
            if day in last:
                gone.add(last[day])
            last[day] = at_s
    return gone


def adopt_keys(config: Config, collectivite_id: str, place: Place, *, replaces: bool = False) -> bool:
    """Bring wrapped keys back where they are lost or damaged; False where they are whole, or no copy is here.
    ``replaces``: as ``keys.adopt``.

    Errors: KeysErased, KeyUnreadable (the copy, too), OSError.
    """
    file = place.read(keys_path(collectivite_id))
    return file is not None and keys_.adopt(config, collectivite_id, file, replaces=replaces)
