"""A mailbox that is lent for a period, in the tables and on the pages: who may, how long, what it opens, what not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import Event
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail import access, outgoing, sendings
from beffroi.mail import queries as mail
from beffroi.mail.access import Right
from beffroi.mail.drafts import Place
from beffroi.mail.filters.errors import SettingRefused
from beffroi.mail.held.workdays import PLACE
from beffroi.mail.models import Mailbox
from beffroi.mail.people import consumers, delegations, leaving, retention
from beffroi.mail.people.models import DelegatedAct, Delegation
from django.urls import reverse

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import deliver, no_door, own_mailbox, portal_client, shared_box
from tests.fixtures_portal_mail import ShownMailbox, shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db
KEY = "a" * 64


def today() -> date:
    return clock.now().astimezone(PLACE).date()


def lend(commune: Commune, box: Mailbox, **more: Any) -> Delegation:
    asked: dict[str, Any] = {
        "actor": commune.agent,
        "person_id": commune.colleague.id,
        "right": "answer",
        "first": today(),
        "last": today() + timedelta(days=9),
    } | more
    return delegations.give(mailbox=box, **asked)


def opens(actor: Actor, box: Mailbox, right: Right = Right.READ) -> bool:
    try:
        return access.access(actor, box.id, right).mailbox == box
    except NotFound:
        return False


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(clock, "now", lambda: moment)


def test_a_colleague_opens_it_from_the_first_to_the_last_day_and_not_a_second_longer(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = own_mailbox(beaune)
    first, last = today() + timedelta(days=2), today() + timedelta(days=4)
    row = lend(beaune, box, first=first, last=last)
    assert not opens(beaune.colleague, box)
    for moment, expected in (
        (row.begins_at - timedelta(seconds=1), False),
        (row.begins_at, True),
        (row.ends_at - timedelta(seconds=1), True),
        (row.ends_at, False),
    ):
        at(monkeypatch, moment)
        assert opens(beaune.colleague, box) is expected
        assert (box in access.openable(beaune.colleague)) is expected
    assert row.begins_at.astimezone(PLACE).date() == first
    assert (row.ends_at - timedelta(seconds=1)).astimezone(PLACE).date() == last


def test_a_right_opens_no_more_than_it_says(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box, right="read")
    assert opens(beaune.colleague, box) and not opens(beaune.colleague, box, Right.ANSWER)
    delegations.end(actor=beaune.agent, delegation=row)
    lend(beaune, box)
    assert opens(beaune.colleague, box, Right.ANSWER) and not opens(beaune.colleague, box, Right.OWN)
    # What asks for no right is the owner's: settings, forwards, filters, held mail, import, telephones.
    with pytest.raises(NotFound):
        mail.access_mailbox(beaune.colleague, box.id)
    assert box not in mail.own_mailboxes(beaune.colleague)
    assert box not in mail.personal_mailboxes(beaune.colleague)
    assert opens(beaune.agent, box, Right.OWN)


def test_only_the_owner_or_the_referent_with_a_reason_lends(beaune: Commune, nuits: Commune) -> None:
    box = own_mailbox(beaune)
    for stranger in (
        beaune.colleague,
        nuits.agent,
        nuits.referent,
        Actor.system("x"),
        Actor("administrator", "adm_x"),
    ):
        with pytest.raises(NotFound):
            lend(beaune, box, actor=stranger, reason="x")
    with pytest.raises(SettingRefused, match="reason"):
        lend(beaune, box, actor=beaune.referent, reason="  ")
    with pytest.raises(SettingRefused, match="person"):  # who lends in the owner's stead is not who reads
        lend(beaune, box, actor=beaune.referent, reason="x", person_id=beaune.referent.id)
    for nobody in (beaune.agent.id, nuits.agent.id, "per_unknown", ""):
        with pytest.raises(SettingRefused, match="person"):
            lend(beaune, box, person_id=nobody)
    row = lend(beaune, box, actor=beaune.referent, reason="absence imprévue")
    assert (row.by, row.reason, row.seen_at) == (beaune.referent.id, "absence imprévue", None)
    assert delegations.unseen(beaune.agent) == [row]
    assert delegations.end(actor=beaune.agent, delegation=row)  # at once
    assert not opens(beaune.colleague, box)
    verbs = AuditEntry.objects.filter(verb__startswith="mail:delegation").order_by("id")
    assert list(verbs.values_list("verb", "actor_id")) == [
        ("mail:delegation:given", beaune.referent.id),
        ("mail:delegation:ended", beaune.agent.id),
    ]


def test_a_delegate_passes_nothing_on_and_a_functional_mailbox_is_not_lent(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    lend(beaune, box)
    with pytest.raises(NotFound):
        lend(beaune, box, actor=beaune.colleague, person_id=beaune.referent.id)
    shared = shared_box(beaune, beaune.agent)
    for one in (beaune.agent, beaune.referent):
        with pytest.raises(NotFound):
            lend(beaune, shared, actor=one, reason="x")
    assert shared not in delegations.lendable(beaune.agent)


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        (0, -1, "last"),
        (3, 2, "last"),
        (0, 90, "last"),
        (10, 100, "last"),
        (-5, -1, "last"),
        (181, 182, "first"),
    ],
)
def test_a_period_that_is_over_reversed_or_too_long_is_refused(
    beaune: Commune, first: int, last: int, field: str
) -> None:
    box = own_mailbox(beaune)
    with pytest.raises(SettingRefused) as refused:
        lend(beaune, box, first=today() + timedelta(days=first), last=today() + timedelta(days=last))
    assert refused.value.field_name == field
    lend(beaune, box, last=today() + timedelta(days=89))


def test_two_delegations_of_one_colleague_do_not_overlap(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    lend(beaune, box)
    with pytest.raises(Conflict):
        lend(beaune, box, right="read", first=today() + timedelta(days=9), last=today() + timedelta(days=20))
    lend(beaune, box, first=today() + timedelta(days=10), last=today() + timedelta(days=20))
    lend(beaune, box, person_id=beaune.referent.id)  # another colleague may have it too


def test_the_departure_of_either_ends_it(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    successors: dict[str, str] = {}
    leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=beaune.colleague_membership.person,
        successors=successors,
    )
    row.refresh_from_db()
    assert row.ended_at is not None and not opens(beaune.colleague, box)
    other = lend(beaune, box, person_id=beaune.referent.id)
    assert opens(beaune.referent, box)
    leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=beaune.agent_membership.person,
        successors=successors,
    )
    other.refresh_from_db()
    assert other.ended_at is not None and not opens(beaune.referent, box)


def test_it_ends_with_the_access_in_whichever_way_that_ends(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    membership = beaune.colleague_membership
    identity.end_access(actor=beaune.referent, membership=membership)
    event = Event(1, "identity:access_ended", beaune.id, {"membership_id": membership.id}, clock.now())
    consumers.end_members(event)
    row.refresh_from_db()
    assert row.ended_at is not None


def test_a_closed_mailbox_or_one_with_another_owner_is_open_to_no_delegate(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    lend(beaune, box)
    Mailbox.objects.update(closed_at=clock.now())
    assert not opens(beaune.colleague, box)
    Mailbox.objects.update(closed_at=None, person_id=beaune.referent.id)
    assert not opens(beaune.colleague, box)


def test_what_was_written_in_the_owners_name_leaves_only_while_the_right_lasts(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    sending = sendings.schedule(
        actor=beaune.colleague, mailbox=box, place=Place(1, 1), message_id="<a@beaune.test>", recipients=1
    )
    entry = AuditEntry.objects.get(verb="mail:sending:scheduled")
    assert entry.actor_id == beaune.colleague.id and row.id in entry.details
    assert outgoing._opened(sending) is not None
    # The owner's own is not the delegate's to call back, nor to see; the delegate's is the owner's.
    own = sendings.schedule(
        actor=beaune.agent, mailbox=box, place=Place(1, 2), message_id="<b@beaune.test>", recipients=1
    )
    with pytest.raises(NotFound):
        sendings.cancel(actor=beaune.colleague, sending=own)
    sendings.call_back(actor=beaune.colleague, mailbox=box, place=Place(1, 2))
    own.refresh_from_db()
    assert own.state == "waiting"
    assert sendings.access_sending(beaune.agent, box.id, sending.id) == sending
    delegations.end(actor=beaune.agent, delegation=row)
    assert outgoing._opened(sending) is None
    lend(beaune, box, right="read")
    assert outgoing._opened(sending) is None
    with pytest.raises(NotFound):
        sendings.schedule(
            actor=beaune.colleague, mailbox=box, place=Place(1, 3), message_id="<c@beaune.test>", recipients=1
        )


def test_what_was_done_is_counted_once_a_day_and_says_nothing_of_the_mail(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    for key in (KEY, KEY, "b" * 64):
        delegations.note(actor=beaune.colleague, delegation=row, what="read", message_key=key)
    delegations.note(actor=beaune.colleague, delegation=row, what="sent", message_key=KEY)
    assert delegations.days([row]) == {row.id: [delegations.Day(today(), 2, 1)]}
    assert AuditEntry.objects.filter(verb="mail:delegation:read", actor_id=beaune.colleague.id).count() == 2
    # What was done goes first, then the delegation itself.
    later = clock.now() + timedelta(days=4000)
    assert retention.delegated_acts(later).count() == 3 and not retention.delegations(later).exists()
    DelegatedAct.objects.all().delete()
    assert retention.delegations(later).exists() and not retention.delegations(clock.now()).exists()


# Pages


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, shown_mail: Any) -> Any:
    """A delegate's mailbox is shown from the same list; what is hidden in it is tests/clients' business."""
    from contextlib import contextmanager

    @contextmanager
    def open_mailbox(config: object, opened: object) -> Iterator[ShownMailbox]:
        yield ShownMailbox(shown_mail)

    monkeypatch.setattr(access, "open_mailbox", open_mailbox)
    return shown_mail


def sit(membership: Membership) -> Any:
    """A browser of this person, who gave the password a moment ago."""
    client = portal_client(membership)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD, "next": "/"})
    return client


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
    client = sit(beaune.agent_membership)
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
    client = sit(beaune.referent_membership)
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
    assert "courriel lu" not in sit(beaune.referent_membership).get("/courrier/delegations/").content.decode()


def test_a_delegate_sees_whose_mailbox_it_is_and_is_offered_no_more_than_the_right(
    beaune: Commune, shown: object
) -> None:
    box = own_mailbox(beaune)
    row = lend(beaune, box)
    client = portal_client(beaune.colleague_membership)
    listed = client.get(f"/courrier/{box.id}/").content.decode()
    assert "Boîte de agent, qui vous est confiée" in listed and 'id="write"' in listed
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
    assert "Boîte de agent" in read and 'id="reply"' in read and 'value="trash"' not in read
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
    client = sit(beaune.colleague_membership)
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
        client = sit(membership)
        assert box.address not in client.get("/courrier/delegations/").content.decode()
        assert client.post(f"/courrier/delegations/{row.id}/arreter/").status_code == 404
        assert client.get(f"/courrier/{box.id}/").status_code == 404
        form = {"mailbox": box.id, "person": nuits.colleague.id, "right": "read", "first": "2030-01-01"}
        assert client.post("/courrier/delegations/nouvelle/", form).status_code == 400
    row.refresh_from_db()
    assert row.ended_at is None
