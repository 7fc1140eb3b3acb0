"""A device is taken back from its first sign on, whatever the clock says meanwhile."""

from __future__ import annotations

import pytest
from beffroi.drive import alarms, recovery
from beffroi.drive.sentry import Sentry
from beffroi.drive.store import look, tree
from beffroi.drive.store.model import Act
from beffroi.drive.store.stock import stocks
from beffroi.drive.upkeep import DAY_S
from beffroi.lib import clock

from tests import drive_attacks
from tests.drive_files import OFFICE, made
from tests.drive_place import Place, place

__all__ = ["place"]
FILES = 12
EVIL = "app_evil"
YEAR_S = 365 * DAY_S


class Attacked:
    """A device that did honest work and then encrypts one file after the other, each judged before the next."""

    def __init__(self, place: Place) -> None:
        self.place, self.encrypted = place, 0
        self.sentry = Sentry(place.communes, stocks(place.config), lambda *_: None, lambda _: None)
        self.files = {
            f"{n}.{OFFICE[n % len(OFFICE)]}": made(OFFICE[n % len(OFFICE)], n) for n in range(FILES)
        }
        for name, data in self.files.items():
            self.put(name, data, "app_colleague")
        self.put("travail.txt", b"first", "app_colleague", ago_s=120)
        self.put("travail.txt", b"honest work", EVIL, ago_s=60)

    def put(self, name: str, data: bytes, device: str, ago_s: int = 0) -> None:
        taken, root = self.place.taken(data), self.place.root()
        act = Act("per_a", device, clock.epoch_s() - ago_s)
        self.place.database.write(lambda w: tree.put(w, act, root.id, name, taken))

    def encrypt(self, most: int = FILES) -> None:
        """Until it is stopped, or so many."""
        for name in list(self.files)[self.encrypted :][:most]:
            self.put(name, drive_attacks.full(self.files[name], self.encrypted), EVIL)
            self.encrypted += 1
            while self.sentry.judge(self.place.owner) == 0.0:
                pass
            with self.place.database.reading() as reading:
                if alarms.stopped(reading):
                    return

    def digests(self) -> dict[str, str]:
        root = self.place.root().id
        with self.place.database.reading() as reading:
            return {one.name: one.sha256 for one in look.children(reading, root)}


@pytest.mark.parametrize("jumps_s", [(YEAR_S,), (-YEAR_S,), (YEAR_S, -YEAR_S), (-YEAR_S, YEAR_S)])
def test_a_clock_that_jumps_in_mid_attack_takes_back_neither_less_nor_more(
    place: Place, jumps_s: tuple[int, ...]
) -> None:
    attacked = Attacked(place)
    before = attacked.digests()
    clock.paced()
    attacked.encrypt(1)
    for jump_s in jumps_s:
        with clock.jumped(jump_s):
            attacked.encrypt(1)
    with clock.jumped(sum(jumps_s)):
        attacked.encrypt()
        assert attacked.encrypted < FILES, "stopped"
        with place.database.reading() as reading:
            (line,) = recovery.preview(reading, EVIL)
        assert line.reverted == attacked.encrypted
        act = Act("per_referent", "", clock.epoch_s())
        over = recovery.carry_out(place.database, act, EVIL)
    assert (over.state, over.done, over.missed) == ("restored", attacked.encrypted, 0)
    assert attacked.digests() == before
