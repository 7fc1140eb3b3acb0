"""The login door: is this address refused at sign-in?

Purpose: the portal asks ``blocked_address`` at every sign-in; the answer comes from memory.
Process: each web process; one thread follows the feed over STATE/run/stream.sock.
Input:   the address is hostile (a client's); what cannot be read as an address matches nothing.
Fails:   open for an empty table, never for a stale one: the last list stays in force. Before the first
         sign-in after a start the saved state of STATE/doors/login is loaded.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.messages import Entry
from beffroi_protocol.table import every_overlay

from beffroi.core.planes.follower import Follower, door_follower
from beffroi.lib.config import SettingInvalid, load

CHANNELS = ("login", every_overlay("login"))

_lock = threading.Lock()
_follower: Follower | None = None
_owner_pid = 0


def blocked_address(address: str, collectivites: Iterable[str] = ()) -> Entry | None:
    """Return the active entry that refuses this IPv4 or IPv6 address, or None.

    ``collectivites``: those of the person who signs in, where known; an exception counts when all of them made it.
    """
    follower = start()
    if follower is None:
        return None
    try:
        return follower.match_address(address, collectivites)
    except IndicatorInvalid:
        return None


def some_allow(address: str) -> bool:
    """Whether any collectivité lets this address through, so that one must know first who signs in."""
    follower = start()
    try:
        return follower is not None and follower.some_allow(address)
    except IndicatorInvalid:
        return False


def start() -> Follower | None:
    """Start following once in this process (and again after a fork). None where no feed was ever set up."""
    global _follower, _owner_pid  # noqa: PLW0603 - one door a process
    with _lock:
        if _follower is None or _owner_pid != os.getpid():
            try:
                _follower = door_follower(load(), door="login", channels=CHANNELS)
            except SettingInvalid:
                return None
            _owner_pid = os.getpid()
            _follower.start()
        return _follower


def stop() -> None:
    """Stop following: for tests."""
    global _follower  # noqa: PLW0603 - one door a process
    with _lock:
        if _follower is not None:
            _follower.stop()
            _follower = None
