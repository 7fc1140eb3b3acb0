"""A seeded département for servers that show the portal: one thing of each kind, in each state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from beffroi.lib import clock

from tests.fixtures_portal import LURE_ID, deliver, sighting, waiting_withdrawal

if TYPE_CHECKING:
    from beffroi.mail.models import RemediationJob


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
    from beffroi.incidents import actions, files, look_back
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
    sha256 = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
    found = {"sha256": sha256, "code": "malware", "names": ["RtfObject"], "files": 2, "versions": 1}
    look_back.take_in_found(collectivite_id=owner, at=clock.now(), payload=found)
    files.answer(collectivite_id=owner, sha256=sha256, code="review_asked")
    look_back.take_in_frozen(
        collectivite_id=owner,
        at=clock.now(),
        payload={"decision_id": decision.id, "sha256": "0" * 64, "files": 3, "versions": 0},
        held=True,
    )
    look_back.take_in_drive_alarm(
        collectivite_id=owner,
        at=clock.now(),
        payload={"app_password_id": "apw_seed", "person_id": person.id, "files": 4, "reasons": {"lost": 4}},
        elsewhere=False,
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
        OpeningRequest,
        RelayDay,
    )
    from beffroi.core.identity.actor import Actor
    from beffroi.core.identity.models import Administrator
    from beffroi.mail.models import Mailbox
    from beffroi_protocol.messages import InboundRule, Policy
    from beffroi_protocol.relaying import Device, Relay

    administrator = Actor("administrator", Administrator.objects.get().id, None, "administrator")
    until = clock.epoch_s() + 9 * 86400
    vpn = InboundRule(
        "udp", 51820, ("192.0.2.0/24",), "Télémaintenance du logiciel de paie et de la facturation"
    )
    devices = (
        Device("192.168.1.50", "Copieur du secrétariat"),
        Device("00:1b:a9:12:34:56", "Logiciel de paie"),
    )
    copiers = Relay("copieur@beaune.test", "mx.beffroi.test", devices, ("@beaune.test", "paie@cdg21.example"))
    Mailbox.objects.create(
        collectivite_id=owner.id, address=copiers.sender, crypt_key="-", ready_at=clock.now()
    )
    for policy, reason in (
        (Policy(observe_until=until, protected_names=("beaune.test",)), ""),
        (
            Policy(observe_until=until, inbound=(vpn,), honeyports=(23, 3389), relay=copiers),
            "Demande de l’éditeur, vue avec la mairie",
        ),
    ):
        actions.set_policy(actor=administrator, collectivite=owner, policy=policy, reason=reason)
    now = clock.now()
    for device, sent, refused, why in (("Copieur du secrétariat", 12, 1, "size"), ("", 0, 3, "device")):
        RelayDay.objects.create(
            collectivite_id=owner.id, day=now.date(), device=device, sent=sent, refused=refused, reason=why,
            refused_at=now, last_at=now,
        )  # fmt: skip
    for port, state in ((8443, "asked"), (8554, "accepted"), (3389, "declined")):
        OpeningRequest.objects.create(
            collectivite_id=owner.id, machine="192.168.1.60", protocol="tcp", port=port, sources="82.64.10.7",
            purpose="La société Untel maintient le logiciel du cimetière", until=now + timedelta(days=20),
            state=state, asked_by="prs_x", decided_at=now, reason="Par TeamViewer" if state == "declined" else "",
        )  # fmt: skip
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
    BoxBypass.objects.create(
        collectivite_id=owner.id, kind="dns_flood", machine="poste-7KQ2A", first_at=now, last_at=now
    )
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
