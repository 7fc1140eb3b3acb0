"""Failed sign-ins that Dovecot tells of, on their way to the outbox.

Purpose: what guesses at IMAP and submission adds to the evidence of ``watch.login_attacks``.
Process: mailgate; told by its requests, emptied by the thread that also empties the spool.
Input:   hostile and fast: one address and account count once in ``AGAIN_S``, of one source ``MOST_ACCOUNTS`` of each
         collectivité, and as many that are nobody's, in ``WINDOW_S``; and what waits is bounded. So who fails under
         thousands of names fills no table, nor hides by them what they try elsewhere.
Fails:   open. What waits when the process ends, or while the database is away for long, is lost: an attack goes on.
"""

from __future__ import annotations

import collections
import threading
import time

from beffroi.core.identity.failures import payload, source
from beffroi.mail.gate.waiting import Waiting

AGAIN_S = 60.0
MOST_ACCOUNTS, WINDOW_S = 200, 600.0
"""As many as ``watch.login_attacks`` remembers of an address."""
MAX_REMEMBERED = 20_000
MAX_WAITING = 2_000


class Failures:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: collections.OrderedDict[tuple[object, object], float] = collections.OrderedDict()
        self.waiting = Waiting(MAX_WAITING)
        self._begun: collections.OrderedDict[tuple[str, str], tuple[float, int]] = collections.OrderedDict()

    def add(self, *, address: str, account: str, door: str, owner: str = "") -> bool:
        """Take one failure; True when it is to be told. ``owner``: the account's collectivité, "" for nobody's."""
        found = payload(address=address, account=account, door=door)
        if found is None:
            return False
        key, now = (found["address"], found["account"]), time.monotonic()
        with self._lock:
            if now - self._told.get(key, -AGAIN_S) < AGAIN_S or self._is_much((source(address), owner), now):
                return False
            self._told[key] = now
            self._told.move_to_end(key)
            if len(self._told) > MAX_REMEMBERED:
                self._told.popitem(last=False)
            self.waiting.add(found)
            return True

    def _is_much(self, key: tuple[str, str], now: float) -> bool:
        since, count = self._begun.get(key, (now, 0))
        if now - since >= WINDOW_S:
            since, count = now, 0
        self._begun[key] = since, count + 1
        self._begun.move_to_end(key)
        if len(self._begun) > MAX_REMEMBERED:
            self._begun.popitem(last=False)
        return count >= MOST_ACCOUNTS
