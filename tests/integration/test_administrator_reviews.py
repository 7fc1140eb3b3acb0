"""The half-yearly review of the administrators: who is asked, what two of them confirm, how an access ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals.models import Approval
from beffroi.core.audit.models import AuditEntry, AuditPersonal
from beffroi.core.identity import administrator_reviews as reviews
from beffroi.core.identity import administrators
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator, create_administrator
from beffroi.core.identity.models import Administrator
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from tests.conftest import PASSWORD, Commune, code_of
from tests.fixtures_portal import console_client, on_listener
from tests.markup import flat

pytestmark = pytest.mark.django_db
DUE = "liste des administrateurs est à relire"


@pytest.fixture(autouse=True)
def listener() -> Iterator[None]:
    with on_listener("console"):
        yield
    cache.clear()


def another(system: Actor, name: str) -> NewAdministrator:
    return create_administrator(
        actor=system, email=f"{name.lower()}@cotedor.test", name=name, password=PASSWORD
    )


@pytest.fixture
def second(new_administrator: NewAdministrator, system: Actor) -> NewAdministrator:
    return another(system, "Blaise")


@pytest.fixture
def third(second: NewAdministrator, system: Actor) -> NewAdministrator:
    return another(system, "Chloe")


def of(made: NewAdministrator) -> Actor:
    return Actor("administrator", made.record.id, None, "administrator")


def client_of(made: NewAdministrator) -> Client:
    return console_client(made.record.id)


def code(made: NewAdministrator) -> str:
    """A code that opens: each opens once."""
    Administrator.objects.filter(pk=made.record.pk).update(totp_last_step=0)
    return code_of(made)


def page_of(client: Client) -> str:
    return client.get(reverse("administrators")).content.decode()


def read(client: Client) -> str:
    found = re.search(r'name="read" value="([0-9a-f]{64})"', page_of(client))
    assert found is not None
    return found[1]


def said(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_two_read_the_list_once_a_half_year(
    new_administrator: NewAdministrator, second: NewAdministrator
) -> None:
    Administrator.objects.update(created_at=clock.now() - timedelta(days=183))
    one, other = client_of(new_administrator), client_of(second)
    assert DUE in one.get("/").content.decode()
    first = {"read": read(one)}
    assert "Un autre administrateur doit relire" in said(
        one.post(reverse("administrators"), first, follow=True).content.decode()
    )
    one.post(reverse("administrators"), first)  # sent twice
    assert Approval.objects.count() == 1 and reviews.is_due()
    assert "J’ai relu" not in page_of(one)
    assert "Ada a confirmé cette liste" in said(page_of(other))
    other.post(reverse("administrators"), {"read": read(other)})
    assert not reviews.is_due() and DUE not in one.get("/").content.decode()
    entry = AuditEntry.objects.get(verb="identity:administrator:reviewed")
    assert (entry.actor_id, entry.collectivite_id) == (second.record.id, None)
    assert new_administrator.record.id in entry.details and '"administrators":2' in entry.details
    with clock.shifted(int(timedelta(days=182, seconds=1).total_seconds())):
        assert reviews.is_due()


def test_what_two_confirm_is_one_list(
    new_administrator: NewAdministrator, second: NewAdministrator, system: Actor
) -> None:
    one, other = client_of(new_administrator), client_of(second)
    stale = read(other)
    one.post(reverse("administrators"), {"read": read(one)})
    third = another(system, "Chloe")
    assert (
        "La liste a changé"
        in other.post(reverse("administrators"), {"read": stale}, follow=True).content.decode()
    )
    other.post(reverse("administrators"), {"read": read(other)})
    assert reviews.last() is None, "who confirmed the shorter list has not read this one"
    renewed = Administrator.objects.get(pk=third.record.pk)
    administrators.renew_administrator(actor=system, administrator=renewed, password=PASSWORD)
    one.post(reverse("administrators"), {"read": read(one)})
    assert reviews.last() is None, "nor a second factor that was given since"
    other.post(reverse("administrators"), {"read": read(other)})
    assert reviews.last() is not None


def test_one_alone_is_told_to_add_another(new_administrator: NewAdministrator) -> None:
    page = page_of(client_of(new_administrator))
    assert "Vous êtes seul" in page and 'name="read"' not in page


def test_the_page_says_who_comes(new_administrator: NewAdministrator, second: NewAdministrator) -> None:
    day = clock.epoch() - timedelta(days=91).total_seconds()
    Administrator.objects.filter(pk=second.record.pk).update(totp_last_step=int(day) // 30)
    rows = page_of(client_of(new_administrator)).partition("<tbody>")[2].split("</tr>")
    never, away = said(rows[0]), said(rows[1])
    assert "pas encore venu" in never and "pas encore utilisé" in never and "C’est vous" in never
    assert "plus de trois mois" in away and "code d’une application" in away
    assert "plus de trois mois" not in never


def test_an_access_ends_with_the_word_of_another(
    new_administrator: NewAdministrator, second: NewAdministrator, third: NewAdministrator
) -> None:
    asking, concerned, answering = (client_of(one) for one in (new_administrator, second, third))
    path = reverse("administrator_end", args=[second.record.id])
    form = {"word": "ask", "why": "L’agent a quitté le Département"}
    refused = asking.post(path, form | {"code": "000000"})
    assert refused.status_code == 403 and form["why"] in refused.content.decode(), "nothing typed is lost"
    empty = asking.post(path, {"word": "ask", "why": " ", "code": code(new_administrator)})
    assert empty.status_code == 400 and "Écrivez pourquoi" in empty.content.decode()
    asking.post(path, form | {"code": code(new_administrator)})
    again = asking.post(path, form | {"code": code(new_administrator)})
    assert again.status_code == 409 and Approval.objects.count() == 1
    assert "1 fin d’accès d’administrateur attend" in answering.get("/").content.decode()
    for who in (asking, concerned):
        assert "fin d’accès d’administrateur attend" not in who.get("/").content.decode()
    mine = asking.post(path, {"word": "grant", "code": code(new_administrator)})
    assert mine.status_code == 409
    for word in ("grant", "refuse"):
        assert concerned.post(path, {"word": word, "code": code(second)}).status_code == 403
    assert Administrator.objects.get(pk=second.record.pk).is_active
    page = answering.get(path).content.decode()
    assert form["why"] in page and "Ada" in page
    assert answering.post(path, {"word": "grant", "code": "000000"}).status_code == 403
    answering.post(path, {"word": "grant", "code": code(third)})
    assert not Administrator.objects.get(pk=second.record.pk).is_active
    assert concerned.get(reverse("administrators")).status_code == 302, "the session is over, too"
    entry = AuditEntry.objects.get(verb="identity:administrator:ended")
    assert (entry.actor_id, entry.object_id) == (third.record.id, second.record.id)
    assert answering.post(path, {"word": "grant", "code": code(third)}).status_code == 404
    why = AuditPersonal.objects.filter(entry__verb="identity:administrator:end_asked")
    assert why.exists()
    administrators.erase_closed(Administrator.objects.get(pk=second.record.pk))
    assert not why.exists(), "the reason goes with the name"


def test_a_request_is_refused_given_up_and_asked_anew(
    new_administrator: NewAdministrator, second: NewAdministrator, third: NewAdministrator
) -> None:
    actor, target = of(new_administrator), second.record.id
    reviews.ask_end(actor=actor, administrator_id=target, reason="a")
    reviews.answer_end(actor=of(third), administrator_id=target, agree=False)
    reviews.ask_end(actor=actor, administrator_id=target, reason="b")
    reviews.answer_end(actor=actor, administrator_id=target, agree=False)
    asked = reviews.ask_end(actor=actor, administrator_id=target, reason="c")
    assert reviews.reason_of(asked) == "c"
    with clock.shifted(approvals.VALID_S + 1):
        assert reviews.end_of(target) is None
    for reason in ("", " ", "x" * 501, "a\x00"):
        with pytest.raises(Invalid):
            reviews.ask_end(actor=of(third), administrator_id=new_administrator.record.id, reason=reason)


def test_of_two_one_ends_their_own_and_never_the_other_s(
    new_administrator: NewAdministrator, second: NewAdministrator
) -> None:
    one, other = of(new_administrator), of(second)
    with pytest.raises(Conflict):
        reviews.ask_end(actor=one, administrator_id=other.id, reason="x")
    answer = client_of(new_administrator).get(reverse("administrator_end", args=[other.id]))
    page = flat(answer.content.decode())
    assert "./beffroi administrator end blaise@cotedor.test --by admin@cotedor.test" in page
    reviews.ask_end(actor=one, administrator_id=one.id, reason="Je change de service")
    reviews.answer_end(actor=other, administrator_id=one.id, agree=True)
    assert [entry.administrator.pk for entry in reviews.accesses(other)] == [other.id]
    with pytest.raises(Conflict):
        administrators.end_administrator_access(
            actor=other, administrator=Administrator.objects.get(pk=other.id)
        )


def test_nobody_of_a_commune_reads_or_confirms(beaune: Commune, system: Actor) -> None:
    with pytest.raises(NotAllowed):
        reviews.accesses(beaune.referent)
    for actor in (beaune.referent, system):
        with pytest.raises(NotAllowed):
            reviews.confirm(actor=actor, read="")
        with pytest.raises(NotAllowed):
            reviews.ask_end(actor=actor, administrator_id="adm_x", reason="x")
        with pytest.raises(NotAllowed):
            reviews.answer_end(actor=actor, administrator_id="adm_x", agree=True)
