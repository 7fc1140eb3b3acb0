"""From an incident to what it is about in the Coffre: the page of its alarm, the held files that the reader sees.

Access: ``View``: whoever does not see a file is not told where it lies, nor how it is called.
Fails:  the Coffre away: the incident's page leads nowhere, and stands.
"""

from __future__ import annotations

import re

from django.http import HttpRequest

from beffroi.core.identity.actor import Actor
from beffroi.drive import actions, alarms, release
from beffroi.drive.alarms import State
from beffroi.drive.views import Place
from beffroi.incidents.models import Incident
from beffroi.incidents.rules import DEVICE_SUBJECT, Kind
from beffroi.lib.errors import BeffroiError
from beffroi.portal.drive_access import has_drive, metadata_of, view_of

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_alarm(incident: Incident) -> bool:
    """Whether the Coffre stopped a device: its page puts back what the device did."""
    return incident.kind == Kind.SUSPECT_MACHINE and incident.subject.startswith(DEVICE_SUBJECT)


def sees_alarm(actor: Actor, incident: Incident) -> bool:
    """Whether the page of alarms shows it to this reader: who answers there, and whose device it is."""
    return actions.may_answer(actor, incident.collectivite_id) or incident.person_id == actor.id


def alarm_state(actor: Actor, incident: Incident) -> State:
    """What became of the alarm: whoever reads of the incident reads whether the files are back."""
    try:
        if is_alarm(incident) and has_drive(actor):
            with metadata_of(incident.collectivite_id).reading() as reading:
                return alarms.find(reading, incident.subject.removeprefix(DEVICE_SUBJECT)).state
    except BeffroiError:
        pass
    return "open"


def held_files(request: HttpRequest, actor: Actor, incident: Incident) -> list[Place]:
    """Where the dangerous content lies that an incident is about, as this reader sees it."""
    if incident.kind != Kind.MALICIOUS_FILE or not _SHA256.fullmatch(incident.subject):
        return []
    try:
        return release.seen_files(view_of(request, actor), incident.subject) if has_drive(actor) else []
    except BeffroiError:
        return []
