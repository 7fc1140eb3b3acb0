"""What follows a sign-in to the drive: a refusal before the password, a limit after failures, evidence.

Purpose: the same as Dovecot has from mailgate. Addresses that the login door refuses are refused here from our own
         copy of the feed; how each sign-in went is told to mailgate, which counts failures for the rule that finds
         guessing and keeps who came from where.
Process: calendars, and whatever else takes app passwords for DAV; one thread follows the feed, one tells.
Hostile: address (what the front says) and login. What waits to be told is bounded.
Fails:   open: without a feed no address is refused, without mailgate nothing is told; the limit needs neither.
Source:  docs/internals/mail-engines.md (/authpolicy); core.decisions.door.
"""

from __future__ import annotations

import collections
import http.client
import logging
import queue
import threading
import time
from dataclasses import dataclass

import msgspec
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.table import every_overlay

from beffroi.core.identity.failures import source
from beffroi.core.planes.follower import Follower, door_follower
from beffroi.lib.config import Config, SettingInvalid

CHANNELS = ("login", every_overlay("login"))
DOOR = "dav"
MAX_FAILURES, WINDOW_S = 60, 300.0
"""Of one IPv4 address or /64: a town hall behind one address, with some programs that hold a revoked password, stays
far below. It saves work; what is guessed at has 128 bits."""
MAX_SOURCES = 20_000
AGAIN_S = 600.0
_MAX_WAITING = 2_000
_FOREIGN = ("cross-site", "same-site")
"""Who opens a page of another site would try whatever names and passwords its links hold
(``https://name:password@…/``), and their town hall be taken for who guesses. A program that says so guesses at 128 bits
uncounted."""
log = logging.getLogger("beffroi.drive")


@dataclass(frozen=True)
class Told:
    """One sign-in, as Dovecot would tell it."""

    remote: str
    login: str
    protocol: str
    success: bool
    app_password: str = ""


class SignIns:
    def __init__(self, config: Config, process: str) -> None:
        """``process``: whose copy of the feed this is."""
        self._config, self._process = config, process
        self._follower: Follower | None = None
        self._lock = threading.Lock()
        self._failures: collections.OrderedDict[str, collections.deque[float]] = collections.OrderedDict()
        self._told: collections.OrderedDict[tuple[str, str], float] = collections.OrderedDict()
        self._waiting: queue.Queue[Told] = queue.Queue(_MAX_WAITING)

    def start(self) -> None:
        try:
            self._follower = door_follower(
                self._config,
                door="login",
                channels=CHANNELS,
                directory=self._config.state / "doors" / f"{self._process}-login",
            )
        except SettingInvalid:
            log.warning("no feed was ever set up: no address is refused")
        else:
            self._follower.start()
        threading.Thread(target=self._tell, name="sign-ins", daemon=True).start()

    def refuses(self, address: str, collectivite_id: str = "") -> bool:
        """Whether the login door refuses this address. ``collectivite_id``: of who signs in, "" before the password:
        what some collectivité lets through is then looked at, and asked about again once one knows whose it is."""
        follower = self._follower
        owners = (collectivite_id,) if collectivite_id else ()
        try:
            if follower is None or follower.match_address(address, owners) is None:
                return False
            return bool(owners) or not follower.some_allow(address)
        except IndicatorInvalid:
            return False

    def too_many(self, address: str) -> bool:
        """Whether this source failed so often that nothing of it is looked at for a while."""
        with self._lock:
            found = self._failures.get(source(address))
            return found is not None and len(found) >= MAX_FAILURES and time.monotonic() - found[0] < WINDOW_S

    def failed(self, address: str, login: str, *, fetch_site: str = "") -> None:
        """``fetch_site``: as a browser says it (Sec-Fetch-Site)."""
        if fetch_site in _FOREIGN:
            return
        with self._lock:
            known = self._failures.setdefault(source(address), collections.deque(maxlen=MAX_FAILURES))
            known.append(time.monotonic())
            self._failures.move_to_end(source(address))
            if len(self._failures) > MAX_SOURCES:
                self._failures.popitem(last=False)
        self._put(Told(address, login[:320], DOOR, success=False))

    def succeeded(self, address: str, login: str, app_password_id: str) -> None:
        """Programs sign in with each request: the same is told once in ``AGAIN_S``."""
        key, now = (address, app_password_id), time.monotonic()
        with self._lock:
            if now - self._told.get(key, -AGAIN_S) < AGAIN_S:
                return
            self._told[key] = now
            self._told.move_to_end(key)
            if len(self._told) > MAX_SOURCES:
                self._told.popitem(last=False)
        self._put(Told(address, login, DOOR, success=True, app_password=app_password_id))

    def _put(self, told: Told) -> None:
        try:
            self._waiting.put_nowait(told)
        except queue.Full:
            pass  # a flood is evidence enough already

    def _tell(self) -> None:
        while True:
            told = self._waiting.get()
            try:
                tell(self._config, told)
            except (OSError, http.client.HTTPException, SettingInvalid) as error:
                log.warning("a sign-in is not told to mailgate: %s", type(error).__name__)


def tell(config: Config, told: Told) -> None:
    """Errors: OSError, HTTPException, SettingInvalid."""
    connection = http.client.HTTPConnection("127.0.0.1", config.mailgate_port, timeout=5)
    try:
        headers = {
            "X-Beffroi-Key": config.secret("mailgate.key").decode(),
            "Content-Type": "application/json",
        }
        connection.request("POST", "/authpolicy?command=report", msgspec.json.encode(told), headers)
        connection.getresponse().read()
    finally:
        connection.close()
