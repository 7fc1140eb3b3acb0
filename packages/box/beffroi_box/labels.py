"""Opaque names of LAN machines: what the centre and reports call a PC whose address never leaves the box.

Purpose: an alarm says ``poste-7KQ2``; only the box's local page tells which address that was.
Process: the agent writes, the local page reads STATE/labels.json (0600): label -> address and time, 30 days.
Privacy: the label is a keyed hash (this box's own key): the centre cannot compute an address from it.
Fails:   a full disk keeps the label in memory; a lost file means that old labels tell nothing any more.
"""

from __future__ import annotations

import hmac
import logging
import threading
from pathlib import Path

import msgspec

from beffroi_box.store import read_checked, write_checked

log = logging.getLogger("beffroi_box.labels")

KEPT_S = 30 * 86400
MOST = 500
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Machine(msgspec.Struct, frozen=True):
    """``address``: of the LAN; ``at``: when an alarm named it last, trusted epoch seconds."""

    address: str
    at: int


class Labels:
    def __init__(self, state: Path, key: bytes) -> None:
        self._path = state / "labels.json"
        self._key = key
        self._lock = threading.Lock()
        self._machines = read(state)

    def of(self, address: str, *, now: int) -> str:
        """Return the label of a machine that an alarm names, and remember whose it is."""
        digest = int.from_bytes(hmac.digest(self._key, b"label\n" + address.encode(), "sha256")[:5])
        label = "poste-" + "".join(_ALPHABET[digest >> (5 * n) & 31] for n in range(5))
        with self._lock:
            known = self._machines.get(label)
            if known is None or known.address != address or now - known.at >= 60:
                self._machines[label] = Machine(address, now)
                fresh = sorted(self._machines.items(), key=lambda pair: -pair[1].at)[:MOST]
                self._machines = {name: one for name, one in fresh if now - one.at < KEPT_S}
                try:
                    write_checked(self._path, msgspec.json.encode(self._machines))
                except OSError as error:
                    log.warning("labels stay in memory: %s", error.strerror)
        return label


def read(state: Path) -> dict[str, Machine]:
    """Return label -> machine."""
    try:
        return msgspec.json.decode(read_checked(state / "labels.json") or b"{}", type=dict[str, Machine])
    except msgspec.MsgspecError:
        return {}
