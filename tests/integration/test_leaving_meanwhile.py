"""What comes in between while a collectivité leaves and is erased: a restored database, a boîtier, traces of mail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from beffroi.boxes import actions as boxes
from beffroi.boxes.models import Box
from beffroi.core.communes.actions import CollectiviteLeft
from beffroi.core.communes.models import Domain
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.drive import erasures as drive
from beffroi.drive.store import keys as drive_keys
from beffroi.leaving import erasing
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.backup.database.tables import RESTORED
from beffroi.mail.closing import erasing as mailboxes
from beffroi.mail.closing import erasures as closing
from beffroi.mail.closing.models import Erasure
from beffroi.mail.domains.models import DkimKey
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, MailObservation, MailRecipient
from beffroi.portal import commune_erasure_file
from django.template.loader import render_to_string

from tests.conftest import Commune
from tests.drive_place import Place
from tests.fixtures_erasure import other, place, state
from tests.fixtures_leaving import (
    VISA,
    box,
    carry_out,
    granted,
    leave,
    leaving_state,
    planned,
    two,
)
from tests.fixtures_portal import no_door

__all__ = ["leaving_state", "no_door", "other", "place", "state", "two"]
pytestmark = pytest.mark.django_db
COUNTED = mailboxes.inventory


def restored(hours_ago: float = 0) -> None:
    event = OutboxEvent.objects.create(kind=RESTORED, payload="{}")
    OutboxEvent.objects.filter(pk=event.pk).update(created_at=clock.now() - timedelta(hours=hours_ago))


def test_nothing_is_erased_in_the_day_after_a_restore_so_that_it_is_called_back_again(
    leaving_state: Config, place: Place, beaune: Commune, nuits: Commune, two: tuple[Actor, Actor]
) -> None:
    """The database is of before somebody called it back, and its term is over."""
    mailbox, alone = box(beaune, "agent", beaune.agent.id), box(nuits, "parti")
    Mailbox.objects.filter(pk=alone.pk).update(closed_at=clock.now() - timedelta(days=40))
    place.put("Budget.txt", b"secret")
    asker, granter = two
    of_one = closing.ask(actor=nuits.referent, mailbox=Mailbox.objects.get(pk=alone.pk))
    closing.grant(actor=granter, erasure=of_one, visa=VISA)
    Erasure.objects.update(due_at=clock.now())
    of_files = drive.request(actor=asker, collectivite=beaune.collectivite, reason="Fin")
    drive.grant(actor=granter, approval=of_files)
    type(of_files).objects.filter(pk=of_files.pk).update(decided_at=clock.now() - timedelta(days=2))
    leave(planned(beaune))
    erasure = granted(beaune, *two)
    restored()
    carry_out(erasure, turns=2)
    drive.finish()
    mailbox.refresh_from_db(), alone.refresh_from_db(), of_one.refresh_from_db()
    assert (erasure.state, erasure.waits_for) == ("granted", "restored") and mailbox.crypt_key
    assert (of_one.state, of_one.waits_for) == ("granted", "restored") and alone.crypt_key
    assert drive_keys.certificate(leaving_state, beaune.id) is None
    OutboxEvent.objects.filter(kind=RESTORED).update(created_at=clock.now() - timedelta(hours=25))
    assert carry_out(erasure).state == "done"
    of_one.refresh_from_db()
    assert of_one.state == "done" and drive_keys.certificate(leaving_state, beaune.id)


def test_a_mailbox_whose_key_was_destroyed_already_keeps_nothing_waiting(
    leaving_state: Config, beaune: Commune, two: tuple[Actor, Actor], monkeypatch: Any
) -> None:
    """A database of before was restored in the middle of the erasure: it does not know, and the key stays destroyed."""
    monkeypatch.setattr(mailboxes, "inventory", COUNTED)  # as it is, of a mailbox that nothing opens
    box(beaune, "agent", beaune.agent.id)
    leave(planned(beaune))
    erasure = granted(beaune, *two)
    Mailbox.objects.update(crypt_key="")
    assert carry_out(erasure).state == "done"
    (one,) = erasing.removed(erasure)["mailboxes"]
    assert (one["address"], one["mails"], one["inventory_sha256"]) == (f"agent@{beaune.domain}", 0, "")
    said = commune_erasure_file.content(two[0], erasure)
    assert "non comptés" in render_to_string("file/commune_erasure.html", {"file": said})


def test_the_backup_hears_which_keys_went_with_their_rows(
    leaving_state: Config, beaune: Commune, two: tuple[Actor, Actor]
) -> None:
    mailbox, domain = box(beaune, "agent", beaune.agent.id), Domain.objects.get(name=beaune.domain)
    key = DkimKey.objects.create(
        domain_id=domain.id, collectivite_id=beaune.id, selector="s1", state="active", wrapped="-"
    )  # fmt: skip
    leave(planned(beaune))
    assert carry_out(granted(beaune, *two)).state == "done"
    told = {one.name for one in (leaving_state.state / "erased").iterdir()}
    assert {beaune.id, mailbox.id, key.id} <= told


def test_traces_of_mails_that_it_alone_had_go_with_it(
    leaving_state: Config, beaune: Commune, nuits: Commune, two: tuple[Actor, Actor]
) -> None:
    own, others = box(beaune, "agent", beaune.agent.id), box(nuits, "agent", nuits.agent.id)
    for name, mailboxes_ in (("own", [own]), ("both", [own, others]), ("theirs", [others])):
        row = MailMessage.objects.create(
            received_at=clock.now(), message_id=f"<{name}@x.test>", message_id_hash=name,
            sender=f"{name}@x.test", client_ip="192.0.2.1", helo="x.test", verdict="{}",
        )  # fmt: skip
        MailObservation.objects.create(message_id=row.id, kind="domain", value=f"{name}.test", role="link")
        for mailbox in mailboxes_:
            MailRecipient.objects.create(message_id=row.id, address=mailbox.address)
            MailDelivery.objects.create(
                message_id=row.id,
                mailbox_id=mailbox.id,
                collectivite_id=mailbox.collectivite_id,
                folder="INBOX",
                delivered_at=clock.now(),
            )
    leave(planned(beaune))
    assert carry_out(granted(beaune, *two)).state == "done"
    assert sorted(MailMessage.objects.values_list("sender", flat=True)) == ["both@x.test", "theirs@x.test"]
    assert sorted(MailObservation.objects.values_list("value", flat=True)) == ["both.test", "theirs.test"]
    assert set(MailRecipient.objects.values_list("address", flat=True)) == {others.address}
    assert MailDelivery.objects.count() == 2


def test_a_boitier_that_asked_in_the_moment_of_the_departure_is_not_confirmed(
    leaving_state: Config, beaune: Commune, administrator: Actor
) -> None:
    leave(planned(beaune))
    pending = Box.objects.create(collectivite_id=beaune.id, serial="x", public_key="k", fingerprint="f")
    with pytest.raises(CollectiviteLeft):
        boxes.confirm(actor=administrator, box=pending)
    pending.refresh_from_db()
    assert pending.state == Box.State.PENDING
