"""What a change of software leaves on disk: the plan of the update under way, the floor, the packages.

Process: root; the agent's updater and the installer, which never run at the same step of a plan.
Fails:   what cannot be read counts as absent; the floor never falls.
"""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec

from beffroi_box.errors import BoxError
from beffroi_box.store import read_checked, write_checked

PACKAGE = "beffroi-box"
AGAIN = "again"


class UpdateFailed(BoxError):
    """The software could not be changed: {}"""

    code = "box.update_failed"


class Plan(msgspec.Struct, frozen=True):
    """An update under way; ``outcome`` "" until it is decided, AGAIN for an attempt that proved nothing, with a
    ``reason`` where it did not come to one."""

    number: int
    version: str
    outcome: str = ""
    reason: str = ""
    tries: int = 0


def unwritable(error: OSError) -> str:
    """In the words that the centre knows."""
    return f"it cannot be written here: {errno.errorcode.get(error.errno or 0, type(error).__name__)}"


class Shelf:
    """STATE/software: the floor, the plan, the packages."""

    def __init__(self, state: Path) -> None:
        self.place = state / "software"
        self.next = self.place / "next.deb"
        self.former = self.place / "former.deb"

    def make(self) -> None:
        """Errors: OSError."""
        self.place.mkdir(mode=0o700, exist_ok=True)

    def floor(self) -> int:
        """The highest number that was ever tried here, 0 for none."""
        text = read_checked(self.place / "floor")
        return int(text) if text is not None and text.isdigit() else 0

    def raise_floor(self, number: int) -> None:
        """Errors: OSError."""
        if number > self.floor():
            self.make()
            write_checked(self.place / "floor", str(number).encode())

    def plan(self) -> Plan | None:
        data = read_checked(self.place / "plan")
        return msgspec.json.decode(data, type=Plan) if data is not None else None

    def save_plan(self, plan: Plan) -> None:
        write_checked(self.place / "plan", msgspec.json.encode(plan))

    def clear(self) -> None:
        """The plan goes last: a package of before that were left alone would pass for what runs now."""
        for path in (self.next, self.former, self.place / "plan.previous", self.place / "plan"):
            path.unlink(missing_ok=True)
