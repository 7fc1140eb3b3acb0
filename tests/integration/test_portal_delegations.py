"""A mailbox that is lent for a period, on the pages: the owner, the référent, the delegate, and strangers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from beffroi.mail import access
from beffroi.mail.people import delegations
from beffroi.mail.people.models import Delegation
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_portal import confirmed, deliver, no_door, own_mailbox, portal_client, shared_box
from tests.fixtures_portal_mail import ShownMailbox, shown_mail
from tests.integration.test_mail_delegations import KEY, lend, today
from tests.markup import flat

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, shown_mail: Any) -> Any:
    """A delegate's mailbox is shown from the same list; what is hidden in it is tests/clients' business."""

    @contextmanager
    def open_mailbox(config: object, opened: object) -> Iterator[ShownMailbox]:
        yield ShownMailbox(shown_mail)

    monkeypatch.setattr(access, "open_mailbox", open_mailbox)
    return shown_mail


def test_the_owner_lends_sees_and_ends_it(beaune: Commune, shown: object) -> None:
    box = own_mailbox(beaune)
    form = {
        "mailbox": box.id,
        "person": beaune.colleague.id,
        "right": "answer",
        "first": today().isoformat(),
        "last": (today() + timedelta(days=3)).isoformat(),
    }
    answer = portal_client(beaune.agent_membership).post("/courrier/delegations/nouvelle/", form)
    assert answer.status_code == 302 and "confirmer" in answer["Location"]  # a step-up first
    assert not Delegation.objects.exists()
    client = confirmed(beaune.agent_membership)
    assert client.post("/courrier/delegations/nouvelle/", form)["Location"] == "/courrier/delegations/"
    row = Delegation.objects.get()
    delegations.note(actor=beaune.colleague, delegation=row, what="read", message_key=KEY)
    page = client.get("/courrier/delegations/").content.decode()
    assert "collegue" in page and "1 courriel lu." in page
    assert "collegue lit agent@beaune.test jusqu’au" in client.get(f"/courrier/{box.id}/").content.decode()
    again = client.post("/courrier/delegations/nouvelle/", form)
    assert again.status_code == 400 and "déjà cette boîte" in again.content.decode()
    delegate = portal_client(beaune.colleague_membership)
    assert delegate.get(f"/courrier/{box.id}/").status_code == 200
    client.post(f"/courrier/delegations/{row.id}/arreter/")
    for path in ("", "1/", "1/contenu/", "1/piece/2/", "ecrire/", "1/signaler/"):  # pages that were open
        assert delegate.get(f"/courrier/{box.id}/{path}").status_code == 404
    assert "Arrêtée" in client.get("/courrier/delegations/").content.decode()


def test_who_stands_in_finds_the_mailbox_at_home_and_who_is_away_whom_to_ask(
    beaune: Commune, shown: object
) -> None:
    box = own_mailbox(beaune)
    own_mailbox(beaune, beaune.colleague, local="collegue")
    colleague = portal_client(beaune.colleague_membership)
    assert f"/courrier/{box.id}/" not in colleague.get("/").content.decode()
    row = lend(beaune, box)
    page = flat(colleague.get("/").content.decode())
    assert f"/courrier/{box.id}/" in page and "Confiée jusqu’au" in page
    delegations.end(actor=beaune.agent, delegation=row)
    assert f"/courrier/{box.id}/" not in colleague.get("/").content.decode()
    form = portal_client(beaune.agent_membership).get("/courrier/delegations/nouvelle/").content.decode()
    assert "la personne référente en ajoute une" in form


@pytest.mark.parametrize("field", ["mailbox", "person", "right", "first", "last", "reason"])
def test_each_field_that_cannot_be_used_is_said(beaune: Commune, field: str) -> None:
    box = own_mailbox(beaune)
    good = {
        "mailbox": box.id,
        "person": beaune.colleague.id,
        "right": "read",
        "first": today().isoformat(),
        "last": today().isoformat(),
        "reason": "absence imprévue",
    }
    client = confirmed(beaune.referent_membership)
    answer = client.post(
        "/courrier/delegations/nouvelle/", good | {field: "\x00" if field == "first" else ""}
    )
    assert answer.status_code == 400 and f'id="id_{field}_error"' in answer.content.decode()
    assert not Delegation.objects.exists()
    assert client.post("/courrier/delegations/nouvelle/", good).status_code == 302


def test_the_owner_hears_at_the_next_visit_of_what_a_referent_lent(beaune: Commune, shown: object) -> None:
    box = own_mailbox(beaune)
    lend(beaune, box, actor=beaune.referent, reason="absence imprévue")
    client = portal_client(beaune.agent_membership)
    home = client.get("/").content.decode()
    assert "a confié votre boîte à collegue" in home and "absence imprévue" in home
    page = client.get("/courrier/delegations/").content.decode()
    assert "Nouveau" in page and "absence imprévue" in page
    assert "a confié votre boîte" not in client.get("/").content.decode()
    # The référent sees to whom, and nothing of what was done.
    row = Delegation.objects.get()
    delegations.note(actor=beaune.colleague, delegation=row, what="read", message_key=KEY)
    assert (
        "courriel lu"
        not in confirmed(beaune.referent_membership).get("/courrier/delegations/").content.decode()
    )


def test_a_delegate_sees_whose_mailbox_it_is_and_is_offered_no_more_than_the_right(
    beaune: Commune, shown: object
) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    client = portal_client(beaune.colleague_membership)
    listed = client.get(f"/courrier/{box.id}/").content.decode()
    assert "Boîte d’agent, qui vous est confiée" in listed and 'id="write"' in listed
    for word in (
        "reglages",
        "supprimes",
        "reprendre",
        'value="trash"',
        'value="junk"',
        "Nouveau dossier",
        "Place dans",
    ):
        assert word not in listed
    read = client.get(f"/courrier/{box.id}/2/").content.decode()
    assert "Boîte d’agent" in read and 'id="reply"' in read and 'value="trash"' not in read
    assert "agent@beaune.test" in client.get(f"/courrier/{box.id}/ecrire/?repondre=2").content.decode()
    delegations.end(actor=beaune.agent, delegation=row)
    lend(beaune, box, right="read")
    listed, read = (client.get(f"/courrier/{box.id}/{path}").content.decode() for path in ("", "2/"))
    assert 'id="write"' not in listed and 'form="acts"' not in listed and 'id="reply"' not in read
    for path in ("ecrire/", "brouillon/1/", "personnes/"):
        assert client.get(f"/courrier/{box.id}/{path}").status_code == 404
    assert client.post(f"/courrier/{box.id}/brouillon/", {"what": "save"}).status_code == 404
    assert client.post(f"/courrier/{box.id}/agir/", {"what": "read", "uid": "1"}).status_code == 404


OWNERS = [
    ("get", "mail_settings", {}, {}),
    (
        "post",
        "mail_absence",
        {},
        {"first": "2030-01-01", "last": "2030-01-02", "text": "x", "every_days": "7"},
    ),
    ("post", "mail_filter_new", {}, {"field": "from", "words": "x", "act": "star"}),
    ("post", "mail_signature", {}, {"signature": "x"}),
    ("get", "mail_forward", {}, {}),
    ("post", "mail_forward", {}, {"target": "x@beaune.test"}),
    ("get", "mail_deleted", {}, {}),
    ("post", "mail_deleted", {}, {"uid": "1"}),
    ("get", "mail_imports", {}, {}),
    ("post", "mail_bank", {"uid": 1}, {"what": "checked"}),
    ("post", "mail_receipt", {"uid": 2}, {}),
    ("post", "mail_handling", {"uid": 1}, {"what": "note", "text": "x"}),
    ("post", "mail_folder_new", {}, {"name": "x"}),
    ("post", "mail_act", {}, {"what": "trash", "uid": "1"}),
    ("post", "mail_act", {}, {"what": "move:Perso", "uid": "1"}),
    ("post", "mail_act", {}, {"what": "erase", "uid": "1", "dossier": "Trash"}),
    ("post", "held_digest_time", {}, {"at_minute": "480"}),
]


@pytest.mark.parametrize("asked", OWNERS)
def test_what_stays_the_owners_is_no_such_page_for_a_delegate(
    beaune: Commune, shown: object, asked: tuple[str, str, dict[str, int], dict[str, str]]
) -> None:
    method, name, of_it, data = asked
    box = own_mailbox(beaune)
    lend(beaune, box)
    client = confirmed(beaune.colleague_membership)
    path = reverse(name, kwargs={"mailbox_id": box.id, **of_it})
    assert getattr(client, method)(path, data).status_code == 404


def test_a_delegate_reports_a_lure_that_they_see(beaune: Commune, shown: Any) -> None:
    box = own_mailbox(beaune)
    lend(beaune, box)
    deliver(box, shown[0].summary.beffroi_id)
    client = portal_client(beaune.colleague_membership)
    form = {"beffroi_id": shown[0].summary.beffroi_id}
    # Named with another mail's number it is none that they see.
    assert client.post(f"/courrier/{box.id}/2/signaler/", form).status_code == 404
    assert client.post(f"/courrier/{box.id}/1/signaler/", form).status_code == 302


def test_nobody_of_another_collectivite_sees_or_ends_it(
    beaune: Commune, nuits: Commune, shown: object
) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    for membership in (nuits.agent_membership, nuits.referent_membership):
        client = confirmed(membership)
        assert box.address not in client.get("/courrier/delegations/").content.decode()
        assert client.post(f"/courrier/delegations/{row.id}/arreter/").status_code == 404
        assert client.get(f"/courrier/{box.id}/").status_code == 404
        form = {"mailbox": box.id, "person": nuits.colleague.id, "right": "read", "first": "2030-01-01"}
        assert client.post("/courrier/delegations/nouvelle/", form).status_code == 400
    row.refresh_from_db()
    assert row.ended_at is None


def test_a_lent_mailbox_stands_among_ones_own_and_says_whose_it_is(beaune: Commune, shown: object) -> None:
    box = own_mailbox(beaune)
    shared_box(beaune, beaune.colleague)
    client = portal_client(beaune.colleague_membership)
    assert client.get("/courrier/").status_code == 302
    lend(beaune, box)
    page = flat(client.get("/courrier/").content.decode())
    assert "<strong>agent</strong> · agent@beaune.test" in page and "Confiée jusqu’au" in page
    assert "Autres boîtes" in client.get(f"/courrier/{box.id}/").content.decode()
