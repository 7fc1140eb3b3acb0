"""What the drive met, as sightings for watch: contents that the scan knows, contents that a decision names, and where a
device came from that wrote as ransomware does.

Process: worker.
Rule:    a sighting names a hash or addresses, never a file or a person's name. Which of it decides anything is for the
         rules of watch: an engine's word about a hash is proof, an address needs a second commune or a person.
Source:  docs/internals/drive.md, "What it tells the others".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.identity import sign_ins
from beffroi.drive.store.findings import MALICE
from beffroi.lib.ids import new_id

DOOR = "file"
SIGNED_IN = "dav"
"""The door of sign-ins by which programs come to files."""
LOOKED_BACK = timedelta(days=1)


def report(kind: str, *, collectivite_id: str, at: datetime, payload: Mapping[str, object]) -> None:
    """Publish what an event of the drive says to all, if anything. In the caller's transaction."""
    if kind in ("drive:alarm", "drive:alarm_elsewhere"):  # whose people sign in where tells where from
        _alarm(collectivite_id, at, payload)
        return
    if kind == "drive:found":
        code = str(payload.get("code", ""))
        if code not in MALICE:
            return
        _publish(
            "file_scan",
            collectivite_id=collectivite_id,
            at=at,
            # An archive is packed anew for each reader: the others meet what is in it.
            indicators=[
                ["sha256", one] for one in (str(payload.get("sha256", "")), *_words(payload.get("inside")))
            ],
            finding=code,
            names=_words(payload.get("names")),
        )
        return
    # What a list or a person named is no campaign: nobody has to judge it anew for each place where it lies.
    decision = Decision.objects.filter(pk=str(payload.get("decision_id", ""))).first()
    if decision is not None and decision.campaign_id:
        _publish(
            "file_frozen",
            collectivite_id=collectivite_id,
            at=at,
            indicators=[["sha256", decision.value]],
            frozen="true",
        )


def _alarm(collectivite_id: str, at: datetime, payload: Mapping[str, object]) -> None:
    person_id = str(payload.get("person_id", ""))
    addresses = sign_ins.own_addresses(
        person_id, collectivite_id=collectivite_id, door=SIGNED_IN, since=(at - LOOKED_BACK).date()
    )
    if addresses:
        _publish(
            "drive_alarm",
            collectivite_id=collectivite_id,
            person_id=person_id,
            at=at,
            indicators=[["ip", one] for one in addresses],
            drive_alarm="true",
        )


def _publish(
    detector: str,
    *,
    collectivite_id: str,
    at: datetime,
    indicators: list[list[str]],
    person_id: str = "",
    **evidence: object,
) -> None:
    outbox.publish(
        "sighting:from_file",
        {
            "sighting_id": new_id("sgt"),
            "detector": detector,
            "door": DOOR,
            "collectivite_id": collectivite_id,
            "person_id": person_id,
            "seen_at": at.timestamp(),
            "indicators": indicators,
            "evidence": evidence,
            "message": "",
        },
        collectivite_id=collectivite_id,
    )


def _words(value: object) -> list[str]:
    return [str(one)[:120] for one in value[:20]] if isinstance(value, list) else []
