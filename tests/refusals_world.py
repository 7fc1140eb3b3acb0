"""What stands in the portal and the console before a stranger asks for it, and what a refusal leaves as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from beffroi.boxes.models import Box, BoxPolicy, OpeningRequest, RelayRequest
from beffroi.core.approvals.models import Approval
from beffroi.core.communes.models import CommuneExport
from beffroi.core.decisions import appeals, by_hand, exceptions, never_again, sparing
from beffroi.core.decisions.models import Appeal, Decision, LocalException, NeverAgain
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import actions as identity
from beffroi.core.identity import device_links, erasure
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, DeviceLink, Membership
from beffroi.drive.store import received, seals, shares
from beffroi.drive.store.seals import Seal
from beffroi.drive.store.shares import Wish
from beffroi.drive.store.writing import Writing
from beffroi.incidents import actions as incidents
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.mail import sendings
from beffroi.mail.aliases.models import Alias, AliasTarget, CatchAll
from beffroi.mail.closing.models import Erasure, Export
from beffroi.mail.drafts import Place
from beffroi.mail.filters.models import Absence, FilterRule, Forward, Signature
from beffroi.mail.held.models import HeldMail
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.models import Mailbox, RemediationJob, Sending
from beffroi.mail.people.models import Delegation, Departure, Member
from beffroi.mail.scripts.models import PersonalScript
from beffroi.mail.sending.models import SendingAlarm
from beffroi.watch.models import Campaign
from beffroi.watch.sources.models import FeedSource, SourceUpdate
from beffroi_protocol.indicators import normalise
from beffroi_protocol.messages import Policy
from django.db import transaction
from msgspec import to_builtins
from pytest_django import DjangoDbBlocker

from tests.conftest import Commune, commune, make_administrator
from tests.drive_pages import Drive
from tests.fixtures_held import hold
from tests.fixtures_portal import (
    LURE_ID,
    deliver,
    own_mailbox,
    shared_box,
    sighting,
)
from tests.fixtures_stream import block

NOTHING_ENDED = '{"roles": [], "closed": [], "left": [], "app_passwords": 0}'


@dataclass
class World:
    """What a stranger might want: things of Beaune, and of the Département."""

    beaune: Commune
    nuits: Commune
    administrator: Actor
    mailbox: Mailbox
    app_password_id: str
    campaign_id: str
    box_id: str
    job_id: str
    source_id: str
    update_id: str
    incident_id: str
    decision_id: str
    local_decision_id: str
    exception_id: str
    appeal_id: str
    approval_id: str
    spared_id: str
    by_hand_id: str
    held_id: str
    import_id: str
    sending_id: str
    shared_id: str
    departure_id: str
    link_id: str
    node_id: int
    link_share_id: str
    share_id: str
    folder_id: int
    seal_id: str
    visit_id: str
    visit_node_id: int
    drop_folder_id: int


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """One for the tests of a file: they are hundreds, and nothing that they ask for changes it. What one changes in
    the database all the same is rolled back after it; this itself, after the file."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield _made()
        transaction.set_rollback(True)


def _made() -> World:
    system = Actor.system("tests")
    beaune = commune(system, "Beaune", "beaune.test", insee="21054")
    nuits = commune(system, "Nuits-Saint-Georges", "nuits.test", insee="21464")
    administrator = Actor("administrator", make_administrator(system).record.id, None, "administrator")
    mailbox = own_mailbox(beaune)
    deliver(mailbox, LURE_ID)
    issued = identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap,smtp", label="x"
    )
    sighting(beaune.id, beaune.agent.id, LURE_ID)
    box = Box.objects.create(
        collectivite_id=beaune.id,
        serial="BF-1",
        public_key="A" * 43,
        fingerprint="k7qd-m2xp-9rtb-wz4f",
        state="pending",
        last_seen_at=clock.now(),
    )
    BoxPolicy.objects.create(
        collectivite_id=beaune.id, policy_version=1, policy=to_builtins(Policy()), changed_by="adm"
    )
    campaign = Campaign.objects.get()
    decision = block("185.203.116.9")
    local = block("185.203.116.10", scope=beaune.id)
    appeal = appeals.appeal(actor=beaune.agent, decision_id=local.id, text="x")
    exception = exceptions.allow_locally(
        actor=beaune.agent, collectivite_id=beaune.id, indicator=local.indicator, ttl_s=3600, reason="x"
    )
    never_again.spare(
        actor=sparing.ACTOR, indicator=normalise("ip", "185.203.116.11"), reason="entry_used", communes=3
    )
    job = RemediationJob.objects.create(direction="withdraw", decision_id=decision.id, state="waiting")
    source = FeedSource.objects.create(name="X", slug="x", format="plain", licence="CC0", created_by="x")
    held = SourceUpdate.objects.create(source=source, state="held", doubts=["grew"])
    incident = incidents.declare(actor=beaune.agent, typed=True, message_id=LURE_ID, evidence=[])
    asked = by_hand.block(
        actor=administrator,
        indicator=normalise("cidr", "185.203.117.0/24"),
        reason="malware",
        why="x",
        ttl_s=3600,
    )
    assert asked.approval is not None
    shared = shared_box(beaune)
    of_it = {"mailbox_id": mailbox.id, "collectivite_id": beaune.id}
    Forward.objects.create(
        **of_it, person_id=beaune.agent.id, target="x@y.example", expires_at=clock.now() + timedelta(days=9)
    )
    alias = Alias.objects.create(collectivite_id=beaune.id, address="elus@beaune.test")
    AliasTarget.objects.create(alias_id=alias.id, collectivite_id=beaune.id, mailbox_id=shared.id)
    PersonalScript.objects.create(**of_it, person_id=beaune.agent.id, name="x", text="keep;", is_active=True)
    FilterRule.objects.create(**of_it, position=1, field="from", words="x", act="star")
    Delegation.objects.create(
        **of_it,
        owner_id=beaune.agent.id,
        person_id=beaune.colleague.id,
        right="answer",
        begins_at=clock.now() + timedelta(days=5),  # not yet: the colleague is a stranger like others
        ends_at=clock.now() + timedelta(days=9),
        by=beaune.agent.id,
    )
    resting = Mailbox.objects.create(collectivite_id=beaune.id, address="suspendue@beaune.test")
    SendingAlarm.objects.create(
        collectivite_id=beaune.id,
        mailbox_id=resting.id,
        limit="takeover",
        most=0,
        contained_at=clock.now(),
    )
    now, owner = clock.now(), {"collectivite_id": beaune.id, "asked_by": beaune.referent.id}
    gone = Mailbox.objects.create(collectivite_id=beaune.id, address="partie@beaune.test", closed_at=now)
    Erasure.objects.create(
        **owner, mailbox_id=gone.id, approval_id="x", state="done", granted_at=now, begun_at=now, done_at=now
    )
    OpeningRequest.objects.create(
        **owner,
        machine="192.168.1.50",
        protocol="tcp",
        port=8443,
        sources="192.0.2.7",
        purpose="x",
        until=now + timedelta(days=1),
    )
    RelayRequest.objects.create(**owner, sender="copieur@beaune.test", purpose="x", hour=1)
    CommuneExport.objects.create(
        collectivite_id=beaune.id, asked_by=administrator.id, reason="Courrier du maire"
    )
    Export.objects.create(**owner, mailbox_id=gone.id, state="ready", ends_at=now + timedelta(days=1))
    link_id = device_links.make(
        actor=beaune.agent, membership=beaune.agent_membership, kind="iphone", label="x"
    ).record.id
    # Ten minutes are not enough on a busy machine.
    DeviceLink.objects.update(expires_at=now + timedelta(days=1))
    return World(
        beaune,
        nuits,
        administrator,
        mailbox,
        issued.record.id,
        campaign.id,
        box.id,
        job.id,
        source.id,
        held.id,
        incident.id,
        decision.id,
        local.id,
        exception.id,
        appeal.id,
        erasure.request(actor=administrator, person=beaune.colleague_membership.person, reason="x").id,
        NeverAgain.objects.get().id,
        asked.approval.id,
        hold(mailbox, reason="decision", decision_id=decision.id).id,
        ImportJob.objects.create(
            collectivite_id=beaune.id, mailbox_id=mailbox.id, asked_by=beaune.agent.id, host="x", username="x"
        ).id,
        sendings.schedule(
            actor=beaune.agent, mailbox=mailbox, place=Place(1, 1), message_id="<a@b>", recipients=1
        ).id,
        shared.id,
        Departure.objects.create(
            collectivite_id=beaune.id, person_id=beaune.agent.id, by="x", ended=NOTHING_ENDED
        ).id,
        link_id,
        node_id := _far_file(beaune),
        _share(beaune, node_id, Wish("link", expires_s=clock.epoch_s() + 3600)),
        _share(beaune, node_id, Wish("role", "elu")),
        folder_id := _common_folder(beaune),
        _seal(beaune, folder_id),
        *_visit(nuits, beaune),
        Drive(beaune.agent_membership).folder("dépôt").id,
    )


def _far_file(commune: Commune) -> int:
    """A file of its agent, with a number that no neighbour's drive has reached."""
    drive = Drive(commune.agent_membership)
    for number in range(20):
        drive.file(str(number))
    drive.file("facture.pdf")
    return drive.file("facture.pdf").id


def changed() -> tuple[object, ...]:
    """What a refused request must leave as it is."""
    return (
        set(Membership.objects.values_list("id", "role", "until")),
        OutboxEvent.objects.count(),
        Decision.objects.count(),
        set(Campaign.objects.values_list("state", flat=True)),
        set(Box.objects.values_list("state", flat=True)),
        BoxPolicy.objects.count(),
        AppPassword.objects.filter(revoked_at=None).count(),
        set(DeviceLink.objects.values_list("id", "used_at", "ended_at")),
        set(Sending.objects.values_list("state", flat=True)),
        set(RemediationJob.objects.values_list("state", "approval_id")),
        set(FeedSource.objects.values_list("name", "active")),
        set(SourceUpdate.objects.values_list("state", flat=True)),
        set(Appeal.objects.values_list("state", flat=True)),
        set(Approval.objects.values_list("state", flat=True)),
        set(HeldMail.objects.values_list("state", "seen_at", "appeal_id")),
        set(LocalException.objects.values_list("state", flat=True)),
        set(NeverAgain.objects.values_list("pending", "revoked_at")),
        set(ImportJob.objects.values_list("id", "state")),
        set(Departure.objects.values_list("id", "state")),
        set(Export.objects.values_list("id", "state", "downloads")),
        set(Erasure.objects.values_list("id", "state")),
        set(CommuneExport.objects.values_list("id", "state")),
        set(OpeningRequest.objects.values_list("id", "state")),
        set(RelayRequest.objects.values_list("id", "state")),
        Member.objects.filter(ended_at=None).count(),
        set(Alias.objects.values_list("address", "sends", "ended_at")),
        set(AliasTarget.objects.values_list("mailbox_id", "ended_at")),
        CatchAll.objects.count(),
        set(Delegation.objects.values_list("id", "ended_at", "seen_at")),
        set(Forward.objects.values_list("target", "ended_at")),
        set(FilterRule.objects.values_list("words", "is_on")),
        set(PersonalScript.objects.values_list("name", "is_active")),
        (Absence.objects.count(), Signature.objects.count()),
    )


def _visit(owner: Commune, receiver: Commune) -> tuple[str, int]:
    """A folder that one commune shares with another, which accepted it."""
    drive, there = Drive(owner.agent_membership), Drive(receiver.agent_membership)
    node = drive.folder("facture")
    drive.file("facture.txt", node)
    drive.file("facture.txt", node)
    wish = Wish("collectivite", receiver.id, rights="write")
    made = drive.database.write(lambda writing: shares.make(writing, drive.act, node.id, wish))[0]

    def accept(writing: Writing) -> None:
        received.offer(writing, made.id, made.label, owner=owner.id, now_s=clock.epoch_s())
        received.answer(writing, there.act, made.id, accepted=True)

    there.database.write(accept)
    return made.id, node.id


def _share(commune: Commune, node_id: int, wish: Wish) -> str:
    drive = Drive(commune.agent_membership)
    return drive.database.write(lambda writing: shares.make(writing, drive.act, node_id, wish))[0].id


def _common_folder(commune: Commune) -> int:
    drive = Drive(commune.agent_membership)
    return drive.folder("Budget", drive.common).id


def _seal(commune: Commune, folder_id: int) -> str:
    """One that has ended: the folder may be sealed again."""
    drive = Drive(commune.referent_membership)
    made = Seal(
        new_id("seal"), folder_id, "sealing", "Budget", clock.epoch_s(), 0, "", commune.referent.id, 1, "ab" * 32,
        0, 0, 0, 0, 0, "none", 0, 1, 0, "",
    )  # fmt: skip
    drive.database.write(lambda writing: seals.begin(writing, made))
    drive.database.write(lambda writing: seals.fail(writing, made.id, now_s=clock.epoch_s()))
    return made.id
