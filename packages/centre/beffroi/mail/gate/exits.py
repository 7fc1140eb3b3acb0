"""By which of our addresses a mail leaves.

Purpose: what a doubtful sender writes must not cost the reputation of the addresses that all share; a new address gets
         its share of the day and no more, counted here, where every mail passes before it is queued.
Process: mailgate; any thread (one lock). STATE/projections/pools.json says who is doubtful and what the shares are;
         STATE/mailgate/warming.sqlite counts, over a restart. Both only where ``outgoing_pools`` names addresses.
Hostile: an account whose password somebody else knows; its recipients. Nothing that it writes chooses the address.
Fails:   to the first addresses: without the file, with a full disk, or where it is not known which domains are ours.
Source:  docs/decisions/0053-pools-of-outgoing-addresses.md.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from beffroi.lib.config import Config
from beffroi.mail.engines import pools
from beffroi.mail.engines.destinations import slow
from beffroi.mail.engines.pools import Exit, Pool
from beffroi.mail.gate.projected import Projected

log = logging.getLogger("beffroi.mailgate")
DAY_S = 86400
UNLIMITED = -1
"""The share of an address whose warm-up is over: it takes its part, as an ordinary one."""
OTHERS = ""
"""The provider of all domains that no slow provider has: they count together."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS warmed (exit TEXT NOT NULL, provider TEXT NOT NULL, day INTEGER NOT NULL,
  recipients INTEGER NOT NULL, PRIMARY KEY (exit, provider, day)) WITHOUT ROWID;
"""
_TAKE = (
    "INSERT INTO warmed (exit, provider, day, recipients) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT (exit, provider, day) DO UPDATE SET recipients = recipients + excluded.recipients"
    " WHERE recipients + excluded.recipients <= ?5 RETURNING recipients"
)


class State(msgspec.Struct, frozen=True):
    """What the worker knows. ``doubtful``: accounts; ``shares``: recipients a day and provider of each warming exit,
    or ``UNLIMITED``; one that is not named gets nothing."""

    doubtful: frozenset[str] = frozenset()
    shares: dict[str, int] = {}


def state_path(config: Config) -> Path:
    return config.state / "projections" / "pools.json"


class Exits:
    """``several``: whether there is anything to choose."""

    def __init__(self, config: Config) -> None:
        self._exits: list[Exit] = pools.exits(config) if config.outgoing_mail else []
        self.several = len(self._exits) > 1
        self._providers = pools.providers(slow(config)) if self.several else {}
        self._ours = config.mail_name
        self._projected = Projected(state_path(config), "doubtful senders", _state, may_lack=True)
        self._warmed = Warmed(config.state / "mailgate" / "warming.sqlite") if self.several else None

    def lane(self, account: str, recipients: Sequence[str], ours: Collection[str], *, now_s: float) -> str:
        """The lane of a mail of ``account``; "" for the usual way. ``ours``: the domains whose mail stays here."""
        state, domains = self._projected.current() or State(), {one.rpartition("@")[2] for one in recipients}
        inside = [one for one in domains if one in ours or one == self._ours]
        if account in state.doubtful and any(one.pool is Pool.DOUBTFUL for one in self._exits):
            return pools.SPLIT if len(inside) < len(domains) else ""
        providers = {self._providers.get(one, OTHERS) for one in domains}
        # A lane takes the whole mail, so it must be for one provider, and for nobody here.
        if not ours or inside or len(providers) != 1:
            return ""
        provider = providers.pop()
        usual = [self._exits[0]]
        for one in self._exits[1:]:
            share = UNLIMITED if one.pool is Pool.ORDINARY else state.shares.get(one.name, 0)
            if one.pool is Pool.DOUBTFUL or not share:
                continue
            if share == UNLIMITED:
                usual.append(one)
            elif self._takes(one, provider, len(recipients), share, now_s):
                return one.lane(provider)
        # One account leaves by one address: that is what its recipients' servers learn to know.
        chosen = usual[zlib.crc32(account.encode()) % len(usual)]
        return chosen.lane(provider) if chosen.name else ""

    def _takes(self, one: Exit, provider: str, recipients: int, share: int, now_s: float) -> bool:
        try:
            return self._warmed is not None and self._warmed.take(
                one.name, provider, recipients, share=share, day=int(now_s) // DAY_S
            )
        except sqlite3.Error as error:
            log.warning("mail of a new address is not counted: %s", type(error).__name__)
            return False

    def close(self) -> None:
        if self._warmed is not None:
            self._warmed.close()


def _state(path: Path) -> State:
    return msgspec.json.decode(path.read_bytes(), type=State)


class Warmed:
    """What each new address took today (UTC)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = wal")
        self._connection.execute("PRAGMA synchronous = normal")
        self._connection.executescript(_SCHEMA)

    def take(self, name: str, provider: str, recipients: int, *, share: int, day: int) -> bool:
        """Count this mail where it fits into the share. Errors: sqlite3.Error."""
        if recipients > share:
            return False
        with self._lock:
            taken = self._connection.execute(_TAKE, (name, provider, day, recipients, share)).fetchone()
            if taken and int(taken[0]) == recipients:  # the first of its day
                self._connection.execute("DELETE FROM warmed WHERE day < ?", (day,))
        return taken is not None

    def close(self) -> None:
        with self._lock:
            self._connection.close()
