"""Words for restores and backups of mailboxes."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.lib import clock
from beffroi.mail.backup.models import Restore
from beffroi.mail.backup.told import Told, database_late, late
from beffroi.portal import tags

STATES = {
    "asked": (gettext_lazy("Attend le Département"), "warn", "clock"),
    "running": (gettext_lazy("En cours"), "warn", "clock"),
    "done": (gettext_lazy("Rendu"), "good", "check"),
    "undone": (gettext_lazy("Annulé"), "quiet", "undo-2"),
    "refused": (gettext_lazy("Sans suite"), "quiet", "x"),
}


def restore(row: Restore, address: str) -> dict[str, Any]:
    """What a list shows of a request."""
    return {
        "row": row,
        "address": address,
        "state": tags.tag(STATES, row.state),
        "open": row.state == "asked",
        "folder": row.folder or _("tous les dossiers"),
    }


def backup(told: Told, now: int) -> dict[str, Any]:
    """What the console shows: lines and whether they alarm. ``now``: epoch seconds."""
    is_late, is_bad = late(told, now=now), bool(told.damaged or told.check_failure)
    return {
        "at": clock.moment(told.backup_at),
        "late": is_late,
        "state": _state(told.backup_at, bad=is_late, failed=told.failure),
        "checked_at": clock.moment(told.checked_at),
        "bad": is_bad,
        "check_state": _state(told.checked_at, bad=is_bad),
        "told": told,
    }


def database(told: Told, now: int) -> dict[str, Any]:
    """The same of the centre's own database."""
    own = told.database
    return {
        "at": clock.moment(own.backup_at),
        "state": _state(own.backup_at, bad=database_late(told, now=now), failed=own.failure),
        "drilled_at": clock.moment(own.drilled_at),
        "drill_state": _state(own.drilled_at, bad=bool(own.drill_failure)),
        "told": own,
    }


def _state(at_s: int, *, bad: bool, failed: str = "") -> str:
    """A state of ``words.STATES``. ``at_s``: when it was done last, 0 for never; ``failed``: why the last try was in
    vain."""
    if bad or failed:
        return "domain_bad" if bad else "domain_warn"
    return "domain_ok" if at_s else "domain_unknown"
