"""From an incident to what it is about in the Coffre: the page of its alarm, the held files that the reader sees.

Access: ``View``: whoever does not see a file is not told where it lies, nor how it is called.
Fails:  the Coffre away: the incident's page leads nowhere, and stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from django.http import HttpRequest
from django.utils.translation import gettext as _

from beffroi.core.identity.actor import Actor
from beffroi.drive import alarms, release
from beffroi.drive.alarms import State
from beffroi.incidents.models import Incident
from beffroi.incidents.rules import DEVICE_SUBJECT, Kind
from beffroi.lib.errors import BeffroiError
from beffroi.portal import drive_words
from beffroi.portal.drive_access import has_drive, metadata_of, view_of
from beffroi.portal.incident_view import File


def is_alarm(incident: Incident) -> bool:
    """Whether the Coffre stopped a device: its page puts back what the device did."""
    return incident.kind == Kind.SUSPECT_MACHINE and incident.subject.startswith(DEVICE_SUBJECT)


def sees_alarm(actor: Actor, incident: Incident) -> bool:
    """Whether the page of alarms shows it to this reader: who answers there, and whose device it is."""
    return actor.manages(incident.collectivite_id) or incident.person_id == actor.id


def alarm_said(actor: Actor, incident: Incident) -> str:
    """What became of the files that a stopped device touched: whoever reads of the incident reads whether they are
    back. "" for other incidents."""
    if not is_alarm(incident):
        return ""
    state, missed = _alarm_state(incident)
    if state == "restored":
        said = _("L’appareil est arrêté dans le Coffre. Les fichiers qu’il a touchés sont remis comme avant.")
        return f"{said} {drive_words.missed(missed)}".strip()
    if state == "settled":
        return _(
            "L’appareil a été arrêté dans le Coffre. La personne référente a répondu que c’était voulu : rien n’a été "
            "défait."
        )
    if sees_alarm(actor, incident) and not actor.sees_all:  # the console has no such page
        return _(
            "L’appareil est arrêté dans le Coffre. Les fichiers qu’il a touchés se remettent comme avant sur la page "
            "des alertes."
        )
    return _(
        "L’appareil est arrêté dans le Coffre. La personne référente remet comme avant les fichiers qu’il a touchés."
    )


def _alarm_state(incident: Incident) -> tuple[State, int]:
    """And how many steps of the way back could not be taken."""
    try:
        if has_drive(incident.collectivite_id):
            with metadata_of(incident.collectivite_id).reading() as reading:
                found = alarms.find(reading, incident.subject.removeprefix(DEVICE_SUBJECT))
                return found.state, found.missed
    except BeffroiError:
        pass
    return "open", 0


def find_places(request: HttpRequest, actor: Actor, files: Sequence[File]) -> None:
    """Where contents that an incident is about lie, as this reader sees it."""
    if not files or not has_drive(actor.collectivite_id):
        return
    with suppress(BeffroiError):
        view = view_of(request, actor)
        for file in files:
            file.places = release.seen_files(view, file.one.sha256)
