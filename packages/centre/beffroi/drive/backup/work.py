"""Backups of the drive: made each ``backup_every_h``, kept ``backup_keep_days``; a collectivité comes back from one.

Process: drive-keeper makes them, in a thread; a command makes one more, or restores.
Rule:    the picture of the metadata comes first, the objects after it: what it names is collected a day later at the
         earliest. A restore brings missing objects first, then the metadata in one change; nothing is collected
         meanwhile (``collecting``).
Fails:   a collectivité that cannot be backed up is told by ``problem``; the others are.
Source:  docs/internals/drive.md, "Backup"; docs/decisions/0082-room-keys-and-backup-of-the-drive.md.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from beffroi.drive.backup import calendars, pictures, places, turns, vault
from beffroi.drive.backup.places import SETTING, open_place
from beffroi.drive.backup.vault import Copied, Picture, Vault
from beffroi.drive.calendars import homes
from beffroi.drive.store import keys, received, refs, seal_ends, seals, shares
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.keys import Keys, KeysErased, KeysMissing
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.objects import failures, object_name
from beffroi.drive.store.preparing import mark_anew
from beffroi.drive.store.stock import Stock
from beffroi.drive.store.writing import Writing
from beffroi.drive.web.sync import push
from beffroi.drive.working import Worker
from beffroi.lib import clock, json_file
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.backup")
TICK_S = 60.0
AGAIN_S = 900
LATE_AFTER_S = 26 * 3600
MOST_NAMED = 20


class NoPicture(BeffroiError):
    """No backup holds this collectivité as of that moment. Next: ./beffroi drive backup list"""

    code = "drive.backup_absent"
    http_status = 404


class State(msgspec.Struct):
    """STATE/drive/backup.json. Epoch seconds, 0 for never. ``failed``: collectivités of the last round that were not
    backed up; ``damaged``: objects that did not open; ``rotten``, ``broken``: copies, and pictures, that did not.
    ``round_s``: when all had their turn last; ``done_s``: since when none waits."""

    since_s: int = 0
    done_s: int = 0
    communes: int = 0
    failed: tuple[str, ...] = ()
    damaged: int = 0
    rotten: int = 0
    broken: int = 0
    round_s: int = 0


class Made(NamedTuple):
    """``broken``: names of pictures that cannot come back."""

    picture: Picture
    copied: Copied
    broken: tuple[str, ...]


class Restored(NamedTuple):
    """``objects``: that came back; ``lost``: that neither the store nor the backup has whole; ``unsealed``: folders
    whose seals stood, and are younger than the picture; ``uneliminated``: eliminations that are."""

    picture: Picture
    fingerprint: str
    objects: int
    lost: int
    unsealed: int = 0
    uneliminated: int = 0


def state_path(config: Config) -> Path:
    return config.state / "drive" / "backup.json"


def read_state(config: Config) -> State:
    return json_file.read(state_path(config), State) or State()


def problem(config: Config, *, now_s: int) -> str:
    """For ``status``: one sentence with the next step, or ""."""
    if error := places.away(config):
        return f"{error}. Next: docs/runbooks/restore-drive.md"
    state = read_state(config)
    late_s = now_s - (state.done_s or state.since_s)
    if state.since_s and not -LATE_AFTER_S <= late_s <= LATE_AFTER_S:
        return f"Files were not backed up for {abs(late_s) // 3600} hours. Next: ./beffroi drive backup now"
    if state.failed:
        return (
            f"Files of {len(state.failed)} collectivités were not backed up ({state.failed[0]})."
            " Look at log/drive-keeper.log. Next: ./beffroi drive backup now"
        )
    if state.rotten or state.broken:
        return (
            f"In the backup of files, {state.rotten} copies were damaged and {state.broken} moments cannot come back."
            " log/drive-keeper.log names them. Next: look at that disk (docs/runbooks/restore-drive.md)"
        )
    return ""


def advice(config: Config) -> str:
    """For ``status`` and ``check``: what is not wrong by itself, and will be when a disk breaks; or ""."""
    try:
        if not open_place(config).shares_disk(config):
            return ""
    except BeffroiError:
        return ""  # ``problem`` says it
    return (
        "Backups of files lie on the disk of the files themselves: one broken disk takes both. Next: name another disk,"
        f" or a bucket, in {SETTING} of {config.state / 'beffroi.toml'} (docs/runbooks/restore-drive.md)"
    )


def needed(config: Config, collectivite_id: str) -> set[int]:
    """Keys that pictures of a collectivité need. Errors: NoPicture where there are none although backups are made: the
    place may not be mounted; StoreUnavailable."""
    found = vault.needed(open_place(config), collectivite_id)
    if not found and read_state(config).done_s:
        raise NoPicture
    return found


class Backups(Worker):
    def __init__(self, config: Config, communes: Communes) -> None:
        """Errors: SettingInvalid, StoreUnavailable."""
        super().__init__("drive-backup")
        self._config, self._communes = config, communes
        self.place = open_place(config)
        self._objects = open_objects(config)
        self._kept: dict[str, int] = {}
        self._tried_s = 0

    def _run(self) -> None:
        while not self._stopped.wait(TICK_S):
            self.guarded(lambda: self.turn(now_s=clock.paced_s()))

    def turn(self, *, now_s: int) -> None:
        """What is due: a round, or those that failed in it once more."""
        state = read_state(self._config)
        if not state.since_s:
            state.since_s = now_s
            self._keep(state)
        self.keep_new_keys()
        if 0 <= now_s - self._tried_s < AGAIN_S:
            return
        last_s = state.round_s or state.done_s
        if not 0 <= now_s - last_s < self._config.backup_every_h * 3600:
            self._tried_s = now_s
            self.round()
        elif state.failed:
            self._tried_s = now_s
            self.round(state.failed if len(state.failed) < MOST_NAMED else None)

    def round(self, only: Collection[str] | None = None) -> State:
        """All collectivités once, or some again; what was erased is erased here, too."""
        failed: list[str] = []
        done = damaged = rotten = broken = 0
        ids, began_s = set(self._communes.ids()), clock.paced_s()
        for collectivite_id in sorted(ids | set(self._owners()) if only is None else ids.intersection(only)):
            if self._stopped.is_set():
                break
            try:
                if keys.is_erased(self._config.state / "drive" / collectivite_id):
                    for _ in self.place.erase(collectivite_id):
                        pass
                elif collectivite_id in ids:
                    made = self.back_up(collectivite_id)
                    damaged, rotten = damaged + made.copied.damaged, rotten + made.copied.rotten
                    broken, done = broken + len(made.broken), done + 1
            except BeffroiError as error:
                folder = self._config.state / "drive" / collectivite_id
                if isinstance(error, KeysMissing) and not keys.were_made(folder):
                    continue  # calendars alone: nothing is sealed yet
                log.error("%s: %s: %s", collectivite_id, error.code, error)
                failed.append(collectivite_id)
            except Exception as error:  # noqa: BLE001 - the thread's outermost place: the others are backed up all the same
                log.error("%s: %s", collectivite_id, type(error).__name__)
                failed.append(collectivite_id)
        before = read_state(self._config)
        state = State(
            before.since_s or clock.paced_s(),
            before.done_s,
            done,
            tuple(failed[:MOST_NAMED]),
            damaged,
            rotten,
            broken,
            began_s,
        )
        if only is not None:  # beside what the round before found
            state.communes += before.communes
            state.damaged += before.damaged
            state.rotten += before.rotten
            state.broken += before.broken
            state.round_s = before.round_s
        if self._stopped.is_set():
            state.round_s = before.round_s
        elif not failed:
            state.done_s = clock.paced_s() if only is None else before.round_s
        self._keep(state)
        return state

    def keep_new_keys(self) -> None:
        """What was sealed by a key since the last backup opens by no older copy of the keys."""
        for collectivite_id in self._communes.ids():
            try:
                found = (self._config.state / "drive" / collectivite_id / "keys.json").stat()
                if self._kept.get(collectivite_id) != found.st_mtime_ns:
                    places.begin(self._config)
                    Vault(self.place, Keys(self._config, collectivite_id)).keep_keys()
                    self._kept[collectivite_id] = found.st_mtime_ns
            except (BeffroiError, OSError) as error:
                log.debug("%s: %s", collectivite_id, type(error).__name__)  # the next backup says it

    def back_up(self, collectivite_id: str) -> Made:
        """One more picture of a collectivité. Errors: those of metadata, keys, objects; PlaceAway, StoreFull."""
        now_s = clock.paced_s()
        places.begin(self._config)
        if vault.adopt_keys(self._config, collectivite_id, self.place):
            log.error("%s: its keys were lost or damaged, and came back from the backup", collectivite_id)
        made = Vault(self.place, Keys(self._config, collectivite_id))
        with turns.draft(self._config, collectivite_id) as draft:
            made.keep_keys()
            metadata, archive = draft / "metadata", draft / "calendars"
            number = pictures.take(self._communes.metadata(collectivite_id), metadata)
            with failures():
                has_calendars = calendars.take(self._config, collectivite_id, archive)
            ages = made.ages()
            copied = made.copy_objects(self._objects, ages)
            picture = made.keep_picture(
                metadata,
                archive if has_calendars else None,
                number=number,
                now_s=now_s,
                ages=ages,
                proved=pictures.proved_key(metadata),
            )
            broken = made.broken(ages)
            made.forget(ages, now_s=now_s, keep_days=self._config.backup_keep_days)
        if copied.damaged:
            log.error("%s: %d objects do not open and were not backed up", collectivite_id, copied.damaged)
        for name in broken:
            log.error("%s: the picture %s cannot come back", collectivite_id, name)
        return Made(picture, copied, tuple(broken))

    def _owners(self) -> list[str]:
        try:
            return self.place.owners()
        except BeffroiError:
            return []  # each of them says it itself

    def restore(
        self, collectivite_id: str, *, at_s: int | None = None, with_calendars: bool = False
    ) -> Restored:
        """All files as in the newest picture, or the newest up to a moment. Calendars come back where there are none
        any more, or where it is asked for.

        Errors: NoPicture, KeysErased, FormatUnknown, ObjectDamaged, ObjectMissing (of the picture itself), StoreFull,
        Unavailable.
        """
        if keys.is_erased(self._config.state / "drive" / collectivite_id):
            raise KeysErased(collectivite_id)
        vault.adopt_keys(self._config, collectivite_id, self.place, replaces=True)
        made = Vault(self.place, Keys(self._config, collectivite_id))
        picture = chosen(made.pictures(), at_s)
        with turns.draft(self._config, collectivite_id) as draft:
            metadata, archive = draft / "metadata", draft / "calendars"
            made.open_kept(picture.metadata, metadata)
            pictures.bring_forward(metadata)
            there = (homes.folder(self._config, collectivite_id) / homes.ROOT).is_dir()
            brings = picture.calendars is not None and (with_calendars or not there)
            if picture.calendars is not None and brings:
                made.open_kept(picture.calendars, archive)
            with turns.collecting(self._config, collectivite_id):
                objects, lost = self._bring(collectivite_id, made, metadata)
                database = self._communes.metadata(collectivite_id, begins=True)
                fingerprint, *ended = database.write(partial(_load, path=metadata, lost=lost))
            if brings:
                with failures():
                    calendars.load(self._config, collectivite_id, archive)
        self._mark_receivers(collectivite_id)
        push.tell(self._config.run, collectivite_id)
        return Restored(picture, fingerprint, objects, sum(lost.values()), *ended)

    def _mark_receivers(self, owner: str) -> None:
        """Devices of collectivités with which something of this one is shared see that it came back, too: the root at
        which they look for that is their own."""
        for one in self._communes.ids():
            try:
                database = self._communes.metadata(one)
                with database.reading() as reading:
                    theirs = received.every(reading)
                if any((share.owner, share.state) == (owner, "accepted") for share in theirs):
                    database.write(mark_anew)
            except BeffroiError as error:
                log.error("%s: its devices do not hear that %s came back: %s", one, owner, error.code)

    def _bring(self, collectivite_id: str, made: Vault, picture: Path) -> tuple[int, dict[bytes, bool]]:
        """(how many objects came back, chunks that are lost and whether a content needs them): what was loose may have
        been collected between the picture and the copies of its objects."""
        stock = Stock(collectivite_id, Keys(self._config, collectivite_id), self._objects)
        objects, lost = 0, dict[bytes, bool]()
        for chunk, length, is_needed in pictures.chunks_in_objects(picture):
            if self._objects.exists(object_name(collectivite_id, chunk)):
                continue
            copy = made.fetch(chunk)
            if copy is None or stock.judge(chunk, length, copy) != "sound":
                lost[chunk] = is_needed
                continue
            stock.replace(chunk, copy)
            objects += 1
        return objects, lost

    def _keep(self, state: State) -> None:
        try:
            json_file.write(state_path(self._config), state)
        except OSError as error:  # a full disk: what was backed up is, and the next round says so
            log.error("the state of the backups is not written down: %s", error.strerror)


def _load(writing: Writing, path: Path, lost: Collection[bytes]) -> tuple[str, int, int]:
    """(fingerprint, seals that stand no more, eliminations that are known no more): a way back shortens no term,
    and opens no link that was ended. Devices send what they have from here on: what is ``lost`` is taken from them."""
    before, eliminated, shared = seals.terms(writing), seal_ends.every(writing), shares.every(writing)
    offered = received.every(writing)
    fingerprint = pictures.load(writing, path)
    shares.keep_shut(writing, shared, now_s=clock.epoch_s())
    received.keep_forgotten(writing, offered)
    refs.doubt(writing, lost)
    return fingerprint, seals.keep_terms(writing, before), len(eliminated - seal_ends.every(writing))


def chosen(made: list[Picture], at_s: int | None = None) -> Picture:
    """The newest up to a moment; a picture of a clock that ran ahead is none unless it is asked for, or the only one.

    Errors: NoPicture.
    """
    until_s = clock.paced_s() + 3600 if at_s is None else at_s
    fitting = [one for one in made if one.at_s <= until_s] or (made if at_s is None else [])
    if not fitting:
        raise NoPicture
    return fitting[-1]
