"""How the processes of certificates are: whether they take their turns, and what became of what they do. No Django.

Purpose: a process that hangs is started again; the console and `./beffroi status` say when a certificate was last
         issued, when the next is due, and in plain words why the last try failed.
Process: the supervisor asks for turns; console and status read. STATE/acme is open to read; no key is.
Input:   files of other processes: one that cannot be read says nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.certificates import places, rules

TURN = ".turn"
KEEPER_LATE_S = 300
AUTHORITY_LATE_S = 1800
"""One order may take five attempts of some minutes."""
WORDS = {
    "challenge": "the authority did not find our door under these names (port 80, the zone)",
    "caa": "the zone forbids this authority (CAA)",
    "rate": "the authority had too many requests for this domain; it is tried again by itself",
    "silent": "the authority does not answer",
    "refused": "the authority refused: see acme.log",
    "odd": "what came back is not what was asked for: see acme.log",
}


@dataclass(frozen=True)
class Health:
    """Epoch seconds, 0 for never. ``due_at``: the next renewal or try; ``failed``: domain and code of the last failure
    that nothing mended, "" for none; ``ending``: domains whose certificate is wanted and ends within 14 days."""

    certificates: int = 0
    issued_at: int = 0
    due_at: int = 0
    failed: str = ""
    code: str = ""
    ending: tuple[str, ...] = ()


def took_turn(folder: Path) -> None:
    """Say that a turn begins. Errors: OSError. ``folder``: the process's own."""
    descriptor = os.open(folder / TURN, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def late(config: Config, name: str, limit_s: int) -> str:
    """Why the process that writes STATE/acme/``name`` is unwell, one sentence; "" when it takes its turns."""
    try:
        turned_at = (places.folder(config.state) / name / TURN).stat().st_mtime
    except OSError:
        return "It has taken no turn yet."
    late_s = int(clock.epoch() - turned_at)
    return f"It has taken no turn for {late_s} s." if late_s > limit_s else ""


def of(config: Config, *, now: int) -> Health:
    """What became of all certificates; nothing where they are put in place by hand."""
    folder = places.folder(config.state)
    try:
        names = sorted(path.name for path in (folder / "told").iterdir() if not path.name.startswith("."))
    except OSError:
        return Health()
    ours, due, failed, ending = [], [], [], []
    for name in names:
        one, wanted = places.told(config.state, name), bool(places.read(folder / "wanted" / name))
        if one is None:
            continue
        if one.not_after and wanted and one.not_after - now < rules.ALARM_S:
            ending.append(name)
        if one.state == "by_hand":
            continue
        if one.not_after:
            ours.append(one.not_before)
        if wanted and one.code:
            failed.append((one.tried_at, name, one.code))
            due.append(one.tried_at + rules.wait_s(one.failures, one.code))
        elif wanted and one.not_after:
            due.append(rules.renew_at(one.not_before, one.not_after, name))
    last = max(failed, default=(0, "", ""))
    return Health(len(ours), max(ours, default=0), min(due, default=0), last[1], last[2], tuple(ending))


def sentence(config: Config, *, now: int) -> str:
    """For `status`: how they are, "" where none are asked for."""
    if not config.acme_directory:
        return ""
    found = of(config, now=now)
    said = [f"Certificates of domains: {found.certificates}"]
    if found.issued_at:
        said.append(f"last issued {_ago(now - found.issued_at)} ago")
    if found.due_at:
        said.append("next due now" if found.due_at <= now else f"next due in {_ago(found.due_at - now)}")
    if found.failed:
        said.append(f"last error: {found.failed}, {WORDS.get(found.code, WORDS['odd'])}")
    return "; ".join(said) + "."


def problem(config: Config, *, now: int) -> str:
    """One sentence with the next step, or "": a certificate ends soon and nothing renewed it."""
    found = of(config, now=now) if config.acme_directory else Health()
    if not found.ending:
        return ""
    why = f" Last error: {WORDS.get(found.code, WORDS['odd'])}." if found.failed else ""
    return (
        f"Certificates end within 14 days and are not renewed: {', '.join(found.ending[:5])}.{why}"
        " Next: the domain's page on the console."
    )


def _ago(seconds: int) -> str:
    return f"{seconds // 86400} days" if seconds >= 2 * 86400 else f"{max(0, seconds) // 3600} h"
