"""Replaces the keys of files as they age, or as somebody asked, collectivité after collectivité, without haste.

Process: drive-keeper, one thread. ``drive_key_days`` says how old a key may be, ``drive_reseal_mib_s`` how much is
         sealed a second. A command or the console asks by ``Keys.rotate``; this thread finds it within a minute.
Rule:    the outbox hears of a key before it is made or destroyed; cut off in between, perhaps twice.
Fails:   a collectivité whose store or metadata do not answer waits for the next minute; nothing is lost by that.
Source:  store/resealing.py; docs/internals/drive.md, "Replacing a key".
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from beffroi.drive.store.commune import Communes
from beffroi.drive.store.keys import Keys, KeysErased, KeysMissing
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.resealing import Resealing, Step
from beffroi.drive.store.stock import Stock
from beffroi.drive.telling import Tell
from beffroi.drive.working import Worker
from beffroi.lib import clock, json_file
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.renewal")
LOOK_S = 60.0
DAY_S = 86400


class Going(msgspec.Struct, frozen=True):
    """One collectivité whose key is being replaced, for ``status``."""

    collectivite_id: str
    phase: str
    done: int
    total: int


class Report(msgspec.Struct, frozen=True):
    """STATE/drive/renewals.json."""

    going: tuple[Going, ...] = ()


def report_path(config: Config) -> Path:
    return config.state / "drive" / "renewals.json"


def read_report(config: Config) -> Report:
    return json_file.read(report_path(config), Report) or Report()


def sentence(config: Config) -> str:
    """For ``status``; "" while no key is being replaced."""
    going = read_report(config).going
    if not going:
        return ""
    done, total = sum(one.done for one in going), sum(one.total for one in going)
    stuck = sum(one.phase == "unreadable" for one in going)
    return (
        f"Keys of files are being replaced: {len(going)} collectivités, {done} of {total} chunks of this walk."
        + (f" In {stuck}, damaged files keep the old key." if stuck else "")
    )


class Renewal(Worker):
    def __init__(
        self,
        config: Config,
        communes: Communes,
        tell: Tell = lambda kind, collectivite_id, payload: None,
        needed: Callable[[str], set[int]] = lambda collectivite_id: set(),
    ) -> None:
        """``needed``: generations that backups of a collectivité hold. Errors: SettingInvalid, StoreUnavailable."""
        super().__init__("drive-renewal")
        self._config, self._communes, self._tell, self._needed = config, communes, tell, needed
        self._objects = open_objects(config)
        self._keys: dict[str, Keys] = {}
        self._told: set[tuple[str, str, int]] = set()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_S):
            self.guarded(self.round)

    def round(self) -> None:
        """One step of each collectivité, again and again until all rest."""
        waiting = self._communes.ids()
        going: dict[str, Going] = {}
        while waiting and not self._stopped.is_set():
            again = []
            for collectivite_id in waiting:
                step = self._stepped(collectivite_id)
                going.pop(collectivite_id, None)
                if step is None:
                    continue
                if (one := step.progress) is not None:
                    going[collectivite_id] = Going(collectivite_id, one.phase, one.done, one.total)
                if not step.rests:
                    again.append(collectivite_id)
                self._stopped.wait(step.size_bytes / (self._config.drive_reseal_mib_s << 20))
                if self._stopped.is_set():
                    break
            waiting = again
            self._report(list(going.values()))
        self._report(list(going.values()))

    def _stepped(self, collectivite_id: str) -> Step | None:
        try:
            return self.step(collectivite_id)
        except (KeysMissing, KeysErased):
            return None
        except BeffroiError as error:
            log.error("%s: its key waits: %s", collectivite_id, error.code)
        except Exception:  # the thread's outermost place: one collectivité stops it for no other
            log.exception("%s: its key waits", collectivite_id)
        return None

    def step(self, collectivite_id: str) -> Step:
        """Errors: those of the keys, of the metadata, of the objects."""
        keys = self._keys.setdefault(collectivite_id, Keys(self._config, collectivite_id))
        self._age(keys)
        generations = keys.generations()
        if len(generations) < 2:
            keys.destroy_before(generations[-1].number)  # what a kill left of the file before
            return Step(None, rests=True)
        stock = Stock(collectivite_id, keys, self._objects)
        database = self._communes.metadata(collectivite_id)
        work = Resealing(
            database,
            stock,
            keys,
            lambda: self._needed(collectivite_id),
            lambda one: self._tell_once("drive:key_destroyed", collectivite_id, one.number),
        )
        step = work.step(now_s=clock.paced_s())
        for one in step.destroyed:
            log.info("%s: key %d is destroyed", collectivite_id, one.number)
        return step

    def _age(self, keys: Keys) -> None:
        generations = keys.generations()
        made_s = datetime.fromisoformat(generations[-1].made_at).timestamp()
        if len(generations) == 1 and clock.paced_s() - made_s > self._config.drive_key_days * DAY_S:
            number = generations[-1].number
            self._tell_once("drive:key_added", keys.collectivite_id, number + 1)
            keys.rotate(after=number)

    def _tell_once(self, event: str, collectivite_id: str, generation: int) -> None:
        """What it announces may fail, and is tried again each minute."""
        said = event, collectivite_id, generation
        if said not in self._told:
            self._tell(event, collectivite_id, {"generation": generation})
            self._told.add(said)

    def _report(self, going: list[Going]) -> None:
        report = Report(tuple(going))
        if read_report(self._config) != report:
            try:
                json_file.write(report_path(self._config), report)
            except OSError as error:  # a full disk ends no thread
                log.error("how far keys are is not written down: %s", error.strerror)
