"""When another machine took the logs last: the time of a file, STATE/supervisor/logs-taken.

Purpose: the console and `./beffroi status` say that logs, once sent on, are taken no more.
Process: written by rsyslog, as root, a byte a minute, after all lines of before (deploy/rsyslog/beffroi.conf);
         read by anyone.
Limits:  a line is taken when it was handed over: a machine that vanishes without a word is noticed when TCP gives up.
         What the other machine keeps is seen there alone.
"""

from __future__ import annotations

from beffroi.lib.config import Config

LATE_AFTER_S = 3600
"""A restart of either machine is not said."""
_CLOCK_S = 60


def at(config: Config) -> int:
    """Epoch seconds; 0 where logs never were sent on, or are not any more."""
    try:
        return int((config.state / "supervisor" / "logs-taken").stat().st_mtime)
    except OSError:
        return 0


def late(config: Config, *, now: int) -> bool:
    """Not in the last hour, or in a future of which a clock that ran ahead told."""
    found = at(config)
    return bool(found) and not -_CLOCK_S <= now - found < LATE_AFTER_S


def problem(config: Config, *, now: int) -> str:
    """One sentence with the next step, or ""."""
    if not late(config, now=now):
        return ""
    return (
        f"No other machine has taken the logs for {max(0, now - at(config)) // 3600} hours; they wait on this disk,"
        " 2 GB at most. Next: journalctl -u rsyslog says why (docs/runbooks/logs-elsewhere.md); where none is to any"
        f" more, remove {config.state / 'supervisor' / 'logs-taken'}"
    )


def sentence(config: Config, *, now: int) -> str:
    """Where all is well: that they are taken."""
    return "Another machine takes the logs." if at(config) and not late(config, now=now) else ""
