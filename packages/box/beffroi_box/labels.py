"""Opaque names of LAN machines: what the centre and reports call a PC whose address never leaves the box.

Purpose: an alarm says ``poste-7KQ2A``; ``beffroi-box status --machines`` tells which machine that was, and the local
         page tells a machine its own labels, so that somebody on the spot finds it.
Process: the agent writes STATE/labels.json (0600, root): label -> address, MAC, name, time; 30 days.
Privacy: the label is a keyed hash (this box's own key): the centre cannot compute an address from it. Only machines
         that an alarm names or that called a command server are kept.
Fails:   a full disk keeps the label in memory; a lost file means that old labels tell nothing any more.
"""

from __future__ import annotations

import hmac
import logging
import threading
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi_box.neighbours import is_own, mac_of, name_of
from beffroi_box.store import read_checked, write_checked

log = logging.getLogger("beffroi_box.labels")

KEPT_S = 30 * 86400
MOST = 500
AGAIN_S, MOST_NAMED = 60, 100
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Machine(msgspec.Struct, frozen=True):
    """``address``: of the LAN; ``at``: when an alarm named it last, trusted epoch seconds. ``mac``, ``name`` (told to
    the box's DHCP server): "" where the box does not know."""

    address: str
    at: int
    mac: str = ""
    name: str = ""


class Labels:
    def __init__(self, state: Path, key: bytes) -> None:
        self._path = state / "labels.json"
        self._key = key
        self._lock = threading.Lock()
        self._machines = read(state)
        self._named: dict[str, tuple[str, int]] = {}

    def of(self, address: str, *, now: int) -> str:
        """Return the label of a machine that an alarm names, and remember whose it is. ``address``: of IP, or the MAC
        where nothing else tells who it is. "" for the box itself, which
        calls nobody, and for one more than MOST_NAMED within AGAIN_S: who forges addresses pushes nobody out."""
        with self._lock:
            label, at = self._named.get(address, ("", now - AGAIN_S))
            if now - at < AGAIN_S:
                return label
            if len(self._named) >= MOST_NAMED:
                self._named = {one: known for one, known in self._named.items() if now - known[1] < AGAIN_S}
                if len(self._named) >= MOST_NAMED:
                    return ""
            label = "" if is_own(address) else self._remembered(address, now)
            self._named[address] = label, now
            return label

    def _remembered(self, address: str, now: int) -> str:
        digest = int.from_bytes(hmac.digest(self._key, b"label\n" + address.encode(), "sha256")[:5])
        label = "poste-" + "".join(_ALPHABET[digest >> (5 * n) & 31] for n in range(5))
        known = self._machines.get(label)
        mac = mac_of(address) or (known.mac if known else "")
        name = name_of(address, mac) or (known.name if known else "")
        self._machines[label] = Machine(address, now, mac, name)
        self._machines = _fresh(self._machines, now)
        self._keep()
        return label

    def named(self, address: str) -> list[str]:
        """The labels of the machine that has this address now; a machine has one for each address that it had."""
        with self._lock:
            if not self._machines:
                return []
            mac = mac_of(address)
            found = [
                label
                for label, one in self._machines.items()
                if (one.mac == mac if one.mac and mac else one.address == address)
            ]
            return sorted(found, key=lambda label: -self._machines[label].at)

    def forget(self, *, now: int) -> None:
        """Forget who was named longer ago than 30 days; a town hall without alarms forgets too."""
        with self._lock:
            fresh = _fresh(self._machines, now)
            if len(fresh) != len(self._machines):
                self._machines = fresh
                self._keep()

    def _keep(self) -> None:
        try:
            write_checked(self._path, msgspec.json.encode(self._machines))
            # The copy before holds who should be forgotten by now.
            self._path.with_name(self._path.name + ".previous").unlink(missing_ok=True)
        except OSError as error:
            log.warning("labels stay in memory: %s", error.strerror)


def _fresh(machines: dict[str, Machine], now: int) -> dict[str, Machine]:
    latest = sorted(machines.items(), key=lambda pair: -pair[1].at)[:MOST]
    return {label: one for label, one in latest if now - one.at < KEPT_S}


def read(state: Path) -> dict[str, Machine]:
    """Return label -> machine."""
    try:
        return msgspec.json.decode(read_checked(state / "labels.json") or b"{}", type=dict[str, Machine])
    except UNDECODABLE:
        return {}
