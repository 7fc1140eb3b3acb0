"""The console's pages of a commune's addresses: functional mailboxes, aliases, unknown addresses."""

from __future__ import annotations

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.lib import clock
from beffroi.mail.aliases.models import Alias, AliasTarget, CatchAll
from beffroi.mail.models import Mailbox
from beffroi.mail.people.models import Member
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.conftest import Commune, code_of
from tests.fixtures_portal import no_door, own_mailbox, shared_box
from tests.integration.test_mail_aliases import made
from tests.markup import text_of

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
ALIAS = {"what": "alias", "local": "elus", "domain": "beaune.test", "mailboxes": "agent@beaune.test"}


def page(commune: Commune, query: str = "") -> str:
    return reverse("commune_addresses", args=[commune.id]) + query


def test_the_departement_makes_changes_ends_and_takes_up_an_alias(
    console: Client, beaune: Commune, new_administrator: NewAdministrator
) -> None:
    own, other = own_mailbox(beaune), shared_box(beaune)
    assert "Aucun alias pour l’instant" in text_of(console.get(page(beaune)))
    there = console.post(page(beaune), ALIAS)["Location"]
    alias = Alias.objects.get(address="elus@beaune.test")
    assert there == reverse("commune_alias", args=[beaune.id, alias.id])
    console.post(there, {"what": "add", "address": "Mairie@beaune.test"})
    away = console.post(there, {"what": "remove", "mailbox": own.id})["Location"]
    assert "ne reçoit plus par cet alias" in text_of(console.get(away))
    console.post(there, {"what": "add", "mailbox": own.id})
    console.post(there, {"what": "sends"})
    assert AliasTarget.objects.filter(ended_at=None).count() == 2
    console.post(there, {"what": "add", "address": "personne@beaune.test"})
    assert "n’a pas de boîte ouverte « personne@beaune.test »" in text_of(console.get(there))
    after = console.post(there, {"what": "end"})["Location"]
    shown = text_of(console.get(after))
    assert console.get(there).status_code == 404
    assert "L’alias est arrêté" in shown and "Reprendre" in shown and "elus@beaune.test" in shown
    assert console.post(there, {"what": "restore"})["Location"] == there
    assert other.address in text_of(console.get(there))
    who = set(
        AuditEntry.objects.filter(verb__startswith="mail:alias").values_list("actor_id", "collectivite_id")
    )
    assert who == {(new_administrator.record.id, beaune.id)}


@pytest.mark.parametrize(
    ("changes", "words", "kept"),
    [
        ({"local": "agent"}, "déjà celle d’une boîte", "agent"),
        ({"local": "Élodie d’Aubigné"}, "Nous proposons « elodie.daubigne »", "elodie.daubigne"),
        ({"mailboxes": " "}, "un alias sans lecteur", "elus"),
        ({"mailboxes": "agent@beaune.test\nx@beaune.test"}, "pas de boîte ouverte « x@beaune.test »", "elus"),
        ({"mailboxes": "mairie@nuits.test"}, "pas de boîte ouverte « mairie@nuits.test »", "elus"),
        ({"domain": "nuits.test"}, "ne convient pas", "elus"),
    ],
)
def test_an_alias_that_cannot_be_is_refused_in_words_and_what_was_typed_stays(  # noqa: PLR0917 - fixtures
    console: Client, beaune: Commune, nuits: Commune, changes: dict[str, str], words: str, kept: str
) -> None:
    own_mailbox(beaune)
    shared_box(nuits)
    answer = console.post(page(beaune), {**ALIAS, **changes})
    assert answer.status_code in (400, 409)
    assert words in text_of(answer) and f'value="{kept}"' in text_of(answer)
    assert not Alias.objects.exists()


def test_who_reads_a_functional_mailbox_is_changed_with_a_code_and_undone_without(
    console: Client, beaune: Commune, new_administrator: NewAdministrator
) -> None:
    form = {"what": "box", "local": "Mairie", "domain": beaune.domain, "title": "Mairie de Beaune"}
    there = console.post(page(beaune), form)["Location"]
    box = Mailbox.objects.get(address="mairie@beaune.test")
    assert there == reverse("commune_shared", args=[beaune.id, box.id])
    add = {"what": "add", "person": beaune.agent.id}
    refused = console.post(there, {**add, "code": "000000"})
    assert refused.status_code == 403 and "Ce code n’est pas le bon" in text_of(refused)
    assert not Member.objects.exists()
    assert console.post(there, {**add, "code": code_of(new_administrator)}).status_code == 302
    away = console.post(there, {**add, "what": "remove"})["Location"]
    assert "ne lit plus cette boîte" in text_of(console.get(away))
    assert console.post(there, add).status_code == 302, "to undo needs no code"
    assert Member.objects.get(ended_at=None).person_id == beaune.agent.id
    assert console.post(there, {"what": "add", "person": beaune.colleague.id}).status_code == 403
    console.post(there, {"what": "rename", "title": "Accueil"})
    assert "Accueil" in text_of(console.get(page(beaune)))
    console.post(there, {"what": "close"})
    assert "Rouvrir" in text_of(console.get(page(beaune)))
    console.post(there, {"what": "reopen"})
    assert console.get(there).status_code == 200
    bad = console.post(page(beaune), {**form, "local": "été"})
    assert bad.status_code == 400 and "Nous proposons « ete »" in text_of(bad)


def test_unknown_addresses_are_received_for_a_time_with_a_code(
    console: Client, beaune: Commune, nuits: Commune, new_administrator: NewAdministrator
) -> None:
    own_mailbox(beaune)
    shared_box(nuits)
    form = {"what": "receive", "domain": beaune.domain, "address": "agent@beaune.test", "days": "7"}
    assert "Refusées" in text_of(console.get(page(beaune)))
    assert console.post(page(beaune), form).status_code == 403
    other = console.post(page(beaune), {**form, "address": "mairie@nuits.test"})
    assert other.status_code == 400 and "pas de boîte ouverte" in text_of(other)
    assert console.post(page(beaune), {**form, "domain": nuits.domain}).status_code == 404
    assert not CatchAll.objects.exists()
    assert console.post(page(beaune), {**form, "code": code_of(new_administrator)}).status_code == 302
    assert "arrive dans agent@beaune.test. Fin :" in text_of(console.get(page(beaune)))
    refuse = {"what": "refuse", "domain": beaune.domain}
    assert console.post(page(nuits), refuse).status_code == 404
    console.post(page(beaune), refuse)
    assert CatchAll.objects.get().ended_at is not None
    assert console.post(page(beaune), {"what": "burn"}).status_code == 400


def test_what_belongs_to_another_commune_is_no_such_page_of_this_one(
    console: Client, beaune: Commune, nuits: Commune
) -> None:
    box = shared_box(beaune, beaune.agent)
    alias = made(beaune, "elus", box)
    for path, forms in (
        (reverse("commune_alias", args=[nuits.id, alias.id]), ("end", "sends", "add")),
        (reverse("commune_shared", args=[nuits.id, box.id]), ("close", "rename", "remove", "reopen")),
    ):
        assert console.get(path).status_code == 404
        for what in forms:
            assert (
                console.post(path, {"what": what, "title": "x", "person": beaune.agent.id}).status_code == 404
            )
    assert Alias.objects.get().ended_at is None and Mailbox.objects.get(pk=box.id).closed_at is None
    assert "elus@" not in text_of(console.get(page(nuits)))
    console.post(reverse("commune_alias", args=[beaune.id, alias.id]), {"what": "end"})
    stolen = console.post(reverse("commune_alias", args=[nuits.id, alias.id]), {"what": "restore"})
    assert stolen.status_code == 404 and Alias.objects.get().ended_at is not None


def test_two_thousand_aliases_are_paged_searched_and_cost_no_more_than_one(
    console: Client, beaune: Commune, nuits: Commune
) -> None:
    box, closed = own_mailbox(beaune), shared_box(beaune)
    closed.closed_at = clock.now()
    closed.save()

    def queries(query: str = "") -> int:
        with CaptureQueriesContext(
            connection,
        ) as counted:
            assert console.get(page(beaune, query)).status_code == 200
        return len(counted)

    def add(first: int, last: int, target: Mailbox) -> None:
        rows = [Alias(collectivite_id=beaune.id, address=f"a{n:04}@beaune.test") for n in range(first, last)]
        Alias.objects.bulk_create(rows)
        leads = [AliasTarget(alias_id=a.id, collectivite_id=beaune.id, mailbox_id=target.id) for a in rows]
        AliasTarget.objects.bulk_create(leads)

    add(0, 1, box)
    few = queries()
    add(1, 1997, box)
    add(1997, 2000, closed)
    assert queries() <= few
    shown = text_of(console.get(page(beaune)))
    assert (
        "2000 alias, de 1 à 50" in shown.replace(" 000", "000")
        and "a0049@" in shown
        and "a0050@" not in shown
    )
    assert "Page suivante" in shown and "Page précédente" not in shown
    last = text_of(console.get(page(beaune, "?page=40")))
    assert "a1999@" in last and "Page suivante" not in last and "Page précédente" in last
    assert "Cette page de la liste est vide" in text_of(console.get(page(beaune, "?page=99999")))
    assert "1 alias" in text_of(console.get(page(beaune, "?q=A1234")))
    by_mailbox = text_of(console.get(page(beaune, "?q=agent@&page=2")))
    assert "de 51 à 100" in by_mailbox
    lost = text_of(console.get(page(beaune, "?etat=perdus")))
    assert lost.count("Ne mène plus à personne") == 3 and "a0000@" not in lost
    assert "Aucun alias ne correspond" in text_of(console.get(page(beaune, "?q=zzz")))
    for odd in ("?page=0", "?page=-1", "?page=x", "?etat=burn", "?q=%25", "?q=%00"):
        assert console.get(page(beaune, odd)).status_code == 200, odd
