"""How much each account sends, and the refusal of what is too much.

Purpose: one hacked account must not burn the sending reputation of all communes. Counted where every signed-in mail
         passes anyway: at the end of its data, with its real recipients.
Process: mailgate; any thread (one lock). STATE/mailgate/sending.sqlite outlives a restart.
Hostile: an account whose password somebody else knows. It is counted by login, not by what it writes as sender.
Fails:   open: mailgate away, or its disk full, a signed-in mail passes (and is marked as unchecked). A refusal is
         temporary: the mail stays with its sender, who is told why.
Source:  docs/internals/mail-engines.md.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.mail.gate import relays
from beffroi.mail.gate.projected import opened
from beffroi.mail.gate.waiting import Waiting

KIND = "mail:sending_refused"
SLOT_S = 300
HOUR_S, DAY_S = 3600, 86400
TOLD_AGAIN_S = 600.0
MAX_WAITING = 1_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (account TEXT NOT NULL, slot INTEGER NOT NULL, messages INTEGER NOT NULL,
  recipients INTEGER NOT NULL, refused INTEGER NOT NULL, PRIMARY KEY (account, slot)) WITHOUT ROWID;
"""
_SUMS = (
    "SELECT COALESCE(SUM(messages), 0), COALESCE(SUM(recipients), 0), COALESCE(SUM(refused), 0) FROM sent"
    " WHERE account = ? AND slot > ?"
)
_ADD = (
    "INSERT INTO sent (account, slot, messages, recipients, refused) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (account, slot) DO UPDATE SET messages = messages + excluded.messages,"
    " recipients = recipients + excluded.recipients, refused = refused + excluded.refused"
)
# An SMTP reply is ASCII: French without its accents.
_WORDS = {
    "hour_messages": ("{} messages par heure", "{} messages an hour"),
    "day_messages": ("{} messages par jour", "{} messages a day"),
    "hour_recipients": ("{} destinataires par heure", "{} recipients an hour"),
    "day_recipients": ("{} destinataires par jour", "{} recipients a day"),
    relays.RATE: ("{} messages par heure pour ce relais", "{} messages an hour for this relay"),
}
HELD_TEXT = (
    "Envoi suspendu pour ce compte : appelez votre referent, rien n'est perdu."
    " / Sending is suspended for this account: call your contact, nothing is lost."
)


@dataclass(frozen=True)
class Limits:
    """The most that one account sends; 0: any number. Windows slide, in steps of ``SLOT_S``."""

    hour_messages: int
    day_messages: int
    hour_recipients: int
    day_recipients: int

    @classmethod
    def of(cls, config: Config) -> Limits:
        return cls(
            config.sending_hour_messages,
            config.sending_day_messages,
            config.sending_hour_recipients,
            config.sending_day_recipients,
        )

    def passed(self, hour: tuple[int, int], day: tuple[int, int], recipients: int) -> str:
        """The limit that one more mail would pass; "" for none. ``hour``, ``day``: (messages, recipients) so far."""
        counted = {
            "hour_messages": hour[0] + 1,
            "day_messages": day[0] + 1,
            "hour_recipients": hour[1] + recipients,
            "day_recipients": day[1] + recipients,
        }
        return next((name for name, n in counted.items() if 0 < getattr(self, name) < n), "")


@dataclass(frozen=True)
class Refused:
    """``limit``: a field of ``Limits``, or one of ``relays``; ``most``: its value; ``refused``: how often within the
    hour, this one too; ``alone``: recipients of this mail, where they are too many whatever was sent before, else 0."""

    limit: str
    most: int
    refused: int
    alone: int = 0

    @property
    def text(self) -> str:
        """One line of ASCII for the mail program: French, then English."""
        french, english = (words.format(self.most) for words in _WORDS[self.limit])
        if self.alone:
            return (
                f"Trop de destinataires pour un seul message : {self.alone} ({french} au plus). Rien n'est parti :"
                " ecrivez a moins de monde, ou demandez au Departement une liste ou une limite plus haute."
                f" / Too many recipients for one message: {self.alone} ({english} at most)."
            )
        return (
            f"Limite d'envoi atteinte ({french}) : reessayez plus tard, rien n'est perdu."
            f" / Sending limit reached ({english}): try again later, nothing is lost."
        )


class Held:
    """Accounts that a person has to give back, from the routes' projection; asked for each signed-in mail."""

    def __init__(self, routes: Path) -> None:
        self._routes = routes

    def has(self, account: str) -> bool:
        """False also when the projection cannot be read: mail goes on."""
        try:
            with opened(self._routes) as routes:
                return (
                    routes.execute("SELECT 1 FROM held WHERE account = ?", (account,)).fetchone() is not None
                )
        except sqlite3.Error:
            return False


class Sent:
    """The counts, and what is to be told about refusals."""

    def __init__(self, path: Path, limits: Limits) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._limits = limits
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = wal")
        self._connection.execute("PRAGMA synchronous = normal")
        self._connection.executescript(_SCHEMA)
        self._told: dict[tuple[str, str, bool], float] = {}
        self.waiting = Waiting(MAX_WAITING)

    def take(
        self,
        account: str,
        recipients: int,
        *,
        now_s: float,
        contain_at: int,
        relay: str = "",
        relay_hour: int = 0,
    ) -> Refused | None:
        """Count one mail of ``account`` and let it pass (None), or refuse it. Errors: sqlite3.Error.

        ``contain_at``: refusals within the hour that no person makes; 0: never told so. ``relay``: login of the
        boîtiers that hand it in, which have a limit of their own beside the account's: ``relay_hour`` mails.

        Cost: two look-ups over at most 288 rows, one row written; of a relay one more each.
        """
        slot = int(now_s) // SLOT_S
        with self._lock:
            day = self._sums(account, slot - DAY_S // SLOT_S)
            hour = self._sums(account, slot - HOUR_S // SLOT_S)
            limit = self._limits.passed(hour[:2], day[:2], recipients)
            if relay and self._sums(relay, slot - HOUR_S // SLOT_S)[0] >= relay_hour:
                limit = relays.RATE
            if not limit:
                for one in filter(None, (account, relay)):
                    self._connection.execute(_ADD, (one, slot, 1, recipients, 0))
                    self._connection.execute(
                        "DELETE FROM sent WHERE account = ? AND slot <= ?", (one, slot - DAY_S // SLOT_S)
                    )
                return None
            most = relay_hour if limit == relays.RATE else getattr(self._limits, limit)
            found = self._refused(account, relay or account, limit, most, slot=slot, contain_at=contain_at)
            never = self._limits.passed((0, 0), (0, 0), recipients)
            return (
                replace(found, limit=never, most=getattr(self._limits, never), alone=recipients)
                if never
                else found
            )

    def refuse_relay(self, account: str, relay: str, *, now_s: float) -> None:
        """Count and tell a mail of a relay for whom its policy does not name. Errors: sqlite3.Error."""
        with self._lock:
            self._refused(account, relay, relays.RECIPIENTS, 0, slot=int(now_s) // SLOT_S, contain_at=0)

    def _refused(
        self, account: str, counted: str, limit: str, most: int, *, slot: int, contain_at: int
    ) -> Refused:
        """``counted``: a relay's refusals are not those of the people who write with the same address."""
        self._connection.execute(_ADD, (counted, slot, 0, 0, 1))
        found = Refused(limit, most, self._sums(counted, slot - HOUR_S // SLOT_S)[2])
        self._tell(account, found, impossible=0 < contain_at <= found.refused)
        return found

    def _sums(self, account: str, after: int) -> tuple[int, int, int]:
        row = self._connection.execute(_SUMS, (account, after)).fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def _tell(self, account: str, found: Refused, *, impossible: bool) -> None:
        """At the first refusal by a limit, again while it lasts, and at once when no person would go on."""
        key, now = (account, found.limit, impossible), time.monotonic()
        if now - self._told.get(key, -TOLD_AGAIN_S) < TOLD_AGAIN_S:
            return
        if len(self._told) > MAX_WAITING:
            self._told.clear()
        self._told[key] = now
        self.waiting.add(
            {
                "account": account,
                "limit": found.limit,
                "most": found.most,
                "refused": found.refused,
                "impossible": impossible,
            }
        )

    def close(self) -> None:
        with self._lock:
            self._connection.close()
