"""Words for restores and backups of mailboxes."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.lib import clock
from beffroi.mail.backup.models import Restore
from beffroi.mail.backup.told import Told, database_late, late

STATES = {
    "asked": (gettext_lazy("Attend le Département"), "warn", "clock"),
    "running": (gettext_lazy("En cours"), "warn", "clock"),
    "done": (gettext_lazy("Rendu"), "good", "check"),
    "undone": (gettext_lazy("Annulé"), "quiet", "undo-2"),
    "refused": (gettext_lazy("Sans suite"), "quiet", "x"),
}


def restore(row: Restore, address: str) -> dict[str, Any]:
    """What a list shows of a request."""
    title, tone, icon = STATES[row.state]
    return {
        "row": row,
        "address": address,
        "title": title,
        "tone": tone,
        "icon": icon,
        "open": row.state == "asked",
        "folder": row.folder or _("tous les dossiers"),
    }


def backup(told: Told, now: int) -> dict[str, Any]:
    """What the console shows: lines and whether they alarm. ``now``: epoch seconds."""
    return {
        "at": clock.moment(told.backup_at),
        "late": late(told, now=now),
        "hours": max(0, now - told.backup_at) // 3600,
        "checked_at": clock.moment(told.checked_at),
        "bad": bool(told.damaged or told.check_failure),
        "told": told,
    }


def database(told: Told, now: int) -> dict[str, Any]:
    """The same of the centre's own database."""
    return {
        "at": clock.moment(told.database.backup_at),
        "late": database_late(told, now=now),
        "drilled_at": clock.moment(told.database.drilled_at),
        "told": told.database,
    }
