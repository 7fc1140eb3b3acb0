"""What each relay of copiers may send, by its login, from the routes' projection.

Purpose: the boîtier keeps to its policy by itself; this is for a boîtier that somebody else has.
Process: mailgate; any thread.
Fails:   closed: a relay that is not known, or a file that cannot be read, sends later. Its mails wait on its disk.
Source:  docs/decisions/0055-relay-recipients-at-the-centre.md; mail/projections.py (the writer).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from beffroi.mail.gate.projected import Projected, opened

RECIPIENTS, RATE = "relay_recipients", "relay_rate"
"""In the place of a field of ``sending.Limits``."""
UNKNOWN_TEXT = (
    "Les reglages du relais ne sont pas encore au centre : reessayez, rien n'est perdu."
    " / The relay's settings are not known here yet: try again, nothing is lost."
)


@dataclass(frozen=True)
class Allowed:
    """``hour``: mails within an hour; ``recipients``: addresses without "+detail", and ``@domain`` for all of it."""

    hour: int
    recipients: frozenset[str]

    def outside(self, recipients: Iterable[str]) -> list[str]:
        """Those of these addresses (lower case, without "+detail") that it may not write to."""
        return [
            one
            for one in recipients
            if one not in self.recipients and f"@{one.rpartition('@')[2]}" not in self.recipients
        ]


def refusal(outside: list[str]) -> str:
    """One line of ASCII for the boîtier, which tells it to the sending mailbox: French, then English."""
    shown = outside[0].encode("ascii", "replace").decode()[:100]
    more = f" et {len(outside) - 1} de plus" if len(outside) > 1 else ""
    return (
        f"Les reglages du relais n'admettent pas {shown}{more} : demandez-le au Departement."
        " / Recipient not allowed by the relay's settings."
    )


class Relays:
    """Some hundred rows, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._projected = Projected(path, "policies of relays", _allowed)

    def of(self, login: str) -> Allowed | None:
        """None where nothing is known of it."""
        return (self._projected.current() or {}).get(login)


def _allowed(path: Path) -> dict[str, Allowed]:
    with opened(path) as routes:
        rows = routes.execute("SELECT login, hour, recipients FROM relay")
        return {
            login: Allowed(hour, frozenset(_bare(one) for one in text.split())) for login, hour, text in rows
        }


def _bare(entry: str) -> str:
    local, _, domain = entry.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"
