"""Certificates of the communes' names: which are wanted, what the console says of them, the alarm before the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.certificates import health, places, wanting
from beffroi.mail.certificates.places import Told
from beffroi.mail.domains import actions
from beffroi.portal import certificate_view

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
DAY_S = 86400


@pytest.fixture(autouse=True)
def state(settings: object, tmp_path: Path) -> Path:
    settings.BEFFROI = replace(  # type: ignore[attr-defined]
        settings.BEFFROI,  # type: ignore[attr-defined]
        state=tmp_path,
        acme_directory="https://acme.example/dir",
    )
    for name in ("wanted", "told"):
        (places.folder(tmp_path) / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def domain(beaune: Commune) -> Domain:
    return Domain.objects.get(name=beaune.domain)


def check(domain: Domain, **items: str) -> None:
    found = {name: (one, f"{one}|") for name, one in items.items()}
    actions.store_check(actor=Actor.system("tests"), domain=domain, items=found, scores={})


def page(administrator: Actor, domain: Domain) -> str:
    with on_listener("console"):
        answer = console_client(administrator.id).get(f"/domaines/{domain.id}/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_only_names_that_the_live_check_saw_at_our_door_are_wanted(
    domain: Domain, nuits: Commune, state: Path
) -> None:
    check(domain, mta_sts_host="ok", autoconfig="warn", autodiscover="ok")
    assert wanting.update() == 1, "nuits was never checked"
    assert wanting.wanted(domain) == ["mta-sts.beaune.test", "autodiscover.beaune.test"]
    with clock.shifted(DAY_S):
        check(domain, mta_sts_host="unknown", autoconfig="unknown", autodiscover="unknown")
        wanting.update()
    assert len(wanting.wanted(domain)) == 2, "an outage here says nothing of the zone"
    with clock.shifted(2 * DAY_S):
        check(domain, mta_sts_host="warn", autoconfig="warn", autodiscover="warn")
        assert wanting.update() == 0
    places.write(places.folder(state) / "wanted" / "gone.test", {"names": ["mta-sts.gone.test"]})
    assert wanting.update() == 0, "a domain that is not enrolled"


def test_an_old_check_changes_nothing(domain: Domain) -> None:
    check(domain, mta_sts_host="ok")
    with clock.shifted(3 * DAY_S):
        assert wanting.update() == 0


def test_without_an_authority_nothing_is_wanted_and_nothing_is_shown(
    domain: Domain, administrator: Actor, settings: object
) -> None:
    settings.BEFFROI = replace(settings.BEFFROI, acme_directory="")  # type: ignore[attr-defined]
    check(domain, mta_sts_host="ok")
    assert wanting.update() == 0
    assert "h-cert" not in page(administrator, domain)


def test_the_console_says_what_became_of_it_and_warns_before_the_end(
    domain: Domain, administrator: Actor, state: Path
) -> None:
    assert "aucun de ces noms ne mène à notre porte" in page(administrator, domain)
    check(domain, mta_sts_host="ok")
    wanting.update()
    assert "Demandé" in page(administrator, domain)
    now = clock.epoch_s()
    held = Told("ok", ("mta-sts.beaune.test",), now, now + 60 * DAY_S, mark="x")
    places.tell(state, domain.name, held)
    assert "le renouvelle tout seul" in page(administrator, domain)
    assert wanting.alarms(administrator) == []
    failed = replace(held, state="failed", code="challenge", failures=2, tried_at=now)
    places.tell(state, domain.name, replace(failed, not_after=now + 10 * DAY_S))
    found = page(administrator, domain)
    assert "le port 80 du centre" in found
    assert "n’est pas renouvelé" in found
    with on_listener("console"):
        assert (
            "1 certificat de domaine finit bientôt"
            in console_client(administrator.id).get("/").content.decode()
        )
    places.tell(state, domain.name, replace(held, state="by_hand", mark=""))
    assert "Le centre ne le remplace pas" in page(administrator, domain)


def test_the_list_of_domains_says_the_last_success_the_next_due_and_the_last_error(
    administrator: Actor, domain: Domain, settings: object, state: Path
) -> None:
    def listed() -> str:
        with on_listener("console"):
            return str(console_client(administrator.id).get("/domaines/").content.decode())

    now = clock.epoch_s()
    places.tell(state, "nuits.test", Told("ok", ("x",), now - 3600, now + 90 * DAY_S))
    assert "Dernier obtenu" in listed() and "Dernière erreur" not in listed()
    places.write(places.folder(state) / "wanted" / domain.name, {"names": ["mta-sts.beaune.test"]})
    places.tell(state, domain.name, Told("failed", code="caa", failures=1, tried_at=now))
    said = listed()
    assert "Dernière erreur" in said and "La zone interdit à cette autorité" in said
    settings.BEFFROI = replace(settings.BEFFROI, acme_directory="")  # type: ignore[attr-defined]
    assert "Dernier obtenu" not in listed(), "put in place by hand"


def test_every_code_of_a_failure_has_words_on_the_page_and_in_status() -> None:
    assert set(certificate_view.REASONS) == set(health.WORDS)
