"""What the kernel counted as refused since it was last told: packets and attempts, exact under any flood.

Purpose: the log of attempts is limited in rate; these sums are not. The centre learns how much it cannot name.
Process: the agent's keeper, CAP_NET_ADMIN.
Fails:   without it only named attempts are told. What was told is on disk, so a restart tells nothing twice; kernel
         counters that went back (rules flushed, machine restarted) begin at zero. On a full disk, sums wait.
Source:  docs/internals/counting.md.
"""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi_box.facts import FactSpool
from beffroi_box.ruleset import TABLE
from beffroi_box.store import write_atomic

log = logging.getLogger("beffroi_box.totals")
NEARLY_FULL = 0.9
_CONNTRACK = Path("/proc/sys/net/netfilter")
NAMES = ("blocked_in", "attempts_in", "blocked_out", "attempts_out")


class _Told(msgspec.Struct):
    at: int = 0
    counts: dict[str, int] = {}


class Totals:
    """For one thread."""

    def __init__(self, directory: Path, spool: FactSpool) -> None:
        self._path = directory / "told.json"
        self._spool = spool
        try:
            self._told = msgspec.json.decode(self._path.read_bytes(), type=_Told)
        except (OSError, *UNDECODABLE):
            self._told = _Told()

    def tell(self, *, at: int, refused: bool) -> None:
        """Hand the sums since the last call to the spool. ``refused`` False: those packets passed, tell nothing."""
        now = kernel_counts()
        if not now:
            return
        grown = {name: _growth(self._told.counts.get(name, 0), now.get(name, 0)) for name in NAMES}
        first_at = min(self._told.at or at, at)
        if any(grown.values()):
            told = _Told(at, {name: now.get(name, 0) for name in NAMES})
            try:
                write_atomic(self._path, msgspec.json.encode(told))
            except OSError as error:
                log.warning("sums of the kernel wait: %s", error.strerror)
                return
            self._told = told
        if not refused:
            return
        for way in ("in", "out"):
            if packets := grown[f"blocked_{way}"]:
                self._spool.totals(way, packets, grown[f"attempts_{way}"], first_at, at)


class Room:
    """Whether there was room for what machines of the LAN began; for one thread."""

    def __init__(self) -> None:
        self._refused: int | None = None

    def lacking(self) -> list[str]:
        """Return "newcomers_flood" where the rules refused some of it to machines that came within the hour
        (``crowdrules``) since the last call, "flows_full" where the kernel's table of connections is nearly full."""
        found = []
        refused, before = kernel_counts().get("newcomers_refused", 0), self._refused
        self._refused = refused
        if before is not None and _growth(before, refused):
            found.append("newcomers_flood")
        try:
            held, most = (
                int((_CONNTRACK / f"nf_conntrack_{name}").read_text("ascii")) for name in ("count", "max")
            )
        except (OSError, ValueError):
            return found
        return [*found, "flows_full"] if held > NEARLY_FULL * most else found


def _growth(before: int, now: int) -> int:
    return now - before if now >= before else now


def kernel_counts() -> dict[str, int]:
    """Return packets by counter, empty when the kernel has no rules of ours."""
    done = subprocess.run(
        ["/usr/sbin/nft", "-j", "list", "counters", "table", "inet", TABLE], capture_output=True, check=False
    )
    try:
        listed = msgspec.json.decode(done.stdout or b"{}", type=_Listed)
    except UNDECODABLE:
        return {}
    return {one.counter.name: one.counter.packets for one in listed.nftables if one.counter is not None}


class _Counter(msgspec.Struct):
    name: str
    packets: int


class _One(msgspec.Struct):
    counter: _Counter | None = None


class _Listed(msgspec.Struct):
    nftables: list[_One] = []
