"""The laboratory's clerk: one process beside the centre's own, as its user, with its database.

Purpose: what a person would do over many pages before a scenario (app passwords, codes for boxes), what only a
         compromised centre would do (an entry that names something protected), what only time does (mail that
         becomes old), and looking at what happened
         (decisions, acknowledgements, audit). `python -m beffroi_lab.clerk` speaks like ``hands``.
Process: the centre's Python user, in the datacenter's namespace; writes through the centre's own actions.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import django
import msgspec

django.setup()

from beffroi.boxes import actions as boxes
from beffroi.boxes.models import Box, BoxAck, BoxPolicy
from beffroi.core.audit import queries as audit
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import exceptions
from beffroi.core.decisions.models import Decision, FeedBatch
from beffroi.core.events import outbox
from beffroi.core.events.models import InboxFact
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Administrator, Membership
from beffroi.drive import actions as drive
from beffroi.drive import alarms
from beffroi.drive.store.commune import Communes
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError
from beffroi.mail import actions as mail
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage
from beffroi.watch import actions as watch
from beffroi.watch.models import Campaign, CampaignIndicator, Sighting
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Batch, Policy, decode_feed
from beffroi_protocol.signing import split_line
from django.conf import settings
from django.db import close_old_connections, transaction
from django.db.models import Count, F, Max

from beffroi_lab import hands
from beffroi_lab.running import wait_until

Answer = dict[str, Any]
_BOX_CLOCK_S = 5


def administrator() -> Actor:
    return Actor("administrator", Administrator.objects.earliest("id").id)


def _membership(email: str) -> Membership:
    return (
        Membership.objects.filter(person__email=email).select_related("person", "collectivite").earliest("id")
    )


def person(email: str) -> Actor:
    member = _membership(email)
    return Actor("person", member.person_id, member.collectivite_id, member.role)


def app_passwords(emails: list[str], protocol_set: str = "imap") -> Answer:
    """An app password for each person, as they would make it on their page."""
    made = {}
    for email in emails:
        issued = identity.issue_app_password(
            actor=person(email),
            membership=_membership(email),
            protocol_set=protocol_set,
            label="laboratoire",
        )
        made[email] = issued.secret
    return {"ok": True, "secrets": made}


def box_code(domain: str) -> Answer:
    """A code to enrol a box with, as the Département issues it."""
    owner = Collectivite.objects.get(pk=Domain.objects.get(name=domain).collectivite_id)
    return {"ok": True, "code": boxes.issue_code(actor=administrator(), collectivite=owner)}


def confirm_box(fingerprint: str) -> Answer:
    """Confirm the pending box with this fingerprint, as a person compares it with the label."""
    for box in Box.objects.filter(state="pending"):
        if box.fingerprint.replace(" ", "") == fingerprint.replace(" ", ""):
            boxes.confirm(actor=administrator(), box=box)
            return {"ok": True}
    return {"ok": False}


def box_id(fingerprint: str) -> Answer:
    """The identifier of an enrolled box."""
    found = {box.fingerprint.replace(" ", ""): box.id for box in Box.objects.filter(state="active")}
    return {"ok": True, "box_id": found[fingerprint.replace(" ", "")]}


def decided(since_ms: int) -> Answer:
    """Every decision proposed since, and the campaigns they belong to."""
    rows = [
        {
            "id": d.id,
            "kind": d.kind,
            "value": d.value,
            "action": d.action,
            "state": d.state,
            "rule": d.rule,
            "reason": d.reason,
            "campaign_id": d.campaign_id,
            "activated_ms": _epoch_ms(d.activated_at),
            "ended_ms": _epoch_ms(d.ended_at),
            "ttl_s": int((d.expires_at - d.activated_at).total_seconds())
            if d.expires_at and d.activated_at
            else 0,
            "evidence": d.evidence,
        }
        for d in Decision.objects.order_by("id")
        if (_epoch_ms(d.activated_at) or 0) >= since_ms
    ]
    return {"ok": True, "decisions": rows}


def enforced(decision_ids: list[str], boxes_wanted: int, ended: bool, limit_s: float = 10) -> Answer:
    """Wait until every box acknowledged these decisions (or their end), and say when each enforced them.

    An acknowledgement is replaced by the next one, so the rows are read every few milliseconds.
    """
    wanted, needed = set(decision_ids), 0
    seen: dict[str, int] = {}
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        needed = needed or _version_of(wanted, ended=ended)
        for ack in BoxAck.objects.filter(channel="box"):
            if needed and ack.version >= needed:
                seen.setdefault(ack.box_id, int(ack.enforced_at_ms))
        if len(seen) >= boxes_wanted:
            break
        time.sleep(0.02)
    return {"ok": len(seen) >= boxes_wanted, "boxes": seen, "version": needed}


def acknowledged(decision_id: str) -> Answer:
    """How many boxes said that they enforce a decision, and when the centre wrote down the last word of it."""
    version = _version_of({decision_id}, ended=False)
    found = BoxAck.objects.filter(channel="box", version__gte=version or 2**62).aggregate(
        count=Count("box_id"), last=Max("received_at")
    )
    return {"ok": True, "boxes": found["count"], "last_ms": _epoch_ms(found["last"]) or 0}


def _version_of(decision_ids: set[str], *, ended: bool) -> int:
    """The version of the channel ``box`` that holds the last of these decisions, 0 while there is none."""
    for row in FeedBatch.objects.filter(channel="box").order_by("-to_version")[:50]:
        batch = decode_feed(split_line(bytes(row.line))[2])
        if isinstance(batch, Batch):
            named = set(batch.removed) if ended else {entry.id for entry in batch.added}
            if named & decision_ids:
                return batch.to_version
    return 0


def report(email: str, message_id: str) -> Answer:
    """A person reports a delivered message, through the same action as the page's button."""
    mailbox = Mailbox.objects.get(address=email)
    known = messages([message_id])["ids"]
    if not known:  # its evidence is still on its way to the database
        return {"ok": False, "code": "mail.not_known_yet"}
    try:
        found = mail.report_phishing(actor=person(email), mailbox=mailbox, beffroi_id=known[message_id])
    except BeffroiError as error:
        return {"ok": False, "code": error.code}
    return {"ok": True, "sighting_id": found}


def age_mail(days_by_message_id: dict[str, int], limit_s: float) -> Answer:
    """Make delivered messages older: with ``age_campaigns`` the laboratory's only write past the centre's actions for
    which no attacker stands. Waits until each has its evidence and its delivery."""

    def known() -> dict[str, str]:
        ids = messages(list(days_by_message_id))["ids"]
        there = set(
            MailDelivery.objects.filter(message_id__in=ids.values()).values_list("message_id", flat=True)
        )
        return {wanted: found for wanted, found in ids.items() if found in there}

    complete = wait_until(lambda: len(known()) == len(days_by_message_id), limit_s)
    with transaction.atomic():
        for wanted, found in known().items():
            back = timedelta(days=days_by_message_id[wanted])
            message = MailMessage.objects.get(pk=found)
            MailMessage.objects.filter(pk=found).update(received_at=message.received_at - back)
            for delivery in MailDelivery.objects.filter(message_id=found):
                MailDelivery.objects.filter(pk=delivery.pk).update(delivered_at=delivery.delivered_at - back)
    return {"ok": complete, "deliveries": len(known())}


def age_campaigns(days: int) -> Answer:
    """Make what was seen of every campaign so far older: another attacker has another machine, the laboratory one."""
    aged = CampaignIndicator.objects.update(added_at=F("added_at") - timedelta(days=days))
    return {"ok": True, "aged": aged}


def campaigns() -> Answer:
    rows = [
        {
            "id": c.id,
            "state": c.state,
            "sightings": c.sightings,
            "names": sorted({i.value for i in c.indicators.all() if i.kind == "domain"}),
            "communes": c.communes,
            "detectors": c.detectors,
            "refusals": c.refusals,
            "decisions": c.decisions,
        }
        for c in Campaign.objects.order_by("id")
    ]
    return {"ok": True, "campaigns": rows}


def confirm(campaign_id: str) -> Answer:
    """The Département's word by its action; the scenario itself presses the button of the page."""
    try:
        made = watch.confirm_campaign(actor=administrator(), campaign=Campaign.objects.get(pk=campaign_id))
    except BeffroiError as error:
        return {"ok": False, "code": error.code}
    return {"ok": True, "decisions": made}


def undo(campaign_id: str) -> Answer:
    ended = watch.undo_campaign(actor=administrator(), campaign=Campaign.objects.get(pk=campaign_id))
    return {"ok": True, "ended": ended}


def block(kind: str, value: str) -> Answer:
    """Ask the centre to block something for all, as the Département; a protected thing is refused."""
    try:
        made = decisions.activate(
            actor=administrator(),
            indicator=normalise(kind, value),
            action="block",
            reason="laboratory",
            evidence={},
            rule="laboratory",
            ttl_s=3600,
        )
    except BeffroiError as error:
        return {"ok": False, "code": error.code}
    return {"ok": True, "decision_id": made.id}


@transaction.atomic
def forge(kind: str, value: str) -> Answer:
    """What a compromised centre would do: a decision past every check, which the feed key then signs."""
    outbox.serialise()
    now, canonical = clock.now(), normalise(kind, value)
    made = Decision.objects.create(
        kind=Kind(kind).value,
        value=canonical.value,
        action="block",
        state="active",
        reason="forged",
        rule="forged",
        proposed_at=now,
        activated_at=now,
        expires_at=now + timedelta(hours=1),
        decided_by="laboratory",
    )
    outbox.publish("decision:activated", decisions._payload(made), collectivite_id=None)
    return {"ok": True, "decision_id": made.id}


def take_back_files(domain: str) -> Answer:
    """Everything that stopped devices of a commune did, as before: the page's action, by the Département."""
    owner = Domain.objects.get(name=domain).collectivite_id
    with ThreadPoolExecutor(1) as commits:
        config = settings.BEFFROI
        communes = Communes(config.state / "drive", commits, config.drive_database)
        database = communes.metadata(owner)
        with database.reading() as reading:
            stopped = alarms.stopped(reading)
        done = [
            drive.take_back(actor=administrator(), database=database, collectivite_id=owner, device_id=one)
            for one in stopped
        ]
        communes.close()
    return {
        "ok": bool(done),
        "steps": sum(one.done for one in done),
        "missed": sum(one.missed for one in done),
    }


def except_locally(domain: str, kind: str, value: str) -> Answer:
    """A commune lets something through, by the word of the Département."""
    made = exceptions.allow_locally(
        actor=administrator(),
        collectivite_id=Domain.objects.get(name=domain).collectivite_id,
        indicator=normalise(kind, value),
        ttl_s=86400,
        reason="laboratoire",
    )
    return {"ok": True, "exception_id": made.id}


def withdraw(decision_id: str) -> Answer:
    found = Decision.objects.get(pk=decision_id)
    return {"ok": decisions.revoke(actor=administrator(), decision=found, reason="laboratory")}


def facts(kind: str) -> Answer:
    rows = InboxFact.objects.filter(kind=kind).order_by("received_at")
    return {"ok": True, "facts": [{"source": r.source, "payload": r.payload} for r in rows]}


def sightings(since_ms: int) -> Answer:
    """What was seen since, and a little before: a box tells whole seconds of its own clock. ``at_ms``: when the centre
    took in the first of its campaign."""
    since = datetime.fromtimestamp(since_ms / 1000, UTC) - timedelta(seconds=_BOX_CLOCK_S)
    rows = Sighting.objects.filter(seen_at__gte=since).select_related("campaign").order_by("id")
    return {
        "ok": True,
        "sightings": [
            {
                "detector": r.detector,
                "collectivite_id": r.collectivite_id,
                "campaign_id": r.campaign_id,
                "at_ms": _epoch_ms(r.campaign.first_seen) if r.campaign else None,
                "values": [value for _, value in r.indicators],
            }
            for r in rows
        ],
    }


def verify_audit() -> Answer:
    found = audit.verify(full=True)
    return {"ok": found.ok, "count": found.count, "head": audit.head()}


def messages(message_ids: list[str]) -> Answer:
    """Our own header id for each message id that the centre accepted."""
    found = {}
    for wanted in message_ids:
        rows = MailMessage.objects.filter(message_id__contains=wanted.strip("<>"))
        row = rows.order_by("-received_at").first()
        if row is not None:
            found[wanted] = row.id
    return {"ok": True, "ids": found}


def set_policy(domain: str, changes: dict[str, Any]) -> Answer:
    """Give a commune another policy for its boxes, the last one with ``changes``."""
    owner = Collectivite.objects.get(pk=Domain.objects.get(name=domain).collectivite_id)
    last = BoxPolicy.objects.filter(collectivite_id=owner.id).latest("policy_version")
    policy = msgspec.convert({**last.policy, **changes}, Policy)
    version = boxes.set_policy(actor=administrator(), collectivite=owner, policy=policy)
    return {"ok": True, "version": version}


def _epoch_ms(moment: Any) -> int | None:
    return int(moment.timestamp() * 1000) if moment else None


_DEEDS = (
    app_passwords, box_code, confirm_box, box_id, decided, enforced, acknowledged, report, campaigns, confirm, undo,
    block, forge, except_locally, withdraw, facts, verify_audit, messages, set_policy, age_mail,
    age_campaigns, sightings, take_back_files,
)  # fmt: skip

if __name__ == "__main__":
    try:
        hands.serve({deed.__name__: deed for deed in _DEEDS}, finish=close_old_connections)
    except KeyboardInterrupt:
        pass
