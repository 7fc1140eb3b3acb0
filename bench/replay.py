"""The centre's rules over months of mail: what `bench stream` asks, beside a centre that was stopped.

Purpose: the evidence that the door wrote of each mail is taken out of the database; then each lure comes at its own
         time, in copies of its own to a person of each town hall. Door, sighting and decision are the centre's own
         code; the clock is this process's.
Process: the centre's Python user in the datacenter's namespace; the database is the laboratory's.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import django

django.setup()

from beffroi.core.decisions import consumers, staging
from beffroi.core.decisions.models import Decision
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import whole
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import new_id
from beffroi.mail import actions as mail
from beffroi.mail import journal
from beffroi.mail.engines.rspamd import HELD_FROM
from beffroi.mail.gate.facts import Auth, Facts, Observation, hash_of_message_id, proved_senders
from beffroi.mail.gate.rules import Verdict, judge
from beffroi.mail.models import (
    Mailbox,
    MailDelivery,
    MailMessage,
    MailObservation,
    MailRecipient,
)
from beffroi.watch import actions as watch
from beffroi.watch.models import Campaign, Sighting
from beffroi_lab import clerk
from beffroi_lab.hands import serve
from beffroi_lab.running import wait_until
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import VERSION, Action, Entry, Snapshot
from beffroi_protocol.table import CHANNEL_KINDS, DecisionTable
from django.db import close_old_connections, transaction

from bench.stream import DOMAIN
from tests.fixtures_mail_table import Asked

Answer = dict[str, Any]
_LEAD_S = 3600
_BY_REPLAY = {
    "DATE_IN_PAST": 1.0,
    "FORGED_RECIPIENTS": 2.0,
    "HFILTER_FROMHOST_NORES_A_OR_MX": 1.5,
    "HFILTER_HELO_5": 3.0,
    "HFILTER_HELO_IP_A": 1.0,
    "HFILTER_HELO_NORES_A_OR_MX": 0.3,
    "HFILTER_HOSTNAME_UNKNOWN": 2.5,
    "RDNS_NONE": 2.0,
}
"""What rspamd holds against a mail for being replayed, with its own weights (/etc/rspamd/scores.d): later, for another
recipient, from a host without names."""
_REPORTED_S = (300, 900)
"""How long after it came the first and the second town hall press the button; the Département answers in a day."""
_ANSWERED_S = 86400


@dataclass(frozen=True)
class Seen:
    """What the door saw of one mail."""

    row: MailMessage
    verdict: dict[str, Any]
    observed: tuple[Observation, ...]


def ready() -> Answer:
    """Until every mailbox is open."""
    return {"ok": wait_until(lambda: not Mailbox.objects.filter(ready_at=None).exists(), 240)}


def wait(helo: str) -> Answer:
    """Until the evidence of this mail is in the database."""
    return {"ok": wait_until(lambda: MailMessage.objects.filter(helo=helo).exists(), 240)}


def play(lures: list[Answer], people: list[str]) -> Answer:
    """``lures``: helo, at_s and auth of each, the earliest first. Return how many ended how (bench.stream)."""
    seen = _taken_out()
    mailboxes = [Mailbox.objects.get(address=one) for one in people]
    began_s, each = clock.epoch() + _LEAD_S, list[Answer]()
    for one in lures:
        found = seen.get(one["helo"])
        end, by = "unread", ""
        if found is not None:
            with clock.shifted(began_s + one["at_s"] - lures[0]["at_s"] - clock.epoch()):
                end, by = _comes(_as_received(found, one["auth"]), mailboxes)
        each.append({"end": end, "by": by})
    hit, honest = _honest(seen)
    return {"ok": True, "each": each, "honest": honest, "honest_hit": hit}


def _comes(found: Seen, mailboxes: Sequence[Mailbox]) -> tuple[str, str]:
    """How a lure ended, and what stopped it ("domain example.net")."""
    consumers.expire()
    whole(staging.tick())
    verdict = judge(found.observed, _doors())
    copies = [_deliver(found, one, lies_there=not verdict.decision_id) for one in mailboxes]
    replayed = sum(_BY_REPLAY.get(one, 0.0) for one in found.verdict["symbols"])
    if found.verdict["findings"] or found.verdict["score"] - replayed >= HELD_FROM:
        return ("aside_and_stopped" if verdict.decision_id else "aside"), ""
    if verdict.decision_id:
        return "stopped", _named(verdict)
    for after_s, mailbox, copy in zip(_REPORTED_S, mailboxes, copies, strict=False):
        with clock.shifted(after_s):
            _report(mailbox, copy)
            last = judge(found.observed, _doors())
    if last.decision_id:
        return "after_two", _named(last)
    with clock.shifted(_ANSWERED_S):
        last = _agreed(copies, found)
        return ("after_word", _named(last)) if last.decision_id else ("never", "")


def _named(verdict: Verdict) -> str:
    one = Decision.objects.get(pk=verdict.decision_id)
    return f"{one.kind} {one.value}"


def _agreed(copies: Sequence[str], found: Seen) -> Verdict:
    """The Département's word on the campaigns of these copies."""
    ids = Sighting.objects.filter(message__in=copies).exclude(campaign=None).values("campaign_id")
    for campaign in Campaign.objects.filter(pk__in=ids):
        with contextlib.suppress(BeffroiError):  # closed: there is no button
            watch.confirm_campaign(actor=clerk.administrator(), campaign=campaign)
    return judge(found.observed, _doors())


def _taken_out() -> dict[str, Seen]:
    """By HELO; mail before it stays, as the centre's past."""
    rows = {one.id: one for one in MailMessage.objects.filter(helo__endswith=f".{DOMAIN}")}
    observed: dict[str, list[Observation]] = {}
    for one in MailObservation.objects.filter(message_id__in=rows):
        indicator = Indicator(Kind(one.kind), one.value)
        observed.setdefault(one.message_id, []).append(Observation(indicator, one.role))
    with transaction.atomic():
        for model in (MailObservation, MailRecipient, MailDelivery):
            model.objects.filter(message_id__in=rows).delete()
        MailMessage.objects.filter(pk__in=rows).delete()
    return {
        row.helo: Seen(row, json.loads(row.verdict), tuple(observed.get(id_, ())))
        for id_, row in rows.items()
    }


def _as_received(found: Seen, auth: dict[str, str]) -> Seen:
    """With what its receiver found of its sender, whose DNS nobody asks here."""
    said = Auth(**{name: auth.get(name, "none") for name in ("spf", "dkim", "dmarc")})
    visible = {o.indicator.value for o in found.observed if o.indicator.kind is Kind.SENDER} - {
        found.row.sender
    }
    facts = Facts(
        v=1, id="", sender=found.row.sender, visible_from=next(iter(visible), found.row.sender), auth=said
    )
    told = {
        "auth": {"spf": said.spf, "dkim": said.dkim, "dmarc": said.dmarc},
        "proved_senders": proved_senders(facts),
    }
    return Seen(found.row, {**found.verdict, **told}, found.observed)


@transaction.atomic
def _deliver(found: Seen, mailbox: Mailbox, *, lies_there: bool) -> str:
    """What is on record of a copy for a mailbox; return its identifier. ``lies_there``: it was not refused."""
    id_ = new_id("msg")
    name = f"{id_}@{DOMAIN}"
    MailMessage.objects.create(
        id=id_,
        received_at=clock.now(),
        message_id=f"<{name}>",
        message_id_hash=hash_of_message_id(name),
        sender=found.row.sender,
        client_ip=found.row.client_ip,
        helo=found.row.helo,
        verdict=json.dumps(found.verdict),
    )
    MailObservation.objects.bulk_create(
        MailObservation(message_id=id_, kind=o.indicator.kind.value, value=o.indicator.value, role=o.role)
        for o in found.observed
    )
    MailRecipient.objects.create(message_id=id_, address=mailbox.address)
    if lies_there:
        journal.record(mailbox, id_, clock.now())
    return id_


def _report(mailbox: Mailbox, message_id: str) -> None:
    """A person presses the button, and the sighting is taken in."""
    actor = clerk.person(mailbox.address)
    sighting_id = mail.report_phishing(actor=actor, mailbox=mailbox, beffroi_id=message_id)
    told = OutboxEvent.objects.filter(kind="sighting:reported").latest("id")
    payload = json.loads(told.payload)
    assert payload["sighting_id"] == sighting_id
    with transaction.atomic():
        watch.take_in(sighting_id=sighting_id, payload=payload, landing={})


def _doors() -> Asked:
    """The decisions in force, as a door reads them."""
    return Asked(_table(Decision.objects.filter(state=Decision.State.ACTIVE)), clock.epoch_s())


def _table(rows: Any) -> DecisionTable:
    kinds = {kind.value for kind in CHANNEL_KINDS["mail"]}
    entries = tuple(
        Entry(
            one.id,
            Indicator(Kind(one.kind), one.value),
            Action(one.action),
            int(one.expires_at.timestamp()) if one.expires_at else 2**40,
        )
        for one in rows
        if one.kind in kinds
    )
    table = DecisionTable("mail")
    table.apply(Snapshot(VERSION, "mail", 1, 1, 1, 2**40, "", entries), b"")
    return table


def _honest(seen: dict[str, Seen]) -> tuple[int, int]:
    """How many honest mails anything names that was ever in force, and how many there are."""
    every = _table(Decision.objects.exclude(activated_at=None).order_by("id"))
    ham = [one for helo, one in seen.items() if helo.startswith("h")]
    return sum(bool(judge(one.observed, Asked(every, 0)).decision_id) for one in ham), len(ham)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve({deed.__name__: deed for deed in (ready, wait, play)}, finish=close_old_connections)
