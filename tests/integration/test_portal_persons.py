"""A person is added on a page, comes with the printed sheet and chooses the password; or is taken back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import actions, activation
from beffroi.core.identity.activation import ActivationOver, ActivationRefused, AlreadyCame
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import ActivationCode, Membership, Person
from beffroi.core.identity.retention import activation_codes
from beffroi.lib import clock
from beffroi.lib.errors import Invalid, NotAllowed, NotFound
from beffroi.mail.importing import actions as bringing
from beffroi.mail.models import Mailbox, MailDelivery
from beffroi.mail.people import arriving
from beffroi.mail.people.arriving import ArrivalAddressTaken
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from tests.conftest import Commune, make_member
from tests.fixtures_portal import (
    confirmed,
    console_client,
    no_door,
    on_listener,
    portal,
    portal_client,
    seen,
    visitor,
)

__all__ = ["no_door", "portal"]
pytestmark = pytest.mark.usefixtures("database")
NEW = "quatre mots sans rapport"
LEA = {"first": "Léa", "last": "d’Aubigné", "role": "agent"}


def arrive(commune: Commune, actor: Actor | None = None, **more: str) -> arriving.Arrived:
    given = {"name": "Léa d’Aubigné", "role": "agent", "local": "lea", "domain": commune.domain, **more}
    return arriving.arrive(actor=actor or commune.referent, collectivite=commune.collectivite, **given)


def come(email: str, code: str, new: str = NEW, client: Client | None = None, again: str = "") -> Any:
    form = {"email": email, "code": code, "new": new, "again": again or new}
    return (client or visitor()).post(reverse("activate"), form)


def code_on(page: str) -> str:
    found = re.search(r'class="secret">([a-z0-9-]{15})<', page)
    assert found is not None
    return found[1]


def test_a_referent_adds_a_person_who_comes_with_the_sheet(beaune: Commune) -> None:
    referent = confirmed(beaune.referent_membership)
    asked = referent.post(reverse("person_new"), LEA).content.decode()
    (local,) = re.findall(r'<input[^>]* name="local"[^>]*>', asked)
    assert 'maxlength="64"' in local and " required" in local and 'value="lea.daubigne"' in asked
    answer = referent.post(reverse("person_new"), {**LEA, "local": "lea.daubigne", "domain": beaune.domain})
    sheet = answer.content.decode()
    assert "no-store" in answer["Cache-Control"] and "premiere-connexion/" in sheet
    assert re.search(r"[0-9]{4}, [0-9]{1,2} h [0-9]{2}</dd>", sheet.replace("\u00a0", " ")), (
        "as hours are elsewhere"
    )
    assert "localhost:8443/reprendre/" in sheet, "the import of the old mailbox, after the first sign-in"
    code, email = code_on(sheet), "lea.daubigne@beaune.test"
    person = Person.objects.get(email=email)
    assert Mailbox.objects.get(address=email).person_id == person.pk
    assert Membership.objects.get(person=person).role == "agent"
    assert "Pas encore venue" in referent.get(reverse("persons")).content.decode()
    assert not person.has_usable_password() and code not in str(ActivationCode.objects.values())

    browser = visitor()
    opened = come(email, code.upper().replace("-", " "), client=browser)
    assert opened["Location"] == reverse("home")
    home = browser.get(reverse("home")).content.decode()
    assert "Bienvenue" in home and reverse("mfa_add_webauthn") in home
    listed = referent.get(reverse("persons")).content.decode()
    assert "Compte en service" in listed and "Pas encore venue" not in listed
    signed_in = visitor()
    signed_in.post(reverse("account_login"), {"login": email, "password": NEW})
    assert "_auth_user_id" in signed_in.session
    verbs = set(AuditEntry.objects.filter(object_id=person.pk).values_list("verb", flat=True))
    assert {
        "identity:person:created",
        "identity:activation_code:made",
        "identity:activation_code:used",
    } <= verbs


def test_a_sheet_opens_once_for_seven_days_and_the_next_one_ends_it(beaune: Commune) -> None:
    made = arrive(beaune)
    email = made.person.email
    second = activation.make(actor=beaune.referent, collectivite_id=beaune.id, person_id=made.person.pk)
    assert "plus récente" in come(email, made.sheet.code).content.decode()
    with clock.shifted(int(timedelta(days=7, seconds=1).total_seconds())):
        assert "sept jours" in come(email, second.code).content.decode()
        assert set(activation_codes(clock.now())) == set(ActivationCode.objects.all())
    assert not activation_codes(clock.now()).exists()
    assert come(email, second.code).status_code == 302
    again = come(email, second.code, "un tout autre secret long")
    assert again.status_code == 409 and "déjà servi" in again.content.decode()
    assert Person.objects.get(pk=made.person.pk).check_password(NEW)


def test_what_is_wrong_says_nothing_of_whether_an_account_is_there(beaune: Commune) -> None:
    made = arrive(beaune)
    said = [
        come(email, code)
        for email, code in (
            (made.person.email, "aaaa-bbbb-ccccc"),
            ("personne@beaune.test", "aaaa-bbbb-ccccc"),
            ("agent@beaune.test", made.sheet.code),
            ("", ""),
            ("x" * 400, "\x00'é" * 40),
        )
    ]
    assert {one.status_code for one in said} == {403}
    assert len({re.sub(r'value="[^"]*"|csrf\S+ \S+ \S+', "", one.content.decode()) for one in said[:3]}) == 1
    cache.clear()
    assert come(made.person.email, made.sheet.code).status_code == 302


def test_guesses_are_limited_for_each_account_and_network(beaune: Commune) -> None:
    made = arrive(beaune)
    for _ in range(5):
        assert come(made.person.email, "aaaa-bbbb-ccccc").status_code == 403
    assert come(made.person.email, made.sheet.code).status_code == 403, "five guesses are enough"
    elsewhere = visitor("198.51.100.9")
    assert come(made.person.email, made.sheet.code, client=elsewhere).status_code == 302, (
        "nobody is locked out"
    )


def test_guesses_are_seen_as_failed_sign_ins(beaune: Commune) -> None:
    come("agent@beaune.test", "aaaa-bbbb-ccccc", client=visitor("45.155.204.9"))
    event = OutboxEvent.objects.get(kind="identity:sign_in_failed")
    assert "45.155.204.9" in event.payload and "agent" not in event.payload


@pytest.mark.parametrize(
    ("new", "again", "said"),
    [("court", "", "12"), (NEW, NEW + "x", "pas les mêmes"), ("lea@beaune.test", "", "")],
)
def test_a_bad_password_uses_nothing_up(beaune: Commune, new: str, again: str, said: str) -> None:
    made = arrive(beaune)
    answer = come(made.person.email, made.sheet.code, new, again=again)
    text = answer.content.decode()
    assert answer.status_code == 400 and said in text and f'value="{made.sheet.code}"' in text
    assert come(made.person.email, made.sheet.code).status_code == 302


@pytest.mark.parametrize("chosen", ["  deux espaces autour  ", "clé à Noël 💡 ﬁn", "long " * 300])
def test_the_password_that_was_chosen_opens_whatever_is_in_it(beaune: Commune, chosen: str) -> None:
    made, client = arrive(beaune), visitor()
    assert come(made.person.email, made.sheet.code, chosen).status_code == 302
    client.post(reverse("account_login"), {"login": made.person.email, "password": chosen})
    assert "_auth_user_id" in client.session


def test_a_browser_in_which_somebody_is_signed_in_opens_no_other_account(beaune: Commune) -> None:
    made = arrive(beaune)
    answer = come(made.person.email, made.sheet.code, client=portal_client(beaune.referent_membership))
    assert "déjà connecté" in answer.content.decode()
    assert not Person.objects.get(pk=made.person.pk).has_usable_password()


def test_nobody_makes_a_sheet_for_who_came_or_was_given_a_password(
    beaune: Commune, administrator: Actor
) -> None:
    made = arrive(beaune)
    with pytest.raises(AlreadyCame):
        activation.make(actor=beaune.referent, collectivite_id=beaune.id, person_id=beaune.agent.id)
    actions.give_password(actor=administrator, person=made.person, reason="x")
    with pytest.raises(AlreadyCame):
        activation.make(actor=administrator, collectivite_id=beaune.id, person_id=made.person.pk)
    with pytest.raises(ActivationOver):
        activation.check(email=made.person.email, code=made.sheet.code, address="192.0.2.1")
    answer = confirmed(beaune.referent_membership).post(
        reverse("person", args=[beaune.agent.id]), {"what": "sheet"}
    )
    assert answer.status_code == 409 and 'class="secret"' not in answer.content.decode()


def test_of_two_requests_one_opens(beaune: Commune) -> None:
    made = arrive(beaune)
    record = activation.check(email=made.person.email, code=made.sheet.code, address="")
    with pytest.raises(ValidationError):
        activation.open_account(record, password="court")
    activation.open_account(record, password=NEW)
    with pytest.raises(ActivationOver):
        activation.open_account(record, password="un autre mot de passe long")


def test_what_nobody_opened_is_taken_back_and_may_be_added_again(beaune: Commune) -> None:
    made = arrive(beaune)
    referent = confirmed(beaune.referent_membership)
    away = referent.post(reverse("person", args=[made.person.pk]), {"what": "cancel"})
    assert "de nouveau libre" in referent.get(away["Location"]).content.decode()
    assert come(made.person.email, made.sheet.code).status_code == 403
    gone = Person.objects.get(pk=made.person.pk)
    assert (gone.is_active, gone.name) == (False, "") and gone.email != made.person.email
    assert AuditEntry.objects.filter(verb="mail:arrival:cancelled", actor_id=beaune.referent.id).exists()
    next_one = arrive(beaune, name="Léa Daubigny")
    mailbox = Mailbox.objects.get(address="lea@beaune.test")
    assert (mailbox.pk, mailbox.person_id, mailbox.closed_at) == (made.mailbox.pk, next_one.person.pk, None)
    assert referent.post(reverse("person", args=[made.person.pk]), {"what": "cancel"}).status_code == 404


@pytest.mark.parametrize("how", ["delivered", "brought"])
def test_taking_back_loses_no_mail_and_gives_it_to_nobody(beaune: Commune, how: str) -> None:
    made = arrive(beaune)
    if how == "brought":
        bringing.begin_archive(mailbox=made.mailbox, name="vieux.mbox", account="root")
    else:
        MailDelivery.objects.create(
            message_id="msg_" + "1" * 26,
            mailbox_id=made.mailbox.pk,
            collectivite_id=beaune.id,
            folder="INBOX",
            delivered_at=clock.now(),
        )
    kept = arriving.cancel(actor=beaune.referent, collectivite=beaune.collectivite, person_id=made.person.pk)
    assert kept == ["lea@beaune.test"]
    closed = Mailbox.objects.get(pk=made.mailbox.pk)
    assert closed.closed_at is not None and closed.crypt_key
    with pytest.raises(ArrivalAddressTaken) as taken:
        arrive(beaune)
    assert taken.value.free == "lea2"


def test_who_came_is_not_taken_back(beaune: Commune) -> None:
    made = arrive(beaune)
    come(made.person.email, made.sheet.code)
    with pytest.raises(AlreadyCame):
        arriving.cancel(actor=beaune.referent, collectivite=beaune.collectivite, person_id=made.person.pk)
    assert (
        "Annuler l’ajout"
        not in confirmed(beaune.referent_membership)
        .get(reverse("person", args=[made.person.pk]))
        .content.decode()
    )


@pytest.mark.parametrize(
    ("form", "said", "shown"),
    [
        ({"local": "agent"}, "« agent2 » est libre", "agent2"),
        ({"local": "Élodie"}, "« elodie »", "elodie"),
        ({"first": " "}, "le prénom et le nom", ""),
        ({"first": "a\x00b"}, "le prénom et le nom", ""),
        ({"first": "\u202eaél"}, "le prénom et le nom", ""),
        ({"first": "é" * 100, "last": "b" * 100, "local": "x"}, "le prénom et le nom", "x"),
        ({"local": "x", "role": "referent"}, "Choisissez un rôle", "x"),
        ({"local": "x", "role": "dpo"}, "Choisissez un rôle", "x"),
        ({"local": "x", "role": "roi"}, "Choisissez un rôle", "x"),
        ({"first": "北", "last": "京"}, "ce nom n’en donne aucune", ""),
    ],
)
def test_a_form_that_cannot_be_used_says_why(
    beaune: Commune, form: dict[str, str], said: str, shown: str
) -> None:
    before = Person.objects.count()
    answer = confirmed(beaune.referent_membership).post(
        reverse("person_new"), {**LEA, "local": "", "domain": beaune.domain, **form}
    )
    text = answer.content.decode()
    assert said.replace(" »", "\xa0»").replace("« ", "«\xa0") in text or said in text
    assert not shown or f'value="{shown}"' in text
    assert Person.objects.count() == before and not ActivationCode.objects.exists()


def test_a_role_that_one_may_not_give_is_told_at_its_field(beaune: Commune) -> None:
    form = {**LEA, "local": "x", "domain": beaune.domain, "role": "dpo"}
    page = confirmed(beaune.referent_membership).post(reverse("person_new"), form).content.decode()
    (field,) = re.findall(r'<select [^>]*id="id_role"[^>]*>', page)
    assert 'aria-invalid="true"' in field and 'aria-describedby="id_role_hint id_role_error"' in field
    assert 'id="id_role_error"' in page


def test_a_referent_adds_nobody_on_the_domain_or_in_the_name_of_another_commune(
    beaune: Commune, nuits: Commune
) -> None:
    with pytest.raises(Invalid):
        arrive(beaune, local="agent", domain=nuits.domain)
    with pytest.raises(NotFound):
        arrive(nuits, beaune.referent)
    with pytest.raises(NotAllowed):
        arrive(beaune, beaune.agent)
    made = arrive(nuits)
    for word in ("sheet", "cancel", "role"):
        client = confirmed(beaune.referent_membership)
        assert client.post(reverse("person", args=[made.person.pk]), {"what": word}).status_code == 404
        agent = confirmed(nuits.agent_membership)
        assert agent.post(reverse("person", args=[made.person.pk]), {"what": word}).status_code == 404
    for membership in (nuits.agent_membership, nuits.colleague_membership):
        for name in ("persons", "person_new"):
            assert confirmed(membership).get(reverse(name)).status_code == 404
    assert activation.check(email=made.person.email, code=made.sheet.code, address="").person == made.person


def test_roles_change_within_what_one_may_give(beaune: Commune, administrator: Actor) -> None:
    client = confirmed(beaune.referent_membership)
    member = beaune.agent_membership
    form = {"what": "role", "membership": member.pk, "role": "elu"}
    assert client.post(reverse("person", args=[beaune.agent.id]), form).status_code == 302
    member.refresh_from_db()
    assert member.role == "elu"
    assert (
        client.post(reverse("person", args=[beaune.agent.id]), {**form, "role": "referent"}).status_code
        == 403
    )
    own = {"what": "role", "membership": beaune.referent_membership.pk, "role": "agent"}
    assert client.post(reverse("person", args=[beaune.referent.id]), own).status_code == 403
    assert actions.change_role(actor=administrator, membership=member, role="referent")
    assert not actions.change_role(actor=administrator, membership=member, role="referent")
    assert client.post(reverse("person", args=[beaune.agent.id]), form).status_code == 403
    entry = AuditEntry.objects.filter(verb="identity:membership:role_changed").latest("id")
    assert '"before":"elu"' in entry.details.replace(" ", "") and entry.collectivite_id == beaune.id


def test_a_wrong_code_of_a_closed_account_is_refused(beaune: Commune) -> None:
    made = arrive(beaune)
    actions.end_access(actor=beaune.referent, membership=made.membership)
    with pytest.raises(ActivationOver):
        activation.check(email=made.person.email, code=made.sheet.code, address="")
    with pytest.raises(ActivationRefused):
        activation.check(email=made.person.email, code="x", address="")


@pytest.mark.parametrize("role", ["referent", "dpo"])
def test_a_referent_opens_no_account_of_a_role_that_only_the_departement_gives(
    beaune: Commune, administrator: Actor, role: str
) -> None:
    made = arrive(beaune, administrator, role=role)
    referent = confirmed(beaune.referent_membership)
    there = reverse("person", args=[made.person.pk])
    page = referent.get(there).content.decode()
    assert "Faire une nouvelle feuille" not in page and "au Département" in page
    assert referent.post(there, {"what": "sheet"}).status_code == 403
    assert activation.check(email=made.person.email, code=made.sheet.code, address="").person == made.person
    again = activation.make(actor=administrator, collectivite_id=beaune.id, person_id=made.person.pk)
    assert again.record.ended_at is None


def named(commune: Commune, *names: str) -> None:
    for number, name in enumerate(names):
        member = make_member(
            Actor.system("tests"), commune.collectivite, f"p{number}@{commune.domain}", "agent"
        )
        Person.objects.filter(pk=member.person_id).update(name=name)


def test_a_person_is_found_by_a_part_of_the_name_without_accents(
    beaune: Commune, administrator: Actor
) -> None:
    """A large town hall: the list is long, and its field is at its head; of a small one it would be noise."""
    referent = confirmed(beaune.referent_membership)
    assert 'name="q"' not in seen(referent, "persons")
    named(beaune, "Élodie d’Aubigné", "Jean-Luc Lœuillet", "Zoé Ancel", *(f"Agent {one}" for one in range(8)))
    assert 'name="q"' in seen(referent, "persons")
    for query, there in (
        ("elodie", "Élodie d’Aubigné"),
        ("D'AUBIGNE  élo", "Élodie d’Aubigné"),
        ("jean luc", "Jean-Luc Lœuillet"),
        ("loeuil", "Jean-Luc Lœuillet"),
        ("p2@beaune", "Zoé Ancel"),
    ):
        page = seen(referent, "persons", query="?q=" + quote(query))
        assert there in page and "Agent 3" not in page
        assert "Voir tout le monde" in page
    page = seen(referent, "persons", query="?q=%3Cb%3E%00introuvable")
    assert "Personne de ce nom" in page and "&lt;b&gt;introuvable" in page and "Zoé" not in page
    Membership.objects.filter(role="referent").update(role="agent")
    with on_listener("console"):
        console = console_client(administrator.id)
        page = seen(console, "commune_persons", beaune.id, query="?q=ZOE")
        assert "Zoé Ancel" in page and "Agent 3" not in page
        assert "Personne n’est encore référent ici" in page, "said of all of them"


def test_the_departement_finds_a_person_of_whatever_commune(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    named(beaune, "Élodie Febvre")
    named(nuits, "Élodie Febvret", *(f"Camille {one}" for one in range(20)))
    gone = arrive(nuits, administrator, name="Élodie Partie")
    arriving.cancel(actor=administrator, collectivite=nuits.collectivite, person_id=gone.person.pk)
    with on_listener("console"):
        console = console_client(administrator.id)
        page = seen(console, "communes", query="?q=febvr+elodie")
        for commune, person in ((beaune, "Élodie Febvre"), (nuits, "Élodie Febvret")):
            found = Person.objects.get(name=person)
            assert person in page and reverse("commune_person", args=[commune.id, found.pk]) in page
        assert "Camille" not in page and "Partie" not in page
        page = seen(console, "communes", query="?q=camille")
        assert page.count("<strong>Camille") == 12 and "précisez" in page
        assert "ni aucune personne" in seen(console, "communes", query="?q=zzzz")
