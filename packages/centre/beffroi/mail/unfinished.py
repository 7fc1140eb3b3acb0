"""Which decisions could not be carried out in mailboxes, as a file that needs no database: STATE/run/withdrawals.json.
No Django.

Purpose: `./beffroi status` names them, and says what to do.
Process: written by remediation when it changed; read by anyone. It holds identifiers of decisions and counts only.
Input:   whoever reads it trusts nothing: a file that cannot be read says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from beffroi.lib import json_file
from beffroi.lib.config import Config

NAMED = 3


class Unfinished(msgspec.Struct, frozen=True):
    """Of one decision. ``copies``: of mails, in ``mailboxes`` mailboxes."""

    decision_id: str
    copies: int
    mailboxes: int


class Told(msgspec.Struct, frozen=True):
    """``waiting``: for two administrators. ``left``: withdrawn from there not yet, or ``kept``: given back not yet,
    although it was tried."""

    waiting: tuple[Unfinished, ...] = ()
    left: tuple[Unfinished, ...] = ()
    kept: tuple[Unfinished, ...] = ()


def _path(config: Config) -> Path:
    return config.run / "withdrawals.json"


def read(config: Config) -> Told:
    return json_file.read(_path(config), Told) or Told()


def write(config: Config, told: Told) -> None:
    """Errors: OSError."""
    if told != read(config):
        json_file.write(_path(config), told, mode=0o644)


def problem(config: Config) -> str:
    """Sentences with the next step, or ""."""
    told = read(config)
    mend = (
        "Beffroi tries again by itself, each hour for a week, then each day. Next: see that the disk of the mailboxes"
        f" has room, read {config.log / 'dovecot.log'}"
    )
    sayings: tuple[tuple[tuple[Unfinished, ...], Callable[[str], str]], ...] = (
        (told.waiting, lambda which: (
            f"So many mails are to be withdrawn that two administrators have to agree: {which}. Next: on the console,"
            " Vue d'ensemble, Voir les retraits: one asks, another one grants or refuses")),
        (told.left, lambda which: f"Mails that are blocked lie in mailboxes still: {which}. {mend}"),
        (told.kept, lambda which: f"Mails that pass again were not given back to their owners: {which}. {mend}"),
    )  # fmt: skip
    return " ".join(say(_which(found)) for found, say in sayings if found)


def _which(found: tuple[Unfinished, ...]) -> str:
    said = [
        f"{one.decision_id} ({one.copies} in {one.mailboxes} mailbox{'es' * (one.mailboxes != 1)})"
        for one in found[:NAMED]
    ]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return f"decision{'s' * (len(found) > 1)} {', '.join(said + more)}"
