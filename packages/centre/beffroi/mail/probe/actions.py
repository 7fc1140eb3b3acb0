"""Keep how the probe's mails went, and raise and end its alarm: one transaction a run."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.mail.drafts import Place
from beffroi.mail.probe import queries
from beffroi.mail.probe.models import ProbeRun
from beffroi.mail.probe.paths import Result
from beffroi.mail.probe.told import Way

SYSTEM = Actor.system("mail-probe")
WRITTEN = "mail:probe_written"


@transaction.atomic
def keep(results: Sequence[Result]) -> list[Way]:
    """Write the runs; the second failure in a row of a path alarms, its next success ends that."""
    told = []
    for one in results:
        before = queries.failures(one.path)
        ProbeRun.objects.create(path=one.path, code=one.code, duration_ms=one.duration_ms)
        now = before + 1 if one.code else 0
        if now == queries.ALARM_AFTER:
            _tell("failed", one)
        elif not now and before >= queries.ALARM_AFTER:
            _tell("well", one)
        told.append(Way(one.path, one.code, one.duration_ms, now))
    return told


@transaction.atomic
def ask_webmail(place: Place) -> None:
    """Let the process webmail send this draft of the probe's mailbox."""
    publish(WRITTEN, {"uid_validity": place.uid_validity, "uid": place.uid})


def _tell(word: str, one: Result) -> None:
    audit.record(
        SYSTEM,
        f"mail:probe:{word}",
        one.path,
        collectivite_id=None,
        details={"code": one.code or "ok", "duration_ms": one.duration_ms},
    )
    publish(f"mail:probe_{word}", {"path": one.path, "code": one.code})
