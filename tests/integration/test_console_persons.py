"""The Département begins a commune: its first référent, by the console or by the command; roles that only it gives."""

from __future__ import annotations

import re

import pytest
from beffroi.boxes.models import EnrolmentCode
from beffroi.cli import persons as command
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import actions as identity
from beffroi.core.identity import activation, queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator, SignInRefused
from beffroi.core.identity.models import ActivationCode, Membership, Person
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid
from beffroi.mail.models import Mailbox
from django.test import Client
from django.urls import reverse

from tests.conftest import PASSWORD, Commune, code_of, with_totp
from tests.fixtures_portal import no_door, on_listener, portal_client
from tests.terminal import Types, terminal

__all__ = ["no_door", "terminal"]
pytestmark = pytest.mark.usefixtures("database")
NADIA = {"first": "Nadia", "last": "Perrot", "role": "referent"}


def test_a_commune_begins_with_its_first_referent(
    console: Client, new_administrator: NewAdministrator
) -> None:
    enrolled = console.post(
        reverse("commune_enrol"), {"insee": "21584", "domain": "saulieu.test"}, follow=True
    )
    owner = Collectivite.objects.get(name="Saulieu")
    assert "Ajouter la personne référente" in enrolled.content.decode()
    assert queries.without_referent() == {owner.id}
    assert "1 commune n’a pas de personne référente" in console.get(reverse("home")).content.decode()
    assert "Sans référent" in console.get(reverse("communes")).content.decode()
    there = reverse("commune_person_new", args=[owner.id])
    form = {**NADIA, "local": "nadia.perrot", "domain": "saulieu.test"}
    assert 'value="nadia.perrot"' in console.post(there, NADIA).content.decode()
    refused = console.post(there, {**form, "code": "000000"})
    assert refused.status_code == 403 and 'value="nadia.perrot"' in refused.content.decode()
    assert not Person.objects.exists()
    sheet = console.post(there, {**form, "code": code_of(new_administrator)}).content.decode()
    code = re.search(r'class="secret">([a-z0-9-]{15})<', sheet)
    assert code is not None and owner.name in sheet
    member = Membership.objects.get(collectivite=owner)
    assert (member.role, member.person.email) == ("referent", "nadia.perrot@saulieu.test")
    assert queries.without_referent() == set()
    assert activation.check(email=member.person.email, code=code[1], address="").person == member.person


def test_the_departement_changes_roles_and_makes_sheets_with_a_code(
    console: Client, beaune: Commune, nuits: Commune, new_administrator: NewAdministrator
) -> None:
    there = reverse("commune_person", args=[beaune.id, beaune.agent.id])
    form = {"what": "role", "membership": beaune.agent_membership.pk, "role": "referent"}
    assert console.post(there, form).status_code == 403
    beaune.agent_membership.refresh_from_db()
    assert beaune.agent_membership.role == "agent"
    assert console.post(there, {**form, "code": code_of(new_administrator)}).status_code == 302
    beaune.agent_membership.refresh_from_db()
    assert beaune.agent_membership.role == "referent"
    for what in ("sheet", "cancel"):
        assert console.post(there, {"what": what}).status_code == 403
    assert not ActivationCode.objects.exists()
    assert console.post(there, {"what": "x"}).status_code == 400
    wrong = reverse("commune_person", args=[nuits.id, beaune.agent.id])
    assert console.get(wrong).status_code == 404, "of this commune only"


def test_the_departement_gives_a_mailbox_to_who_has_none_with_a_code(
    console: Client, beaune: Commune, new_administrator: NewAdministrator
) -> None:
    url = reverse("commune_person", args=[beaune.id, beaune.agent.id])
    wanted = {"what": "mailbox", "local": "agent.mairie", "domain": beaune.domain}
    assert 'value="agent"' in console.get(url).content.decode(), "with which they sign in"
    refused = console.post(url, wanted)
    assert refused.status_code == 403 and "agent.mairie" in refused.content.decode(), "what was typed stays"
    taken = console.post(url, wanted | {"local": "referent", "code": code_of(new_administrator)})
    assert taken.status_code == 409 and "referent2" in taken.content.decode()
    with clock.shifted(30):  # a code is used once
        given = console.post(url, wanted | {"code": code_of(new_administrator)}, follow=True)
    assert "agent.mairie@beaune.test est sa boîte" in given.content.decode()
    assert Mailbox.objects.get(person_id=beaune.agent.id).collectivite_id == beaune.id


def test_who_forgot_their_password_is_given_one_with_a_reason_and_a_code(
    console: Client, beaune: Commune, nuits: Commune, new_administrator: NewAdministrator
) -> None:
    there = reverse("commune_person", args=[beaune.id, beaune.agent.id])
    assert "Donner un mot de passe" in console.get(there).content.decode()
    form = {"what": "password", "why": "Rappelée au numéro de la mairie", "code": code_of(new_administrator)}
    refused = console.post(there, form | {"why": " "})
    assert refused.status_code == 400 and 'id="id_why_error"' in refused.content.decode()
    refused = console.post(there, form | {"code": "000000"})
    assert refused.status_code == 403 and "Rappelée au numéro" in refused.content.decode()
    wrong = reverse("commune_person", args=[nuits.id, beaune.agent.id])
    assert console.post(wrong, form).status_code == 404, "of this commune only"
    person = Person.objects.get(pk=beaune.agent.id)
    assert person.check_password(PASSWORD) and person.password_given_at is None
    shown = console.post(there, form)
    given = re.search(r'class="secret">([a-z0-9-]{19})<', shown.content.decode())
    assert shown.status_code == 200 and given is not None
    person.refresh_from_db()
    assert person.check_password(given[1]) and person.password_given_at is not None
    entry = AuditEntry.objects.get(verb="identity:password:given", object_id=person.pk)
    assert audit.personal_of(entry) == {"why": "Rappelée au numéro de la mairie"}, "where it can be erased"
    assert entry.details == "{}"
    assert given[1] not in console.get(there).content.decode(), "once"


def test_who_gives_a_password_reads_whether_it_opens_the_account_alone(
    console: Client, beaune: Commune
) -> None:
    there = reverse("commune_person", args=[beaune.id, beaune.agent.id])
    alone = console.get(there).content.decode()
    assert "n’a pas de double vérification" in alone and "reste demandée" not in alone
    with_totp(Person.objects.get(pk=beaune.agent.id))
    both = console.get(there).content.decode()
    assert "reste demandée" in both and "n’a pas de double vérification" not in both


def test_a_referent_reads_at_home_that_the_departement_gave_a_colleague_a_password(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    """Whoever talked the Département into it has chosen another one by then: the account itself tells nothing more."""
    person = Person.objects.get(pk=beaune.agent.id)
    identity.give_password(actor=administrator, person=person, reason="Rappelée au numéro de la mairie")
    identity.set_password(actor=beaune.agent, person=person, password=PASSWORD[::-1])
    said = "Le Département a donné un nouveau mot de passe à agent"
    with on_listener("web"):
        for membership, reads in (
            (beaune.referent_membership, True),
            (beaune.colleague_membership, False),
            (nuits.referent_membership, False),
        ):
            home = portal_client(membership).get(reverse("home")).content.decode()
            assert (said in home) is reads and "Rappelée" not in home
        with clock.shifted(4 * 86400):
            assert said not in portal_client(beaune.referent_membership).get(reverse("home")).content.decode()


def test_who_has_not_come_yet_gets_a_sheet_and_no_password(
    console: Client, beaune: Commune, new_administrator: NewAdministrator
) -> None:
    Person.objects.filter(pk=beaune.agent.id).update(password="!nothing")
    there = reverse("commune_person", args=[beaune.id, beaune.agent.id])
    page = console.get(there).content.decode()
    assert "Faire une nouvelle feuille" in page and "Donner un mot de passe" not in page
    form = {"what": "password", "why": "x", "code": code_of(new_administrator)}
    assert console.post(there, form).status_code == 409
    assert Person.objects.get(pk=beaune.agent.id).password_given_at is None


def test_no_boitier_is_offered_for_the_departement_and_none_gets_a_code(
    console: Client, beaune: Commune
) -> None:
    own = Collectivite.objects.create(kind="departement", name="Côte-d’Or", enrolled_at=clock.now())
    listed = console.get(reverse("communes")).content.decode()
    assert f"?commune={own.id}" not in listed and f"?commune={beaune.id}" in listed
    assert "ce n’est pas une mairie" in listed
    choice = console.get(reverse("box_code")).content.decode()
    assert own.id not in choice and beaune.id in choice
    assert console.post(reverse("box_code"), {"collectivite_id": own.id}).status_code == 400
    assert not EnrolmentCode.objects.exists()


def test_a_password_that_nobody_used_yet_is_said_to_be_one(console: Client, beaune: Commune) -> None:
    listed = console.get(reverse("commune_persons", args=[beaune.id])).content.decode()
    assert "Pas encore connectée" in listed and "un mot de passe lui a été donné" in listed
    Person.objects.update(last_login=clock.now())
    listed = console.get(reverse("commune_persons", args=[beaune.id])).content.decode()
    assert "Pas encore connectée" not in listed and "Compte en service" in listed


def test_the_command_adds_a_person_and_prints_the_code(
    terminal: Types, beaune: Commune, new_administrator: NewAdministrator, config: Config,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["add", "dgs@beaune.test", "--name", "Nadia Perrot", "--commune", "beaune", "--role", "referent",
             "--by", new_administrator.record.email, "--state", str(config.state)]  # fmt: skip
    terminal(PASSWORD, "000000")
    with pytest.raises(SignInRefused):
        command.main(words)
    terminal(PASSWORD, code_of(new_administrator))
    assert command.main(words) == 0
    said = capsys.readouterr().out
    found = re.search(r"^Code: ([a-z0-9-]{15})$", said, re.MULTILINE)
    assert found is not None and "premiere-connexion/" in said
    record = activation.check(email="dgs@beaune.test", code=found[1], address="")
    assert record.made_by == new_administrator.record.id
    assert Mailbox.objects.get(address="dgs@beaune.test").person_id == record.person_id


@pytest.mark.parametrize(
    "who", [("dgs@ailleurs.test", "Nadia Perrot"), ("dgs@beaune.test", "Nadia"), ("x", "A B")]
)
def test_the_command_refuses_a_name_or_domain_that_cannot_be(
    terminal: Types,
    beaune: Commune,
    new_administrator: NewAdministrator,
    config: Config,
    who: tuple[str, str],
) -> None:
    terminal(PASSWORD, code_of(new_administrator))
    with pytest.raises(Invalid):
        command.main(["add", who[0], "--name", who[1], "--commune", "beaune", "--role", "agent", "--by",
                      new_administrator.record.email, "--state", str(config.state)])  # fmt: skip
    assert not ActivationCode.objects.exists()
