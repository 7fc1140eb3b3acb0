"""Where backups of the drive lie, and in what form: pictures of metadata, sealed as files are, and copies of objects.

Layout:  DIRECTORY/objects/<collectivite_id>/ab/cdef...     sealed chunks: of files, and of the pictures themselves
         DIRECTORY/<collectivite_id>/keys.json              the wrapped keys as they are today, never as they were
         DIRECTORY/<collectivite_id>/pictures/<UTC>.json    ``Picture``
Rule:    nothing lies here in clear but sizes, moments and numbers: who destroys a collectivité's keys makes its
         backups unreadable. What is copied was opened and proved before. An object that is there is not copied
         again, unless it was written since (sealed anew); each run touches what still lives, and what no run touched
         for longer than pictures are kept goes.
Hostile: whoever can write to the backup's disk: all is proved when it is read.
Fails:   StoreFull, StoreUnavailable, ObjectDamaged, ObjectMissing.
Source:  docs/internals/drive.md, "Backup".
"""

from __future__ import annotations

import base64
import logging
import re
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from beffroi.drive.store import keys as keys_
from beffroi.drive.store.chunking import chunk_id
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.objects import LocalObjects, ObjectMissing, Objects, chunk_of, object_name
from beffroi.drive.store.sealing import HEADER_BYTES, Header, ObjectDamaged, Sealer
from beffroi.lib import durable
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id

log = logging.getLogger("beffroi.drive.backup")
VERSION = 1
PIECE_BYTES = 1 << 20
"""Fixed cuts: pages of a database stay where they are, so that the next picture shares most pieces."""
DAY_S = 86400
ALL_KEPT_S = 2 * DAY_S
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
    """``damaged``: objects that were not copied, because they do not open."""

    objects: int
    size_bytes: int
    damaged: int


def directory(config: Config) -> Path:
    """The setting, or STATE/drive-backup. Errors: SettingInvalid."""
    if config.drive_backup_path and not Path(config.drive_backup_path).is_absolute():
        raise SettingInvalid("drive_backup_path", config.state / "beffroi.toml", "must be an absolute path")
    return Path(config.drive_backup_path) if config.drive_backup_path else config.state / "drive-backup"


class Vault:
    """The backups of one collectivité."""

    def __init__(self, place: Path, keys: Keys) -> None:
        """Errors: StoreFull, StoreUnavailable."""
        self._owner, self._keys = keys.collectivite_id, keys
        self.folder = place / self._owner
        self._objects, self._sealer = LocalObjects(place / "objects"), Sealer(keys)

    # -- to the backup -----------------------------------------------------------------------------------------

    def keep_picture(
        self, metadata: Path, calendars: Path | None, *, number: int, now_s: int, proved: int | None = None
    ) -> Picture:
        """Seal the files of a picture; it is one of the backups when this returns. ``proved``: the one key that it
        needs, where that was counted; else any that there is."""
        generations = tuple(one.number for one in self._keys.generations())
        made = Picture(
            VERSION,
            self._owner,
            now_s,
            number,
            (proved,) if proved == generations[-1] else generations,
            self._sealed(metadata),
            self._sealed(calendars) if calendars is not None else None,
        )
        path = self._path(now_s)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.write(path, (msgspec.json.encode(made),), mode=0o600)
        return made

    def _sealed(self, path: Path) -> Kept:
        chunks = []
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                chunks.append(Chunk(self._kept(piece), len(piece)))
        packed = Manifest(tuple(chunks)).pack()
        name = self._named(packed)
        sealed = base64.b64encode(bytes(self._sealer.seal(name, packed))).decode()
        return Kept(path.stat().st_size, name.hex(), sealed)

    def keep_keys(self, keys_file: Path) -> None:
        durable.write(self.folder / "keys.json", (keys_file.read_bytes(),), mode=0o600)

    def copy_objects(self, source: Objects) -> Copied:
        """What is new or was sealed anew; what is there is touched."""
        objects = size_bytes = damaged = 0
        for one in source.list(self._owner):
            age_s = self._objects.age_s(one.name)
            if age_s is not None and one.age_s > age_s:
                self._objects.touch(one.name)
                continue
            try:
                data = bytes(source.get(one.name))
                self._sealer.open(chunk_of(one.name), data)
            except ObjectMissing:  # collected just now
                continue
            except ObjectDamaged:
                damaged += 1
                continue
            self._objects.put(one.name, data)
            objects, size_bytes = objects + 1, size_bytes + len(data)
        return Copied(objects, size_bytes, damaged)

    def forget(self, *, now_s: int, keep_days: int) -> None:
        """Pictures past their term, but for the newest, and objects that none of those kept can need."""
        for moment in spare([one.at_s for one in self.pictures()], now_s=now_s, keep_s=keep_days * DAY_S):
            self._path(moment).unlink()
        for one in self._objects.list(self._owner):
            if one.age_s > (keep_days + 2) * DAY_S:
                self._objects.delete(one.name)

    # -- from the backup ---------------------------------------------------------------------------------------

    def pictures(self) -> list[Picture]:
        """Oldest first; what cannot be read is none."""
        out = []
        for path in sorted((self.folder / "pictures").glob("*.json")):
            try:
                found = msgspec.json.decode(path.read_bytes(), type=Picture)
            except (OSError, msgspec.MsgspecError):
                continue
            if (
                _NAME.fullmatch(path.name)
                and found.version == VERSION
                and found.collectivite_id == self._owner
            ):
                out.append(found)
        return out

    def open_kept(self, kept: Kept, path: Path) -> None:
        """Write the file anew, each piece proved. Errors: ObjectDamaged, ObjectMissing, those of the keys."""
        name = bytes.fromhex(kept.manifest)
        packed = bytes(self._sealer.open(name, base64.b64decode(kept.sealed)))
        self._prove(name, packed)
        with path.open("xb") as file:
            for one in Manifest.unpack(packed).chunks:
                piece = bytes(self._sealer.open(one.id, self._objects.get(object_name(self._owner, one.id))))
                self._prove(one.id, piece)
                file.write(piece)

    def fetch(self, chunk: bytes) -> bytes | None:
        """A copy of an object under the key of today, unproved but for its seal: ``scrub.Copies``."""
        try:
            found = bytes(self._objects.get(object_name(self._owner, chunk)))
            return bytes(self._sealer.reseal(chunk, found) or found)
        except (ObjectMissing, ObjectDamaged):
            return None

    # -- inside ------------------------------------------------------------------------------------------------

    def _kept(self, piece: bytes) -> bytes:
        name = self._named(piece)
        place = object_name(self._owner, name)
        if self._objects.age_s(place) is not None and self._is_of_today(name, place):
            self._objects.touch(place)
        else:
            self._objects.put(place, self._sealer.seal(name, piece))
        return name

    def _is_of_today(self, name: bytes, place: str) -> bool:
        try:
            header = Header.read(name, bytes(self._objects.get_range(place, 0, HEADER_BYTES)))
        except ObjectDamaged:
            return False
        return header.generation == self._keys.current()[0]

    def _named(self, data: bytes) -> bytes:
        return chunk_id(self._keys.naming(), data)

    def _prove(self, name: bytes, data: bytes) -> None:
        if self._named(data) != name:
            raise ObjectDamaged(name)

    def _path(self, at_s: int) -> Path:
        moment = datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        return self.folder / "pictures" / f"{moment}.json"


class Copies:
    """Good copies for the scrub; none where the backup cannot be reached: a walk goes on without."""

    def __init__(self, config: Config, collectivite_id: str) -> None:
        self._config, self._owner = config, collectivite_id

    def fetch(self, chunk_id: bytes) -> bytes | None:
        try:
            return Vault(directory(self._config), Keys(self._config, self._owner)).fetch(chunk_id)
        except BeffroiError as error:
            log.error("no copies of %s: %s", self._owner, error.code)
            return None


def needed(place: Path, collectivite_id: str) -> set[int]:
    """Generations that pictures of a collectivité need; without its keys."""
    out: set[int] = set()
    for path in (place / collectivite_id / "pictures").glob("*.json"):
        try:
            out.update(msgspec.json.decode(path.read_bytes(), type=Picture).generations)
        except (OSError, msgspec.MsgspecError):
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


def adopt_keys(config: Config, collectivite_id: str, place: Path) -> bool:
    """Bring the wrapped keys back where they are lost; False where they are there. Errors: KeysErased, OSError."""
    return keys_.adopt(config, collectivite_id, (place / collectivite_id / "keys.json").read_bytes())


def erase(place: Path, collectivite_id: str) -> None:
    """Everything of a collectivité that lies here. Nothing happens where nothing is. Errors: OSError."""
    if not is_id(collectivite_id, "col"):
        return
    for folder in (place / collectivite_id, place / "objects" / collectivite_id):
        if folder.exists():
            shutil.rmtree(folder)


def owners(place: Path) -> list[str]:
    """Whose backups lie here; none where the place cannot be read."""
    try:
        return sorted(one.name for one in place.iterdir() if is_id(one.name, "col"))
    except OSError:
        return []
