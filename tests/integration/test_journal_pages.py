"""The journal of a commune: what its DPO and its référent read, in a page and as a file, and who reads nothing."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import actions as identity
from beffroi.core.identity import erasure, offers
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.core.retention.models import RetentionCount, RetentionRun
from beffroi.drive import erasures
from beffroi.incidents.models import Incident
from beffroi.incidents.rules import Kind
from beffroi.lib import clock
from beffroi.mail.models import Mailbox
from beffroi.portal import commune_journal, verbs
from beffroi.portal.web import journal
from beffroi.portal.words import exact
from django.test import Client
from django.urls import reverse

from tests.conftest import Commune, make_member
from tests.fixtures_portal import confirmed, no_door, portal_client
from tests.markup import text_of

__all__ = ["no_door"]
pytestmark = pytest.mark.usefixtures("database")


def dpo_of(system: Actor, *communes: Commune) -> list[Membership]:
    """One person, the DPO of each of them."""
    first = make_member(system, communes[0].collectivite, "dpo@mutualise.test", "dpo")
    others = [
        identity.add_membership(actor=system, person=first.person, collectivite=one.collectivite, role="dpo")
        for one in communes[1:]
    ]
    return [first, *others]


def told(verb: str, actor: Actor, commune: Commune | None, object_id: str = "x", **details: str | int) -> int:
    return audit.record(
        actor, verb, object_id, collectivite_id=commune.id if commune else None, details=details
    )


def rows(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""), delimiter=";"))


def test_a_dpo_reads_what_was_done_in_words_with_who_and_whom(
    beaune: Commune, nuits: Commune, administrator: Actor, system: Actor
) -> None:
    [dpo] = dpo_of(system, beaune)
    mailbox = Mailbox.objects.create(
        collectivite_id=beaune.id, address=f"urbanisme@{beaune.domain}", crypt_key="-"
    )
    told("mail:restore:asked", beaune.referent, beaune, mailbox_id=mailbox.id)
    told("mail:quota:mailbox", administrator, beaune, mailbox.id)
    told("identity:administrator:signed_in", administrator, None, administrator.id)
    identity.change_role(actor=beaune.referent, membership=beaune.agent_membership, role="elu")
    erasures.request(actor=administrator, collectivite=beaune.collectivite, reason="Fin de convention.")
    client = portal_client(dpo)
    assert reverse("own_journal") in text_of(client.get("/"))
    page = text_of(client.get(reverse("own_journal")))
    for words in (
        "Restauration de courriels demandée",
        f"urbanisme@{beaune.domain}",
        "Place d’une boîte changée",
        "Ada, Département",
        "Connexion à la console",
        "Rôle changé",
        "Effacement du Coffre d’une collectivité demandé",
        "Second avis demandé : effacement du Coffre",
    ):
        assert words in page
    at = exact(AuditEntry.objects.get(verb="mail:restore:asked").at)
    assert at.replace("\u00a0", " ") in page, "a page that is printed has its days"
    stranger = portal_client(nuits.referent_membership)
    assert "effacement du Coffre" not in text_of(stranger.get(reverse("own_journal"), {"genre": "accords"}))
    of_departement = text_of(client.get(reverse("own_journal"), {"genre": "departement"}))
    assert "Connexion à la console" in of_departement
    assert "Administrateur créé" in of_departement, "also by the command line"
    assert "Restauration de courriels demandée" not in of_departement


def test_each_commune_of_a_mutualised_dpo_has_its_own_journal(
    beaune: Commune, nuits: Commune, system: Actor
) -> None:
    in_beaune, in_nuits = dpo_of(system, beaune, nuits)
    told("mail:export:asked", beaune.referent, beaune, beaune.agent.id)
    told("identity:password:given", system, None, beaune.agent.id)
    for membership, seen in ((in_beaune, True), (in_nuits, False)):
        client = confirmed(membership)
        page = text_of(client.get(reverse("own_journal"), {"genre": "tout"}))
        file = client.post(reverse("own_journal"), {"genre": "tout"}).content.decode()
        for words in ("Export d’une boîte fermée demandé", "Mot de passe donné par le Département"):
            assert (words in page, words in file) == (seen, seen)


def test_for_everybody_else_there_is_no_such_page(beaune: Commune) -> None:
    for membership in (beaune.agent_membership, beaune.colleague_membership):
        client = portal_client(membership)
        assert reverse("own_journal") not in text_of(client.get("/"))
        for name in ("own_journal", "own_retention"):
            assert client.get(reverse(name)).status_code == 404
        assert client.post(reverse("own_journal")).status_code == 404
    assert portal_client(beaune.referent_membership).get(reverse("own_journal")).status_code == 200
    assert Client().get(reverse("own_journal")).status_code == 302


def test_a_stranger_who_acts_is_named_by_no_name(beaune: Commune, nuits: Commune, system: Actor) -> None:
    [dpo] = dpo_of(system, beaune)
    nuits.agent_membership.person.name = "Zoé Rivoire"
    nuits.agent_membership.person.save()
    told("drive:share:accepted", nuits.agent, beaune)
    told("identity:offer:accepted", system, beaune, nuits.agent.id)
    page = text_of(portal_client(dpo).get(reverse("own_journal")))
    assert "Une personne d’une autre collectivité" in page
    assert "Rivoire" not in page


def test_an_erased_person_has_no_name_here_either_and_the_erasure_is_told(
    beaune: Commune, nuits: Commune, administrator: Actor, system: Actor
) -> None:
    [dpo] = dpo_of(system, beaune)
    membership = make_member(system, beaune.collectivite, "colette.zut@beaune.test", "agent")
    person = membership.person
    told("mail:forward:set", Actor("person", person.id, beaune.id, "agent"), beaune)
    asked = erasure.request(actor=administrator, person=person, reason="demande")
    erasure.carry_out(person.id)
    client = portal_client(dpo)
    page = text_of(client.get(reverse("own_journal"), {"genre": "effacements"}))
    assert "Effacement d’un compte demandé" in page
    assert "Nom et adresse d’un compte effacés" in page
    assert "Une personne partie" in page
    assert "colette" not in text_of(client.get(reverse("own_journal"), {"genre": "tout"}))
    assert AuditEntry.objects.filter(object_id=asked.id).exists()
    stranger = portal_client(nuits.referent_membership)
    assert "Nom et adresse d’un compte effacés" not in text_of(
        stranger.get(reverse("own_journal"), {"genre": "tout"})
    )


def test_a_line_of_an_incident_names_it_and_leads_there_for_its_own_commune_alone(
    beaune: Commune, nuits: Commune, system: Actor
) -> None:
    [dpo] = dpo_of(system, beaune)
    at = datetime(2026, 11, 3, 9, tzinfo=UTC)
    own, other = (
        Incident.objects.create(
            collectivite_id=one.id,
            kind=Kind.PASSWORD_TYPED,
            subject="x",
            severity="high",
            occurred_at=at,
            opened_at=at,
        )
        for one in (beaune, nuits)
    )
    for one in (own, other):
        told("incident:opened", system, beaune, one.id)
    client = confirmed(dpo)
    page = text_of(client.get(reverse("own_journal"), {"genre": "dossiers"}))
    assert page.count("(3 novembre 2026)</a>") == 1
    assert reverse("incident", args=[own.id]) in page and other.id not in page
    about = [one[3] for one in rows(client.post(reverse("own_journal"), {"genre": "dossiers"}))[1:]]
    assert sorted(one[-17:] for one in about) == ["", "(3 novembre 2026)"]


def test_nobody_is_watched_over_and_a_refusal_stays_unknown(
    beaune: Commune, nuits: Commune, administrator: Actor, system: Actor
) -> None:
    [dpo] = dpo_of(system, beaune)
    for verb in (
        "mail:sending:scheduled", "mail:sending:sent", "mail:held:blocked", "mail:message:reported",
        "mail:absence:set",
    ):  # fmt: skip
        told(verb, beaune.agent, beaune)
    told("mail:sending:sent", system, beaune)
    offer = offers.make(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        email=nuits.agent_membership.person.email,
        role="agent",
    )
    offers.answer(actor=nuits.agent, offer_id=offer.pk, accept=False)
    told("mail:held:released", administrator, beaune)
    for membership in (dpo, beaune.referent_membership):
        client = portal_client(membership)
        for asked in ({"genre": "tout"}, {}):
            page = text_of(client.get(reverse("own_journal"), asked))
            assert "Courriel envoyé" not in page and "Courriel parti" not in page
            assert "signalé<" not in page and "Absence" not in page and "bloqué par une personne" not in page
            assert "Rattachement refusé" not in page
            assert "Question posée" in page
            assert "Courriel retenu libéré" in page, "what the Département did"


def test_what_befell_a_person_elsewhere_after_they_left_is_not_told(
    beaune: Commune, nuits: Commune, system: Actor
) -> None:
    [dpo] = dpo_of(system, beaune)
    identity.add_membership(
        actor=system, person=beaune.agent_membership.person, collectivite=nuits.collectivite, role="agent"
    )
    identity.end_access(actor=system, membership=beaune.agent_membership)
    Membership.objects.filter(pk=beaune.agent_membership.id).update(until=clock.now() - timedelta(hours=1))
    told("identity:password:given", system, None, beaune.agent.id)
    told("identity:person:exported", system, None, beaune.agent.id)
    page = text_of(portal_client(dpo).get(reverse("own_journal"), {"genre": "tout"}))
    assert "Mot de passe donné par le Département" not in page
    assert "Données d’une personne exportées" in page


def test_days_are_those_of_the_wall_and_both_are_included(beaune: Commune, system: Actor) -> None:
    [dpo] = dpo_of(system, beaune)
    AuditEntry.objects.filter(collectivite_id=beaune.id).delete()
    for verb, at in (
        ("mail:export:asked", datetime(2026, 3, 9, 22, 59, tzinfo=UTC)),  # the 9th, 23:59 in France
        ("mail:export:ready", datetime(2026, 3, 9, 23, 1, tzinfo=UTC)),  # the 10th, 00:01
        ("mail:export:ended", datetime(2026, 3, 10, 22, 59, tzinfo=UTC)),
        ("mail:export:failed", datetime(2026, 3, 10, 23, 1, tzinfo=UTC)),
    ):
        AuditEntry.objects.filter(pk=told(verb, system, beaune)).update(at=at)
    client = portal_client(dpo)
    page = text_of(client.get(reverse("own_journal"), {"du": "2026-03-10", "au": "2026-03-10"}))
    shown = [verb for verb, words in verbs.VERBS.items() if f">{words}<" in page]
    assert shown == ["mail:export:ready", "mail:export:ended"]
    empty = text_of(client.get(reverse("own_journal"), {"du": "2027-01-01", "genre": "exports"}))
    assert "Rien de cela dans cette période." in empty
    assert "Télécharger" not in empty
    for odd in ({"du": "hier"}, {"au": "0000-00-00"}, {"genre": "x\x00"}, {"avant": "²"}):
        assert client.get(reverse("own_journal"), odd).status_code == 200


def test_pages_hold_every_line_once(
    beaune: Commune, administrator: Actor, system: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PAGE_ENTRIES", 3)
    [dpo] = dpo_of(system, beaune)
    for number in range(7):
        told("mail:export:asked", beaune.referent, beaune, f"e{number}")
        told("identity:administrator:signed_in", administrator, None, administrator.id)
    client, seen, address = portal_client(dpo), [], "?genre=tout"
    while address:
        answer = client.get(reverse("own_journal") + address)
        seen += [one.entry.id for one in answer.context["lines"]]
        address = answer.context["older"]
    actor = Actor("person", dpo.person_id, beaune.id, "dpo")
    whole = commune_journal.entries(actor, commune_journal.Wanted("tout"), limit=1000)
    assert seen == [one.id for one in whole] == sorted(seen, reverse=True)
    assert len(seen) > 14


def test_the_file_has_what_the_page_has_computes_nothing_and_is_itself_told(
    beaune: Commune, system: Actor
) -> None:
    [dpo] = dpo_of(system, beaune)
    make_member(system, beaune.collectivite, "eve@beaune.test", "agent")
    person = Membership.objects.get(person__email="eve@beaune.test").person
    person.name = '=HYPERLINK("http://x";"y")'
    person.save()
    told("mail:export:asked", beaune.referent, beaune, person.id)
    audit.seal()
    asked = {"genre": "exports", "du": "2020-01-01"}
    unasked = portal_client(dpo).post(reverse("own_journal"), asked)
    assert unasked.status_code == 302 and unasked["Location"].startswith("/confirmer/"), "as every export"
    client = confirmed(dpo)
    answer = client.post(reverse("own_journal"), asked)
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    head, line = rows(answer)
    assert head[:4] == ["Quand", "Quoi", "Qui", "Concerne"]
    assert line[1:3] == ["Export d’une boîte fermée demandé", beaune.referent_membership.person.name]
    assert line[3] == "'" + person.name
    assert line[4].isdigit()
    entry = AuditEntry.objects.get(verb="audit:journal:exported")
    assert (entry.collectivite_id, entry.actor_id) == (beaune.id, dpo.person_id)
    assert '"count":1' in entry.details
    assert "Journal d’une collectivité téléchargé" in text_of(client.get(reverse("own_journal")))


def test_a_file_that_would_be_too_long_asks_for_a_shorter_time(
    beaune: Commune, system: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "FILE_ENTRIES", 2)
    [dpo] = dpo_of(system, beaune)
    for _ in range(3):
        told("mail:export:asked", beaune.referent, beaune)
    answer = confirmed(dpo).post(reverse("own_journal"), {"genre": "exports"}, follow=True)
    assert "choisissez une période plus courte" in text_of(answer)
    assert not AuditEntry.objects.filter(verb="audit:journal:exported").exists()


def test_the_report_of_the_purge_says_since_when_and_no_number_of_others(
    beaune: Commune, system: Actor
) -> None:
    [dpo] = dpo_of(system, beaune)
    client = portal_client(dpo)
    assert "La première purge n’est pas encore terminée." in text_of(client.get(reverse("own_retention")))
    run = RetentionRun.objects.create(state="done", finished_at=clock.now())
    cutoff = datetime(2025, 11, 3, 12, tzinfo=UTC)
    RetentionCount.objects.create(run=run, category="sign_ins", cutoff=cutoff, deleted=987654)
    page = text_of(client.get(reverse("own_retention")))
    assert "Dernière purge" in page
    assert "3 novembre 2025" in page
    assert "987" not in page
    RetentionRun.objects.create(state="refused", reason="clock_ahead", finished_at=clock.now())
    assert "La purge est arrêtée" in text_of(client.get(reverse("own_retention")))


def test_every_beginning_names_actions_that_exist_and_every_commune_action_is_of_one_kind_at_most() -> None:
    beginnings = [one for _, verbs_of in commune_journal.KINDS.values() for one in verbs_of]
    for beginning in beginnings:
        assert any(verb.startswith(beginning) for verb in verbs.VERBS), beginning
    for verb in verbs.VERBS:
        kinds = [
            kind
            for kind, (_, verbs_of) in commune_journal.KINDS.items()
            if any(verb.startswith(one) for one in verbs_of)
        ]
        assert len(kinds) <= 1 or verb == "incident:exported", verb
    assert set(commune_journal._OF_ITSELF) <= set(verbs.VERBS)


def test_what_a_person_does_of_their_own_access_concerns_them(beaune: Commune) -> None:
    identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap", label="Accueil"
    )
    listed = rows(confirmed(beaune.referent_membership).post(reverse("own_journal"), {"genre": "droits"}))
    assert [one[3] for one in listed if one[1] == "Mot de passe d’application créé"] == [
        beaune.agent_membership.person.name
    ]
