"""Backups of the drive: made each ``backup_every_h``, kept ``backup_keep_days``; a collectivité comes back from one.

Process: drive-keeper makes them, in a thread; a command makes one more, or restores.
Rule:    the picture of the metadata comes first, the objects after it: what it names is collected a day later at the
         earliest. A restore brings missing objects first, then the metadata in one change; nothing is collected
         meanwhile (``collecting``).
Fails:   a collectivité that cannot be backed up is told by ``problem``; the others are.
Source:  docs/internals/drive.md, "Backup"; docs/decisions/0082-room-keys-and-backup-of-the-drive.md.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from beffroi.drive.backup import calendars, pictures, vault
from beffroi.drive.backup.vault import Copied, Picture, Vault
from beffroi.drive.calendars import homes
from beffroi.drive.store import keys
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.keys import Keys, KeysErased, KeysMissing
from beffroi.drive.store.objects import object_name, open_objects
from beffroi.drive.store.stock import Stock
from beffroi.drive.web.sync import push
from beffroi.drive.working import Worker
from beffroi.lib import clock, durable
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.backup")
TICK_S = 60.0
AGAIN_S = 900
LATE_AFTER_S = 26 * 3600
_DRAFT = ".picture-"


class NoPicture(BeffroiError):
    """No backup holds this collectivité as of that moment. Next: ./beffroi drive backup list"""

    code = "drive.backup_absent"
    http_status = 404


class State(msgspec.Struct):
    """STATE/drive/backup.json. Epoch seconds, 0 for never. ``failed``: collectivités of the last round that were not
    backed up; ``damaged``: objects that did not open."""

    since_s: int = 0
    done_s: int = 0
    communes: int = 0
    failed: tuple[str, ...] = ()
    damaged: int = 0


class Restored(NamedTuple):
    """``objects``: that came back; ``lost``: that neither the store nor the backup has whole."""

    picture: Picture
    fingerprint: str
    objects: int
    lost: int


def state_path(config: Config) -> Path:
    return config.state / "drive" / "backup.json"


def read_state(config: Config) -> State:
    try:
        return msgspec.json.decode(state_path(config).read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError):
        return State()


def problem(config: Config, *, now_s: int) -> str:
    """For ``status``: one sentence with the next step, or ""."""
    state = read_state(config)
    late_s = now_s - max(state.done_s, state.since_s)
    if state.since_s and late_s > LATE_AFTER_S:
        return f"Files were not backed up for {late_s // 3600} hours. Next: ./beffroi drive backup now"
    if state.failed:
        return (
            f"Files of {len(state.failed)} collectivités were not backed up ({state.failed[0]})."
            " Look at log/drive-keeper.log. Next: ./beffroi drive backup now"
        )
    return ""


@contextmanager
def collecting(config: Config, collectivite_id: str) -> Iterator[None]:
    """Alone with a collectivité's objects: nobody collects and nobody restores meanwhile. Errors: OSError."""
    with _alone(config.state / "drive" / collectivite_id, "collect.lock"):
        yield


@contextmanager
def backing_up(config: Config, collectivite_id: str) -> Iterator[None]:
    """Alone with a collectivité's backups. Errors: OSError."""
    with _alone(config.state / "drive" / collectivite_id, "backup.lock"):
        yield


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / name).open("a") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


class Backups(Worker):
    def __init__(self, config: Config, communes: Communes) -> None:
        """Errors: SettingInvalid, StoreUnavailable."""
        super().__init__("drive-backup")
        self._config, self._communes = config, communes
        self.place = vault.directory(config)
        self._objects = open_objects(config)

    def _run(self) -> None:
        tried_s = 0
        while not self._stopped.wait(TICK_S):
            now_s = clock.epoch_s()
            if 0 <= now_s - tried_s < AGAIN_S:
                continue
            try:
                state = read_state(self._config)
                if not state.since_s:
                    state.since_s = now_s
                    self._keep(state)
                if state.failed or now_s - state.done_s >= self._config.backup_every_h * 3600:
                    tried_s = now_s
                    self.round()
            except Exception:  # a thread that ended would say nothing until it is late
                log.exception("no backup this time")

    def round(self) -> State:
        """All collectivités once; what was erased is erased here, too."""
        failed: list[str] = []
        damaged = done = 0
        ids = set(self._communes.ids())
        for collectivite_id in sorted(ids | set(vault.owners(self.place))):
            if self._stopped.is_set():
                break
            try:
                if keys.is_erased(self._config.state / "drive" / collectivite_id):
                    vault.erase(self.place, collectivite_id)
                elif collectivite_id in ids:
                    damaged += self.back_up(collectivite_id)[1].damaged
                    done += 1
            except KeysMissing:
                continue  # calendars alone: nothing is sealed yet
            except Exception as error:  # noqa: BLE001 - the thread's outermost place: the others are backed up all the same
                log.error("%s: %s", collectivite_id, getattr(error, "code", type(error).__name__))
                failed.append(collectivite_id)
        before = read_state(self._config)
        state = State(before.since_s or clock.epoch_s(), before.done_s, done, tuple(failed[:20]), damaged)
        if not failed and not self._stopped.is_set():
            state.done_s = clock.epoch_s()
        self._keep(state)
        return state

    def back_up(self, collectivite_id: str) -> tuple[Picture, Copied]:
        """One more picture of a collectivité. Errors: those of metadata, keys, objects; StoreFull."""
        made, now_s = self._vault(collectivite_id), clock.epoch_s()
        with self._draft(collectivite_id) as draft:
            metadata, archive = draft / "metadata", draft / "calendars"
            number = pictures.take(self._communes.metadata(collectivite_id), metadata)
            has_calendars = calendars.take(self._config, collectivite_id, archive)
            copied = made.copy_objects(self._objects)
            made.keep_keys(self._config.state / "drive" / collectivite_id / "keys.json")
            picture = made.keep_picture(
                metadata,
                archive if has_calendars else None,
                number=number,
                now_s=now_s,
                proved=pictures.proved_key(metadata),
            )
        made.forget(now_s=now_s, keep_days=self._config.backup_keep_days)
        if copied.damaged:
            log.error("%s: %d objects do not open and were not backed up", collectivite_id, copied.damaged)
        return picture, copied

    def restore(
        self, collectivite_id: str, *, at_s: int | None = None, with_calendars: bool = False
    ) -> Restored:
        """All files as in the newest picture, or the newest up to a moment. Calendars come back where there are none
        any more, or where it is asked for.

        Errors: NoPicture, KeysErased, ObjectDamaged, ObjectMissing (of the picture itself), StoreFull, Unavailable.
        """
        if keys.is_erased(self._config.state / "drive" / collectivite_id):
            raise KeysErased(collectivite_id)
        if vault.needed(self.place, collectivite_id):
            vault.adopt_keys(self._config, collectivite_id, self.place)
        made = self._vault(collectivite_id)
        fitting = [one for one in made.pictures() if at_s is None or one.at_s <= at_s]
        if not fitting:
            raise NoPicture
        picture = fitting[-1]
        with self._draft(collectivite_id) as draft:
            metadata, archive = draft / "metadata", draft / "calendars"
            made.open_kept(picture.metadata, metadata)
            with collecting(self._config, collectivite_id):
                objects, lost = self._bring(collectivite_id, made, metadata)
                database = self._communes.metadata(collectivite_id)
                fingerprint = database.write(lambda writing: pictures.load(writing, metadata))
            there = (homes.folder(self._config, collectivite_id) / homes.ROOT).is_dir()
            if picture.calendars is not None and (with_calendars or not there):
                made.open_kept(picture.calendars, archive)
                calendars.load(self._config, collectivite_id, archive)
        push.tell(self._config.run, collectivite_id)
        return Restored(picture, fingerprint, objects, lost)

    def _bring(self, collectivite_id: str, made: Vault, picture: Path) -> tuple[int, int]:
        stock = Stock(collectivite_id, Keys(self._config, collectivite_id), self._objects)
        objects = lost = 0
        for chunk, length in pictures.chunks_in_objects(picture):
            if self._objects.exists(object_name(collectivite_id, chunk)):
                continue
            copy = made.fetch(chunk)
            if copy is None or stock.judge(chunk, length, copy) != "sound":
                lost += 1
                continue
            stock.replace(chunk, copy)
            objects += 1
        return objects, lost

    @contextmanager
    def _draft(self, collectivite_id: str) -> Iterator[Path]:
        """A directory beside the metadata, never on the backup's disk: it has names of files in clear. One at a time;
        what a kill left goes."""
        folder = self._config.state / "drive" / collectivite_id
        with backing_up(self._config, collectivite_id):
            for left in folder.glob(f"{_DRAFT}*"):
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=folder) as draft:
                yield Path(draft)

    def _vault(self, collectivite_id: str) -> Vault:
        found = Vault(self.place, Keys(self._config, collectivite_id))
        found.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return found

    def _keep(self, state: State) -> None:
        durable.write(state_path(self._config), (msgspec.json.encode(state),), mode=0o600)
