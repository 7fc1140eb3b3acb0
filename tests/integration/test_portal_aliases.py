"""The pages of aliases and of unknown addresses, as people use them; and where other pages speak of them."""

from __future__ import annotations

import json

import pytest
from beffroi.lib import clock
from beffroi.mail import actions as mail
from beffroi.mail.aliases import actions
from beffroi.mail.aliases.models import Alias, CatchAll
from beffroi.mail.filters.models import FilterRule
from beffroi.mail.models import MailDelivery, MailMessage, MailRecipient
from django.urls import reverse

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import confirmed, no_door, own_mailbox, portal_client, seen, shared_box
from tests.fixtures_portal_mail import shown_mail
from tests.integration.test_mail_aliases import SYSTEM, made

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db


def test_a_referent_makes_changes_ends_and_takes_up_an_alias(beaune: Commune) -> None:
    box, other = own_mailbox(beaune), shared_box(beaune)
    client = portal_client(beaune.referent_membership)
    assert "Aucun alias pour l’instant" in seen(client, "aliases")
    form = {"local": "Elus", "domain": beaune.domain, "mailbox": [box.id]}
    answer = client.post(reverse("aliases"), form)
    alias = Alias.objects.get(address="elus@beaune.test")
    here = reverse("alias", args=[alias.id])
    assert answer["Location"] == here
    assert 'value="remove"' not in seen(client, "alias", alias.id)  # the last one stays
    client.post(here, {"what": "remove", "mailbox": box.id})
    assert "C’est la dernière boîte" in seen(client, "alias", alias.id)
    client.post(here, {"what": "add", "mailbox": other.id})
    away = client.post(here, {"what": "remove", "mailbox": box.id})["Location"]
    shown = client.get(away).content.decode()
    assert "ne reçoit plus par cet alias" in shown and "Annuler" in shown
    client.post(here, {"what": "add", "mailbox": box.id})
    client.post(here, {"what": "sends"})
    assert "Ne plus permettre" in seen(client, "alias", alias.id)
    agent = portal_client(beaune.agent_membership)
    assert "elus@beaune.test" in seen(agent, "aliases")
    assert 'name="what"' not in seen(agent, "alias", alias.id)
    assert agent.post(here, {"what": "end"}).status_code == 404
    client.post(here, {"what": "end"})
    assert agent.get(here).status_code == 404
    assert "Reprendre" in seen(client, "aliases")
    client.post(here, {"what": "restore"})
    assert seen(client, "alias", alias.id).count("@beaune.test") > 2
    assert client.post(here, {"what": "burn"}).status_code == 400


@pytest.mark.parametrize(
    ("local", "checked", "said"),
    [
        ("agent", True, "déjà celle d’une boîte"),
        ("mairie", True, "boîte fermée"),
        ("elus", True, "existe déjà"),
        ("ancien", True, "a été arrêté"),
        ("日本", True, "ne convient pas"),
        ("autre", False, "Cochez au moins une boîte"),
    ],
)
def test_a_form_that_cannot_be_used_says_why_and_keeps_what_was_typed(
    beaune: Commune, local: str, checked: bool, said: str
) -> None:
    box, closed = own_mailbox(beaune), shared_box(beaune)
    mail.close_mailbox(actor=SYSTEM, mailbox=closed)
    made(beaune, "elus", box)
    actions.end(actor=SYSTEM, alias=made(beaune, "ancien", box))
    client = portal_client(beaune.referent_membership)
    form = {"local": local, "domain": beaune.domain, "mailbox": [box.id] if checked else []}
    answer = client.post(reverse("aliases"), form)
    text = answer.content.decode()
    assert answer.status_code in (400, 409)
    assert said in text and f'value="{local}"' in text
    assert (f'value="{box.id}" checked' in text) == checked
    field, end, error = (
        ('id="id_local"', "</div>", "id_local_error")
        if checked
        else ("<fieldset", "</fieldset>", "id_mailboxes_error")
    )
    beside = text[text.index(field) :]
    assert error in beside[: beside.index(end)], "beside its field"
    assert Alias.objects.count() == 2


def test_an_address_with_an_accent_or_a_space_is_proposed_without(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    client = portal_client(beaune.referent_membership)
    form = {"local": "Élodie Bœuf", "domain": beaune.domain, "mailbox": [box.id]}
    answer = client.post(reverse("aliases"), form)
    text = answer.content.decode()
    assert answer.status_code == 400 and not Alias.objects.exists()
    assert "Nous proposons «\xa0elodie.boeuf\xa0»" in text and 'value="elodie.boeuf"' in text


def test_an_agent_makes_no_alias_and_has_no_page_of_unknown_addresses(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    client = portal_client(beaune.agent_membership)
    form = {"local": "x", "domain": beaune.domain, "mailbox": [box.id]}
    assert client.post(reverse("aliases"), form).status_code == 404
    assert client.get(reverse("unknown_addresses")).status_code == 404
    assert not Alias.objects.exists()
    assert "Nouvel alias" not in seen(client, "aliases")


def test_unknown_addresses_are_received_after_a_step_up_and_one_press_makes_an_alias(
    beaune: Commune, nuits: Commune
) -> None:
    box = own_mailbox(beaune)
    client = portal_client(beaune.referent_membership)
    page = reverse("unknown_addresses")
    form = {"what": "receive", "domain": beaune.domain, "mailbox": box.id, "days": "30"}
    assert "Refusées" in seen(client, "unknown_addresses")
    assert client.post(page, form)["Location"].startswith(reverse("account_reauthenticate"))
    assert not CatchAll.objects.exists()
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD, "next": "/"})
    client.post(page, {**form, "days": "31"})
    assert "de 1 à 30 jours" in seen(client, "unknown_addresses")
    assert client.post(page, {**form, "domain": nuits.domain}).status_code == 404
    assert client.post(page, {**form, "mailbox": own_mailbox(nuits).id}).status_code == 404
    assert not CatchAll.objects.exists()
    client.post(page, form)
    message = MailMessage.objects.create(
        id="msg_" + "4" * 26, received_at=clock.now(), message_id_hash="0" * 64, verdict="{}"
    )
    MailRecipient.objects.create(message_id=message.id, address="mairrie@beaune.test")
    MailDelivery.objects.create(
        message_id=message.id, mailbox_id=box.id, collectivite_id=beaune.id, delivered_at=clock.now()
    )
    shown = seen(client, "unknown_addresses")
    assert "mairrie@beaune.test" in shown and "1 courriel" in shown and "Faire un alias" in shown
    client.post(page, {"what": "alias", "domain": beaune.domain, "local": "mairrie"})
    assert Alias.objects.get().address == "mairrie@beaune.test"
    assert "Faire un alias" not in seen(client, "unknown_addresses")
    client.post(page, {"what": "refuse", "domain": beaune.domain})
    assert CatchAll.objects.get().ended_at is not None
    assert client.post(page, {"what": "refuse", "domain": beaune.domain}).status_code == 404


def test_a_departure_names_the_aliases_that_lose_their_last_reader(beaune: Commune) -> None:
    box, other = own_mailbox(beaune), shared_box(beaune)
    made(beaune, "elus", box)
    made(beaune, "accueil", box, other)
    client = confirmed(beaune.referent_membership)
    shown = seen(client, "departure_prepare", beaune.agent.id)
    assert shown.count("Perd son dernier lecteur") == 1 and "continue avec les autres" in shown
    done = client.post(reverse("departure_prepare", args=[beaune.agent.id]))
    record = client.get(done["Location"]).content.decode()
    assert "ne mènent plus à personne" in record and "elus@beaune.test" in record
    assert "accueil@beaune.test" not in record
    assert "L’alias elus@beaune.test ne mène plus à personne" in seen(client, "home")
    assert "1 alias ne mène plus à personne" in seen(client, "shared_mailboxes")


def test_the_sender_is_chosen_among_what_the_mailbox_may_write_as(
    beaune: Commune, shown_mail: object
) -> None:
    box = own_mailbox(beaune)
    client = portal_client(beaune.agent_membership)
    assert 'name="sender"' not in seen(client, "mail_write", box.id)  # one alone is no choice
    made(beaune, "elus", box)
    made(beaune, "urbanisme", box, sends=True)
    shown = seen(client, "mail_write", box.id)
    assert "urbanisme@beaune.test" in shown and "elus@beaune.test" not in shown
    form = {"what": "send", "to": "a@b.example", "subject": "x", "text": "x"}
    for sender in ("agent+a b\r\n@beaune.test", "agent+..@beaune.test", "elus@beaune.test"):
        answer = client.post(
            reverse("mail_draft_save", args=[box.id]),
            form | {"sender": sender},
            headers={"Accept": "application/json"},
        )
        assert answer.status_code == 400 and json.loads(answer.content)["field"] == "sender"
    assert "Vous ne pouvez pas écrire avec cette adresse" in answer.content.decode("unicode_escape")


def test_settings_show_what_leads_to_a_mailbox(beaune: Commune, shown_mail: object) -> None:
    box = own_mailbox(beaune)
    made(beaune, "elus", box)
    client = portal_client(beaune.agent_membership)
    shown = seen(client, "mail_settings", box.id)
    assert "agent+mot@beaune.test" in shown and "elus@beaune.test" in shown
    assert "adresse inconnue" not in shown
    actions.begin_catch_all(actor=beaune.referent, domain=beaune.domain, mailbox_id=box.id)
    assert "adresse inconnue de @beaune.test" in seen(client, "mail_settings", box.id)


def test_a_filter_makes_the_folder_that_it_puts_mail_into(
    beaune: Commune, shown_mail: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.mail import folders

    box, created = own_mailbox(beaune), []
    monkeypatch.setattr(folders, "listing", lambda _: [])
    monkeypatch.setattr(folders, "create", lambda _, name: created.append(folders.checked_name(name)))
    client = portal_client(beaune.agent_membership)
    form = {"field": "from", "words": "sgc", "act": "move", "folder": "*", "word": "add"}
    refused = client.post(reverse("mail_filter_new", args=[box.id]), {**form, "new_folder": " "})
    assert refused.status_code == 400 and "Donnez un nom au nouveau dossier" in refused.content.decode()
    client.post(reverse("mail_filter_new", args=[box.id]), {**form, "new_folder": "Trésorerie"})
    assert created == ["Trésorerie"]
    assert FilterRule.objects.get().folder == "Trésorerie"
