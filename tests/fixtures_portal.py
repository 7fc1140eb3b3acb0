"""What the portal's tests share: mails with hostile content, a seeded département, servers that show it.

The mail server is replaced at one point only: ``reader.open_mailbox``. The real one is used by the tests of mail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from beffroi.lib import clock, ids
from beffroi.lib.errors import NotFound
from beffroi.mail.reader import Attachment, Authentication, MessageSummary, MessageView
from django.test import Client

if TYPE_CHECKING:
    from beffroi.mail.models import Mailbox, RemediationJob

    from tests.conftest import Commune

LURE_ID = "msg_" + "1" * 26
FILE = b"PK\x03\x04 not really an archive"
SEEN: list[int] = []
LURE_HTML = """
<html><head><style>body{background:url(http://evil.test/x)}</style><script>alert(1)</script></head>
<body onload="alert(2)"><p>Bonjour, votre colis est en attente.</p>
<p><a href="https://colis-suivi-paiement.example/laposte" onclick="alert(3)">https://www.laposte.fr/suivi</a></p>
<img src="https://pixel.example/t.gif" alt="logo" onerror="alert(4)">
<form action="https://evil.test"><input name=p></form>
<iframe src="https://evil.test"></iframe></body></html>
"""


def letter(uid: int, subject: str, sender: str, **changes: Any) -> MessageView:
    summary = MessageSummary(
        uid=uid,
        beffroi_id="msg_" + str(uid % 10) * 26,
        from_name=changes.pop("name", ""),
        from_address=sender,
        subject=subject,
        received_at=clock.now() - timedelta(minutes=17 * uid),
        seen=changes.pop("seen", True),
        unchecked=changes.pop("unchecked", False),
    )
    view = MessageView(summary, ("mairie@beaune.test",), "Bonjour,\n\nBien à vous.", "", (), Authentication())
    return replace(view, **changes)


def letters() -> list[MessageView]:
    """A lure, and ordinary mail with hostile subjects."""
    return [
        letter(
            1,
            "Votre colis est en attente de paiement <script>alert(1)</script>",
            "suivi@colis-suivi-paiement.example",
            name="La Poste",
            html=LURE_HTML,
            text="Votre colis est en attente.",
            seen=False,
            authentication=Authentication(spf="fail", dkim="none", dmarc="fail"),
            attachments=(Attachment("2", "facture 88213.zip", "application/zip", 48_213),),
        ),
        letter(
            2,
            "Contrôle de légalité : délibération 2026-41 reçue",
            "prefecture@cote-dor.example",
            name="Préfecture de la Côte-d’Or",
            seen=False,
            authentication=Authentication("pass", "pass", "pass"),
        ),
        letter(3, "Effectifs cantine, semaine 49", "ecole@nuits.test", name="École Jean-Macé"),
        letter(4, "Permis de construire, pièces manquantes", "j.bertrand@example.org", unchecked=True),
        letter(5, "x" * 180, "long@" + "a" * 60 + ".example", name="Un nom " + "très " * 20 + "long"),
    ]


class ShownMailbox:
    """What the reader is asked, answered from a list."""

    def __init__(self, held: list[MessageView]) -> None:
        self._held = {one.summary.uid: one for one in held}

    def list(
        self, folder: str = "INBOX", limit: int = 50, before_uid: int | None = None
    ) -> list[MessageSummary]:
        found = [
            one.summary for one in self._held.values() if before_uid is None or one.summary.uid < before_uid
        ]
        return found[:limit]

    def read(self, uid: int, folder: str = "INBOX") -> MessageView:
        if uid not in self._held:
            raise NotFound("message")
        return self._held[uid]

    def mark_seen(self, uid: int, folder: str = "INBOX") -> None:
        SEEN.append(uid)

    def attachment(self, uid: int, section: str, folder: str = "INBOX") -> tuple[Attachment, bytes]:
        for one in self.read(uid).attachments:
            if one.part == section:
                return one, FILE
        raise NotFound("attachment")


def opener(held: Callable[[], list[MessageView]]) -> Callable[..., Any]:
    @contextmanager
    def open_mailbox(config: object, address: str) -> Iterator[ShownMailbox]:
        yield ShownMailbox(held())

    return open_mailbox


@pytest.fixture
def shown_mail(monkeypatch: pytest.MonkeyPatch) -> list[MessageView]:
    from beffroi.mail import reader

    held = letters()
    SEEN.clear()
    monkeypatch.setattr(reader, "open_mailbox", opener(lambda: held))
    return held


@pytest.fixture(autouse=True)
def no_door(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No feed runs beside a module that imports this: no address is refused unless a test says so."""
    from beffroi.core.decisions import door
    from django.core.cache import cache

    monkeypatch.setattr(door, "blocked_address", lambda *_: None)
    yield
    cache.clear()


def own_mailbox(commune: Commune) -> Mailbox:
    """The mailbox of the commune's agent, empty and without engines."""
    from beffroi.mail.models import Mailbox

    made: Mailbox = Mailbox.objects.create(
        collectivite_id=commune.id,
        address=f"agent@{commune.domain}",
        person_id=commune.agent.id,
        crypt_key="-",
    )
    return made


def deliver(mailbox: Any, beffroi_id: str) -> None:
    """The evidence that mailgate and the journal would have written for a lure."""
    from beffroi.mail.models import MailDelivery, MailMessage, MailObservation

    MailMessage.objects.get_or_create(
        id=beffroi_id,
        defaults={
            "received_at": clock.now(),
            "message_id": "a@b",
            "message_id_hash": "0" * 64,
            "sender": "suivi@colis-suivi-paiement.example",
            "client_ip": "45.155.204.9",
            "helo": "mail.example",
            "verdict": '{"auth":{"spf":"fail","dkim":"none","dmarc":"fail"},"link_mismatch":true}',
        },
    )
    for kind, value, role in (
        ("url", "https://colis-suivi-paiement.example/laposte", "link"),
        ("domain", "colis-suivi-paiement.example", "link"),
        ("sender", "suivi@colis-suivi-paiement.example", "sender"),
        ("domain", "impots.gouv.fr", "link"),
    ):
        MailObservation.objects.get_or_create(message_id=beffroi_id, kind=kind, value=value, role=role)
    MailDelivery.objects.create(
        message_id=beffroi_id,
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        folder="INBOX",
        delivered_at=clock.now(),
    )


def sighting(
    collectivite_id: str, person_id: str, message: str = LURE_ID, host: str = "colis-suivi-paiement.example"
) -> str:
    """A report of a person with what the mail door saw; returns its id."""
    from beffroi.watch import actions

    sighting_id = ids.new_id("sig")
    actions.take_in(
        sighting_id=sighting_id,
        payload={
            "detector": "user_report",
            "door": "mail",
            "collectivite_id": collectivite_id,
            "person_id": person_id,
            "message": message,
            "seen_at": clock.epoch_s(),
            "indicators": [
                ["url", f"https://{host}/laposte"],
                ["domain", host],
                ["domain", "impots.gouv.fr"],
            ],
            "evidence": {"spf": "fail", "dmarc": "fail", "link_mismatch": True},
        },
        landing={host: ["45.155.204.9"]},
    )
    return sighting_id


def waiting_withdrawal(campaign_id: str, mailbox: Mailbox) -> RemediationJob:
    """One copy of the campaign's page, of which there are too many for one word."""
    from beffroi.core.decisions.models import Decision
    from beffroi.mail.models import RemediationItem, RemediationJob

    decision = Decision.objects.get(campaign_id=campaign_id, kind="url")
    job: RemediationJob = RemediationJob.objects.create(
        direction="withdraw", decision_id=decision.id, campaign_id=campaign_id, state="waiting"
    )
    RemediationItem.objects.create(
        job=job, message_id=LURE_ID, mailbox_id=mailbox.id, collectivite_id=mailbox.collectivite_id
    )
    return job


@dataclass(frozen=True)
class Seeded:
    """What the seeded département holds."""

    agent_email: str
    administrator_email: str
    totp_secret: str
    campaign_id: str
    open_campaign_id: str
    pending_box_id: str
    mailbox_id: str
    waiting_job_id: str
    active_box_id: str
    incident_id: str
    account_incident_id: str
    decision_id: str
    review_id: str
    appeal_id: str


def seed(password: str) -> Seeded:
    """Three communes, a decided and an open campaign, boîtiers in each state. Errors: none on an empty database."""
    from beffroi.boxes.models import Box, FlowCount
    from beffroi.core.communes import actions as communes
    from beffroi.core.identity import actions as identity
    from beffroi.core.identity.actor import Actor
    from beffroi.core.identity.administrators import create_administrator
    from beffroi.mail.models import Mailbox
    from beffroi.watch.models import Campaign

    system = Actor.system("seed")
    people, owners = [], []
    for insee, domain, who in (
        ("21054", "beaune.test", "Claire Martin"),
        ("21464", "nuits.test", "Paul Lebrun"),
        ("21584", "saulieu.test", "Nadia Roux"),
    ):
        owner = communes.enrol_commune(actor=system, insee=insee)
        communes.add_domain(actor=system, collectivite=owner, name=domain)
        person = identity.create_person(actor=system, email=f"mairie@{domain}", name=who, password=password)
        identity.add_membership(actor=system, person=person, collectivite=owner, role="agent")
        people.append(person)
        owners.append(owner)
    identity.add_membership(actor=system, person=people[0], collectivite=owners[2], role="agent")
    mailbox = Mailbox.objects.create(
        collectivite_id=owners[0].id,
        address="mairie@beaune.test",
        person_id=people[0].id,
        crypt_key="-",
        ready_at=clock.now(),
    )
    deliver(mailbox, LURE_ID)
    administrator = create_administrator(
        actor=system, email="admin@cotedor.test", name="Ada Perrin", password=password
    )
    now = clock.now()
    for owner, state, seen, serial in (
        (owners[0], "active", now, "BF-0001"),
        (owners[1], "active", now - timedelta(hours=30), "BF-0002"),
        (owners[2], "pending", None, "BF-0003"),
    ):
        Box.objects.create(
            collectivite_id=owner.id,
            serial=serial,
            public_key=serial.ljust(43, "A"),
            fingerprint="k7qd-m2xp-9rtb-wz4f",
            state=state,
            last_seen_at=seen,
        )
    _seed_fleet(owners[0])
    FlowCount.objects.create(
        collectivite_id=owners[0].id,
        day=now.date(),
        kind="ip",
        value="45.155.204.9",
        direction="out",
        count=7,
        last_at=now,
    )
    sighting(owners[1].id, people[1].id, "msg_" + "8" * 26)
    sighting(owners[2].id, people[2].id, "msg_" + "9" * 26)
    decided = Campaign.objects.get(state="decided")
    sighting(owners[1].id, people[1].id, "msg_" + "7" * 26, host="ameli-remboursement.example")
    waiting = Campaign.objects.get(state="open")
    pending = Box.objects.get(state="pending")
    job = waiting_withdrawal(decided.id, mailbox)
    return Seeded(
        "mairie@beaune.test",
        "admin@cotedor.test",
        administrator.totp_secret,
        decided.id,
        waiting.id,
        pending.id,
        mailbox.id,
        job.id,
        Box.objects.get(serial="BF-0001").id,
        *_seed_incidents(owners[0].id, people[0], administrator.record.id, job),
        *_seed_decisions(owners[0].id, people[0].id, administrator.record.id, job.decision_id),
    )


def _seed_decisions(owner: str, person_id: str, administrator_id: str, decision_id: str) -> tuple[str, str]:
    """One decision that communes live on, an appeal, an exception, what is never decided again; ids of the review
    and of the appeal."""
    from beffroi.core.decisions import actions, appeals, exceptions, never_again, staging
    from beffroi.core.decisions.models import Decision
    from beffroi.core.identity.actor import Actor
    from beffroi_protocol.indicators import normalise

    agent = Actor("person", person_id, owner, "agent")
    administrator = Actor("administrator", administrator_id)
    made = [
        actions.activate(
            actor=administrator,
            indicator=normalise("domain", name),
            action="block",
            reason="lone_source",
            evidence={"communes": 0, "detectors": ["listed_name"]},
            rule="lone_source",
            ttl_s=86400,
            strength="weak",
        )
        for name in ("fournitures-bureau-bourgogne.com", "catalogue-vetements.com")
    ]
    staging.note_effect(decision_id=made[0].id, collectivite_id=owner, looked_back=214, days=17)
    Decision.objects.filter(pk=made[0].id).update(state="review", review_reason="over_budget")
    staging.note_effect(decision_id=decision_id, collectivite_id=owner, blocked_out=3)
    site = normalise("domain", "webmail-cdg21.example.net")
    never_again.never_again(actor=administrator, indicator=site, reason="Messagerie du centre de gestion")
    appeal = appeals.appeal(
        actor=agent,
        decision_id=decision_id,
        text="C’est le site de notre transporteur, nous attendons un colis.",
    )
    exceptions.allow_locally(
        actor=agent,
        collectivite_id=owner,
        indicator=normalise("domain", "cartes-routieres.example.net"),
        ttl_s=3600,
        reason="Réunion de voirie cet après-midi",
    )
    return made[0].id, appeal.id


def _seed_incidents(
    owner: str, person: Any, administrator_id: str, job: RemediationJob
) -> tuple[str, str, str]:
    """A network that met a decided page, and a led account beside it; ids of both and of the decision."""
    from beffroi.core.decisions.models import Decision
    from beffroi.core.identity import actions as identity
    from beffroi.core.identity import queries
    from beffroi.core.identity.actor import Actor
    from beffroi.incidents import actions, look_back
    from beffroi.incidents.models import Incident
    from beffroi.incidents.rules import Kind
    from beffroi.mail.models import RemediationItem

    decision = Decision.objects.get(pk=job.decision_id)
    now = clock.epoch_s()
    look_back.take_in_flows(
        collectivite_id=owner,
        payload={
            "box_id": "box_" + "1" * 26,
            "entry_id": decision.id,
            "indicator_kind": decision.kind,
            "indicator_value": decision.value,
            "count": 41,
            "days": 3,
            "first_at": now - 9 * 86400,
            "last_at": now - 7200,
        },
    )
    network = Incident.objects.get(collectivite_id=owner)
    actions.open_incident(
        actor=actions.SYSTEM,
        kind=Kind.COMMAND_SERVER,
        collectivite_id=owner,
        subject="seed",
        occurred_at=clock.now() - timedelta(days=1),
        data={"count": 3, "days": 1, "value": "185.203.116.9"},
        evidence=[look_back.evidence_of(decision)],
    )
    account = actions.open_incident(
        actor=actions.SYSTEM,
        kind=Kind.FOREIGN_SIGN_IN,
        collectivite_id=owner,
        subject="seed",
        occurred_at=clock.now() - timedelta(days=4),
        person_id=person.id,
        data={"count": 2, "address": "185.203.116.9"},
    )
    leader = Actor("administrator", administrator_id, None, "administrator")
    actions.take(actor=leader, incident=account)
    actions.set_state(actor=leader, incident=account, state="waiting_commune")
    agent = Actor("person", person.id, owner, "agent")
    membership = next(m for m in queries.current_memberships(person.id) if m.collectivite_id == owner)
    identity.issue_app_password(
        actor=agent, membership=membership, protocol_set="imap,smtp", label="Poste de l’accueil"
    )
    actions.add_note(actor=agent, incident=account, text="J’étais en congé ce jour-là.")
    RemediationItem.objects.filter(job=job).update(flags="\\Seen")
    return network.id, account.id, decision.id


def _seed_fleet(owner: Any) -> None:
    """A boîtier that observes, with everything that its page shows."""
    from beffroi.boxes import actions
    from beffroi.boxes.models import (
        Box,
        BoxBypass,
        BoxDiagnosis,
        BoxNotice,
        BoxRelease,
        BoxUpdate,
        LearnedFlow,
    )
    from beffroi.core.identity.actor import Actor
    from beffroi.core.identity.models import Administrator
    from beffroi_protocol.messages import InboundRule, Policy

    administrator = Actor("administrator", Administrator.objects.get().id, None, "administrator")
    until = clock.epoch_s() + 9 * 86400
    vpn = InboundRule(
        "udp", 51820, ("192.0.2.0/24",), "Télémaintenance du logiciel de paie et de la facturation"
    )
    for policy, reason in (
        (Policy(observe_until=until, protected_names=("beaune.test",)), ""),
        (
            Policy(observe_until=until, inbound=(vpn,), honeyports=(23, 3389)),
            "Demande de l’éditeur, vue avec la mairie",
        ),
    ):
        actions.set_policy(actor=administrator, collectivite=owner, policy=policy, reason=reason)
    now = clock.now()
    for direction, port, remote, service, state in (
        ("in", 8443, "82.64.10.0/24", "", "open"),
        ("in", 51821, "2001:db8:1::/48", "Caméras", "open"),
        ("in", 22, "198.51.100.0/24", "", "ignored"),
        ("out", 443, "", "Chorus Pro", "open"),
    ):
        LearnedFlow.objects.create(
            collectivite_id=owner.id, direction=direction, protocol="tcp", port=port, remote=remote, service=service,
            state=state, count=port, first_at=now - timedelta(days=3), last_at=now, decided_at=now,
        )  # fmt: skip
    BoxBypass.objects.create(collectivite_id=owner.id, kind="foreign_dns", count=3, first_at=now, last_at=now)
    for number, state, why in ((3, "stored", ""), (2, "stopped", "2 of 71: rolled_back"), (1, "done", "")):
        BoxRelease.objects.create(
            number=number, version=f"0.{number}.0", sha256="ab" * 32, size_bytes=1, line="-", state=state,
            expires_at=now + timedelta(days=30), stage=3 if state == "done" else 2, canary_id=owner.id if why else "",
            stopped_because=why,
        )  # fmt: skip
    BoxUpdate.objects.create(
        box_id=Box.objects.get(serial="BF-0001").id, collectivite_id=owner.id, number=2, outcome="rolled_back",
        reason="not healthy", told_at=now,
    )  # fmt: skip
    BoxDiagnosis.objects.create(
        box_id=Box.objects.get(serial="BF-0001").id, collectivite_id=owner.id, asked_by=administrator.id,
        answered_at=now, expires_at=now + timedelta(days=7),
        report={
            "rules": "loaded", "agent": "0.1.0", "system": "Debian GNU/Linux 13 (trixie)", "mode": "router",
            "uptime_s": "190000", "wan_link": "up 1000", "wan_addresses": "192.168.1.20/24", "lan_link": "down",
            "lists": "box 1:9, box@col 1:2", "disk_free_bytes": "900", "disk_total_bytes": "64000000000",
            "memory_available_kib": "400000", "memory_total_kib": "4000000", "clock_offset_s": "-315360000",
        },
    )  # fmt: skip
    BoxNotice.objects.create(
        id="notice-1", box_id="box_1", collectivite_id=owner.id, kind="entry_refused",
        indicator_value="impots.gouv.fr", reason="a public service", at=now,
    )  # fmt: skip


@contextmanager
def on_listener(name: str) -> Iterator[None]:
    """The settings of "web" or "console" instead of the present ones: keys, cookies, addresses, middleware."""
    from importlib import import_module

    from django.conf import settings as present
    from django.test import override_settings

    wanted = import_module(f"beffroi.settings.{name}")
    kept = ("DATABASES", "CACHES", "INSTALLED_APPS", "BEFFROI", "PASSWORD_HASHERS")
    changed = {
        one: getattr(wanted, one)
        for one in dir(wanted)
        if one.isupper() and one not in kept and getattr(wanted, one) != getattr(present, one, None)
    }
    with override_settings(**changed):
        yield


def portal_client(membership: Any) -> Client:
    """A browser of the person of this membership."""
    from beffroi.core.identity import sessions

    client = Client(headers={"X-Beffroi-Listener": "portal"})
    client.force_login(membership.person)
    session = client.session
    session[sessions.MEMBERSHIP_KEY] = membership.id
    session.save()
    return client


def console_client(administrator_id: str) -> Client:
    """A browser of an administrator; inside ``on_listener("console")``."""
    from beffroi.core.identity import sessions
    from beffroi.core.identity.models import Administrator
    from django.conf import settings

    client = Client(headers={"X-Beffroi-Listener": "console"})
    session = client.session
    sessions.start_administrator_session(session, Administrator.objects.get(pk=administrator_id))
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key or ""
    return client
