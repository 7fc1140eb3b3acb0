"""Taking old entries of the audit log away by a term, each written to a file first. Off unless a person sets it.

Purpose: what the setting ``audit_keep_days`` promises, once a day after the purge; nothing is lost: the stretch stands,
         without names of people, in STATE/audit as a file that verifies by itself, before it leaves the database.
Process: a child of worker, since a full verification reads every entry that is kept and no decision may wait for it;
         or a person: ``./beffroi audit prune --by-term``.
Fails:   closed: a chain that does not hold, a file that cannot be written or does not verify: nothing is taken away.
Source:  docs/runbooks/audit-log.md, docs/fr/durees.md.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from beffroi.core.audit import actions, export, exported, queries, signing
from beffroi.core.audit.actions import Prunable
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, durable
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict

LEAST_DAYS = 183
"""A shorter term counts as this one: security logs are kept for half a year at least."""
AT_MOST = 20_000
"""Entries of one run, in one transaction: the first run over years takes some days. The first stretch always goes."""


class ArchiveFalse(Conflict):
    """The file {} does not verify ({}), so nothing was taken away. Next: ./beffroi audit verify --full"""

    code = "audit.archive_false"


@dataclass(frozen=True)
class Pruned:
    """What was taken away, and the file it stands in."""

    what: Prunable
    path: Path


def cutoff(config: Config, now: datetime) -> datetime | None:
    """Up to when entries are due; None while no term is set."""
    if not config.audit_keep_days:
        return None
    return now - timedelta(days=max(LEAST_DAYS, config.audit_keep_days))


def is_due(config: Config) -> bool:
    """Whether there is a whole stretch beyond the term; cheap, and the chain is not read."""
    before = cutoff(config, clock.now())
    if before is None:
        return False
    return queries.checkpoints_of_before(before).exists()


def due(config: Config) -> Prunable | None:
    """What one run takes away. Reads the whole chain. Errors: ChainBroken."""
    before = cutoff(config, clock.now())
    return actions.prunable(before, at_most=AT_MOST) if before is not None else None


def carry_out(config: Config, what: Prunable, *, account: str) -> Pruned:
    """Write the stretch to its file, check it as a stranger would, then take it away.

    Errors: ChainBroken, ArchiveFalse, SettingInvalid, OSError.
    """
    key = signing.private_key(config)
    directory = config.state / "audit"
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"audit-{what.position - what.count + 1}-{what.position}.jsonl"
    text = io.StringIO()
    export.write(text, key, until=what.position)
    durable.write(path, (text.getvalue().encode(),), mode=0o600)
    with path.open("rb") as lines:
        found = exported.verify(lines, keys=signing.trusted_keys(config), expected_head=what.hash)
    if not found.ok or (found.position, found.count) != (what.position, what.count):
        raise ArchiveFalse(path, found.problem or "another stretch")
    actions.prune(actor=Actor.system("audit-prune"), account=account, what=what, key=key)
    return Pruned(what, path)
