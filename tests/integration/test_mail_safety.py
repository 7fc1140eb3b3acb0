"""Bank details and attached files on the pages: what a warning says, who lifts it for whom, who sets the policy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.retention import actions as retention
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail.gate import bank
from beffroi.mail.held import actions as held
from beffroi.mail.held.models import HeldMail, Lesson, SenderRule
from beffroi.mail.models import Mailbox
from beffroi.mail.safety import actions, queries
from beffroi.mail.safety.models import BankDetail, BankMention
from beffroi.mail.safety.rules import Concern

from tests.conftest import Commune
from tests.fixtures_held import hold
from tests.fixtures_portal import deliver, no_door, own_mailbox, portal_client
from tests.fixtures_portal_mail import shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.usefixtures("database")
FIRST, SECOND = "msg_" + "1" * 26, "msg_" + "2" * 26
IBAN, OTHER = "a" * 64, "b" * 64
CALL = "appelez au numéro déjà dans vos dossiers"


@pytest.fixture
def box(beaune: Commune) -> Iterator[Mailbox]:
    made = own_mailbox(beaune)
    deliver(made, FIRST)
    yield made


def name(commune: Commune, message: str, *ibans: str, announces: bool = False, days_ago: int = 0) -> None:
    """What mailgate would have written of a mail with these IBANs."""
    at = clock.now() - timedelta(days=days_ago)
    for one in bank.seen(
        b"key",
        message_id=message,
        sender="compta@fournisseur.example",
        ibans=ibans,
        announces=announces,
        proved=True,
        communes={commune.id},
    ):
        BankDetail.objects.get_or_create(
            pair=one.pair,
            defaults={
                "collectivite_id": one.collectivite_id,
                "sender": one.sender,
                "kind": one.kind,
                "proved": one.proved,
                "first_seen_at": at,
                "last_seen_at": at,
            },
        )
        BankMention.objects.create(
            message_id=message,
            collectivite_id=commune.id,
            pair=one.pair,
            announces=one.announces,
            seen_at=at,
        )


def page(commune: Commune, box: Mailbox, path: str = "1/") -> str:
    answer = portal_client(commune.agent_membership).get(f"/courrier/{box.id}/{path}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def press(commune: Commune, box: Mailbox, what: str) -> Any:
    return portal_client(commune.agent_membership).post(f"/courrier/{box.id}/1/rib/", {"what": what})


@pytest.mark.usefixtures("shown_mail")
def test_a_first_and_another_iban_and_words_carry_a_banner(beaune: Commune, box: Mailbox) -> None:
    assert CALL not in page(beaune, box) and "RIB à vérifier" not in page(beaune, box, "")
    name(beaune, FIRST, IBAN)
    assert "Premières coordonnées bancaires" in page(beaune, box) and CALL in page(beaune, box)
    assert page(beaune, box, "").count("RIB à vérifier") == 1
    BankDetail.objects.all().delete()
    BankMention.objects.all().delete()
    name(beaune, SECOND, OTHER, days_ago=3)
    name(beaune, FIRST, IBAN)
    assert "un autre IBAN que d’habitude" in page(beaune, box)
    BankDetail.objects.all().delete()
    BankMention.objects.all().delete()
    name(beaune, FIRST, announces=True)
    assert "annonce de nouvelles coordonnées bancaires" in page(beaune, box)


@pytest.mark.usefixtures("shown_mail")
def test_one_word_of_one_person_lifts_it_for_the_whole_collectivite_and_is_taken_back(
    beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    other = own_mailbox(nuits)
    name(beaune, FIRST, IBAN)
    name(beaune, SECOND, IBAN)  # a colleague's copy of another mail
    name(nuits, FIRST, IBAN)
    assert press(beaune, box, "checked").status_code == 302
    shown = page(beaune, box)
    assert CALL not in shown and "vérifiées par téléphone" in shown and "Annuler la vérification" in shown
    assert "RIB à vérifier" not in page(beaune, box, "")
    assert queries.bank_warnings(beaune.colleague, [SECOND])[SECOND].concern is Concern.NONE
    assert queries.bank_warnings(nuits.agent, [FIRST])[FIRST].concern is Concern.FIRST
    assert CALL in page(nuits, other)
    entry = AuditEntry.objects.get(verb="mail:bank:confirmed")
    assert (entry.actor_id, entry.collectivite_id, entry.object_id) == (beaune.agent.id, beaune.id, FIRST)
    assert press(beaune, box, "checked").status_code == 409
    assert press(beaune, box, "doubt").status_code == 302
    assert CALL in page(beaune, box)
    assert press(beaune, box, "doubt").status_code == 409
    assert press(beaune, box, "").status_code == 400
    assert OutboxEvent.objects.filter(kind__startswith="mail:bank_").count() == 2


@pytest.mark.usefixtures("shown_mail")
def test_another_commune_and_a_mail_of_nobody_are_refused(
    beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    name(beaune, FIRST, IBAN)
    stranger = portal_client(nuits.agent_membership)
    assert stranger.post(f"/courrier/{box.id}/1/rib/", {"what": "checked"}).status_code == 404
    with pytest.raises(NotFound):
        actions.confirm_bank(actor=nuits.agent, mailbox=box, beffroi_id=FIRST)
    with pytest.raises(NotFound):
        actions.confirm_bank(actor=beaune.agent, mailbox=box, beffroi_id=SECOND)
    assert queries.bank_warnings(nuits.agent, [FIRST]) == {}
    assert not BankDetail.objects.exclude(confirmed_at=None).exists()
    with pytest.raises(Conflict):
        actions.doubt_bank(actor=beaune.agent, mailbox=box, beffroi_id=FIRST)


def test_what_was_seen_long_ago_is_known_and_the_purge_forgets(beaune: Commune) -> None:
    name(beaune, FIRST, IBAN, days_ago=31)
    name(beaune, SECOND, IBAN)
    assert SECOND not in queries.bank_warnings(beaune.agent, [FIRST, SECOND])
    assert queries.bank_warnings(beaune.agent, [FIRST])[FIRST].concern is Concern.FIRST
    with clock.shifted(400 * 86400):
        retention.go_on(retention.begin(clock_confirmed_by="root"))
    assert not BankMention.objects.exists() and BankDetail.objects.exists()


# -- attached files ------------------------------------------------------------------------------------------


def test_a_held_file_says_why_and_what_to_do_and_a_program_is_not_released(
    beaune: Commune, box: Mailbox
) -> None:
    macro = hold(box, reason="content", subject="Budget", findings="macro encrypted")
    program = hold(box, reason="content", subject="Outil", findings="program")
    client = portal_client(beaune.agent_membership)
    shown = client.get("/retenus/").content.decode()
    assert "contient des macros" in shown and "n’activez pas les macros" in shown
    assert "Un programme est joint" in shown and "appelez le Département" in shown
    assert f"/retenus/{macro.id}/liberer/" in shown and f"/retenus/{program.id}/liberer/" not in shown
    assert "bloquer/" not in shown
    assert client.post(f"/retenus/{program.id}/liberer/").status_code == 409
    assert client.post(f"/retenus/{macro.id}/liberer/").status_code == 302
    assert HeldMail.objects.get(pk=macro.id).state == "released"
    assert not SenderRule.objects.exists() and not Lesson.objects.exists()
    with pytest.raises(NotFound):
        held.hand_over(actor=beaune.referent, held_id=program.id)


def test_the_policy_is_the_referent_s_own_and_never_opens_programs(beaune: Commune, nuits: Commune) -> None:
    client = portal_client(beaune.referent_membership)
    assert (
        "Laisser passer\xa0: Documents avec macros" in client.get("/retenus/pieces-jointes/").content.decode()
    )
    form = {"allowed": ["macro", "encrypted"]}
    assert client.post("/retenus/pieces-jointes/", form).status_code == 302
    assert queries.allowed(beaune.id) == {"macro", "encrypted"} and queries.allowed(nuits.id) == frozenset()
    assert queries.policies() == {beaune.id: "macro encrypted"}
    assert client.get("/retenus/pieces-jointes/").content.decode().count("checked") == 2
    assert client.post("/retenus/pieces-jointes/", {"allowed": ["program"]}).status_code == 400
    assert client.post("/retenus/pieces-jointes/", {}).status_code == 302
    assert queries.policies() == {}
    entries = AuditEntry.objects.filter(verb="mail:attachments:changed")
    assert {one.collectivite_id for one in entries} == {beaune.id}
    agent = portal_client(beaune.agent_membership)
    assert agent.get("/retenus/pieces-jointes/").status_code == 403
    assert agent.post("/retenus/pieces-jointes/", form).status_code == 403
    with pytest.raises(NotAllowed):
        actions.set_policy(actor=beaune.agent, allowed=[])
    with pytest.raises(Invalid):
        actions.set_policy(actor=beaune.referent, allowed=["disguised"])
