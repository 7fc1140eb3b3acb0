"""When another machine fetched the backups last: the time of a file, STATE/supervisor/fetched. No Django.

Purpose: the console and `./beffroi status` say that the copies elsewhere, once set up, are made no more.
Process: written by the forced command of that machine's key, as root, when all was read;
         read by anyone (docs/runbooks/backups-elsewhere.md). It lies outside of what is fetched: there, each run would
         find a change.
Limits:  that it was read is seen from here, not that the other machine keeps it: what goes wrong there is mailed there.
"""

from __future__ import annotations

from beffroi.lib.config import Config
from beffroi.mail.backup import told

LATE_AFTER_S = 48 * 3600
"""Eight runs of six hours each: a week-end without that machine is said, a night is not."""


def at(config: Config) -> int:
    """Epoch seconds; 0 where it never was, or is not set up any more."""
    try:
        return int((config.state / "supervisor" / "fetched").stat().st_mtime)
    except OSError:
        return 0


def late(config: Config, *, now: int) -> bool:
    """Not in the last two days, or in a future of which a clock that ran ahead told."""
    found = at(config)
    return bool(found) and told.is_over(found, LATE_AFTER_S, now=now)


def problem(config: Config, *, now: int) -> str:
    """One sentence with the next step, or ""."""
    if not late(config, now=now):
        return ""
    hours = max(0, now - at(config)) // 3600
    return (
        f"No other machine has fetched the backups for {hours} hours. Next: look there why"
        " (docs/runbooks/backups-elsewhere.md); where none is to any more, remove"
        f" {config.state / 'supervisor' / 'fetched'}"
    )


def sentence(config: Config, *, now: int) -> str:
    """Where all is well: when."""
    if not at(config) or late(config, now=now):
        return ""
    hours = max(0, now - at(config)) // 3600
    return f"Another machine fetched the backups {f'{hours} hours ago' if hours else 'within the hour'}."
