"""The console's page of sources over HTTP, and what leaves by it, read back by our own readers."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import IndicatorList
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.portal import source_words
from beffroi.watch.sources import catalogue, web
from beffroi.watch.sources.fetch import parse
from beffroi.watch.sources.handover import Ask
from beffroi.watch.sources.models import FeedSource, SourceTrial, SourceUpdate
from beffroi_protocol.indicators import Indicator, Kind
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import no_door
from tests.publishing import SYSTEM, Publisher, again, fetch_round, new_source

pytest_plugins = ["tests.fixtures_sources"]
__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
FORM = {
    "name": "Essai",
    "format": "csv",
    "licence": "CC0",
    "weight": "list",
    "kinds": ["ip", "domain"],
    "ttl_days": "2",
    "every_hours": "6",
    "column": "host",
    "header": "on",
    "delimiter": ";",
}


def shown(console: Client, path: str) -> str:
    answer = console.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_without_a_source_the_page_says_that_nothing_is_read_outside(console: Client) -> None:
    page = shown(console, "/sources/")
    assert "Aucune source" in page
    assert "Feodo Tracker" in page
    assert not FeedSource.objects.exists()


@pytest.mark.parametrize("one", catalogue.CATALOGUE, ids=lambda one: one.key)
def test_every_suggestion_can_be_added_and_stays_off(console: Client, one: catalogue.Suggestion) -> None:
    page = console.get(f"/sources/nouvelle/?suggestion={one.key}")
    assert one.address in page.content.decode()
    form = page.context["form"]
    data = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    given = {name: value for name, value in data.items() if value not in (None, "", False)}
    if "{key}" in one.address:
        assert "demande une clé" in console.post("/sources/nouvelle/", given).content.decode()
        given["secret"] = "clé-de-l-éditeur"
    posted = console.post("/sources/nouvelle/", given)
    assert posted.status_code == 302
    source = FeedSource.objects.get()
    assert (source.name, source.active, source.licence) == (one.name, False, one.licence)
    assert source.options == one.options
    assert one.name not in shown(console, "/sources/").partition("Sources connues")[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "http://a.example/"}, "adresse https valable"),
        ({"format": "taxii"}, "demande une adresse"),
        ({"name": ""}, "obligatoire"),
        ({"ttl_days": "0"}, "supérieur"),
        ({"kinds": ["sketch"]}, "Sélectionnez"),
    ],
)
def test_a_form_that_cannot_be_used_says_why(console: Client, change: dict[str, str], said: str) -> None:
    answer = console.post("/sources/nouvelle/", {**FORM, **change})
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not FeedSource.objects.exists()


def test_a_source_by_file_from_its_form_to_its_end(
    console: Client, sources_state: Path, django_capture_on_commit_callbacks: object
) -> None:
    assert console.post("/sources/nouvelle/", FORM).status_code == 302
    source = FeedSource.objects.get()
    path = f"/sources/{source.id}/"
    assert source.options == {"column": "host", "header": True, "delimiter": ";"}
    assert "Démarrer" in shown(console, path)
    assert console.post(path, {"word": "fetch"}).status_code == 409
    assert console.post(path, {"word": "start"}).status_code == 302
    file = SimpleUploadedFile("l.csv", b"date;host\n1;45.1.1.1\n2;lure.example.net\n3;http://x.example/y\n")
    with django_capture_on_commit_callbacks(execute=True):
        assert console.post(path, {"word": "file", "file": file}).status_code == 302
    fetch_round(sources_state)
    page = shown(console, path)
    assert "Par fichier" in page
    source.refresh_from_db()
    assert source.in_force == 2
    assert "Ses 2 indices" in shown(console, path + "?arreter=1")
    assert console.post(path, {"word": "remove"}).status_code == 409
    assert console.post(path, {"word": "stop"}).status_code == 302
    run_pending("sources")
    assert console.post(path, {"word": "remove"}).status_code == 302
    assert not FeedSource.objects.exists()


def test_a_held_update_stands_first_and_is_answered_with_a_reason(
    console: Client, administrator: Actor, sources_state: Path, publisher: Publisher
) -> None:
    source = new_source(publisher.serve("/l", "45.1.1.1\n"), name="Liste")
    fetch_round(sources_state)
    names = "impots.gouv.fr\nameli.fr\nservice-public.fr\ncaf.fr\n1.1.1.1\n"
    publisher.serve("/l", "45.1.1.1\n" + names)
    again(source)
    fetch_round(sources_state)
    held = SourceUpdate.objects.get(state="held")
    page = shown(console, "/sources/")
    assert "Mises à jour retenues" in page
    assert "nomme des adresses ou des sites protégés" in page
    assert "1 mise à jour de source est retenue" in shown(console, "/")
    path = f"/sources/{source.id}/maj/{held.id}/"
    assert "impots.gouv.fr" in shown(console, path)
    refused = console.post(path, {"word": "accept", "why": ""})
    assert refused.status_code == 400
    assert "Dites en quelques mots" in refused.content.decode()
    assert console.post(path, {"word": "refuse", "why": "Liste détournée"}).status_code == 302
    entry = AuditEntry.objects.get(verb="source:update_refused")
    assert (entry.actor_id, entry.object_id) == (administrator.id, held.id)
    page = shown(console, f"/sources/{source.id}/")
    assert "Liste détournée" in page and "Ada" in page.partition("Mises à jour</h2>")[2]
    assert console.post(path, {"word": "accept", "why": "Trop tard"}).status_code == 409
    assert "n’attend plus de réponse" in shown(console, path)


def test_a_trial_is_shown_and_ended_with_a_reason(
    console: Client, administrator: Actor, sources_state: Path, publisher: Publisher, settings: Any
) -> None:
    settings.BEFFROI = replace(settings.BEFFROI, list_trial_s=2700)
    source = new_source(publisher.serve("/l", "45.1.1.1\n45.1.1.2\n"), name="Liste")
    fetch_round(sources_state)
    assert "À l’essai" in shown(console, "/sources/")
    path = f"/sources/{source.id}/"
    assert "2 indices nouveaux sont observés" in shown(console, path)
    assert "0 min sur 45" in shown(console, path)
    refused = console.post(path, {"word": "trial_refuse", "kind": "ip", "why": ""})
    assert refused.status_code == 400 and "Dites en quelques mots" in refused.content.decode()
    assert console.post(path, {"word": "trial_refuse", "kind": "url", "why": "rien"}).status_code == 409
    assert console.post(path, {"word": "trial_refuse", "kind": "ip", "why": "Trop large"}).status_code == 302
    assert "Trop large" in shown(console, path)
    SourceTrial.objects.update(state="review", used=3)
    assert "servent de 3 de ces indices" in shown(console, path)
    assert "L’essai de 1 source attend votre réponse" in shown(console, "/")
    assert console.post(path, {"word": "trial_enforce", "kind": "ip", "why": "Vérifiée"}).status_code == 302
    run_pending("sources")
    assert list(IndicatorList.objects.values_list("name", "action")) == [("source-liste-ip", "block")]
    entry = AuditEntry.objects.get(verb="source:trial_enforced")
    assert (entry.actor_id, entry.object_id) == (administrator.id, source.id)


def test_an_error_is_told_in_plain_words(console: Client, sources_state: Path, publisher: Publisher) -> None:
    source = new_source(
        publisher.behave(
            "/l", lambda request: request.reply(b"", status=302, Location="https://evil.example/")
        )
    )
    fetch_round(sources_state)
    page = shown(console, f"/sources/{source.id}/")
    assert "renvoie vers une autre adresse" in page
    assert "evil.example" in page
    assert "En échec" in shown(console, "/sources/")


def test_why_a_server_did_not_answer_is_told_in_french(console: Client, sources_state: Path) -> None:
    source = new_source("https://nobody.invalid/list")
    fetch_round(sources_state)
    page = shown(console, f"/sources/{source.id}/")
    assert "son nom n’est pas connu du DNS" in page
    assert "the name is not known" not in page
    told = re.findall(r'Unreachable\("(.+?)"\)', inspect.getsource(web))
    told += re.findall(r'"(\w.+?)"', inspect.getsource(web._why).partition("\n")[2])
    told.append(f"no answer for {web.STEP_TIMEOUT_S:.0f} seconds")
    assert "TLS failed" in told
    assert not {one for one in told if source_words.detail(one) == one}


OWN = {
    Kind.IP: "45.1.1.1",
    Kind.CIDR: "45.2.0.0/24",
    Kind.DOMAIN: "lure.example.net",
    Kind.URL: "https://lure.example.org/it's?a=1,2",
    Kind.SHA256: "ab" * 32,
    Kind.SENDER: "fraud@lure.example.net",
}


@pytest.mark.parametrize(
    ("format_", "reader"),
    [
        ("plain", Ask("1", "s", "plain")),
        ("csv", Ask("1", "s", "csv", column="value", type_column="type", header=True)),
        ("misp", Ask("1", "s", "misp")),
        ("stix", Ask("1", "s", "stix")),
    ],
)
def test_what_is_exported_can_be_read_back_and_names_no_reporter(
    console: Client, beaune: Commune, format_: str, reader: Ask
) -> None:
    for kind, value in {**OWN, Kind.DOMAIN: "lure.example.net"}.items():
        decisions.activate(
            actor=SYSTEM,
            indicator=Indicator(kind, value),
            action="block",
            reason="two_communes",
            evidence={"communes": 2, "persons": 2},
            rule="two_communes",
            ttl_s=3600,
        )
    decisions.activate(
        actor=SYSTEM,
        indicator=Indicator(Kind.IP, "45.9.9.9"),
        action="block",
        scope=beaune.id,
        reason="x",
        evidence={},
        rule="x",
        ttl_s=3600,
    )
    answer = console.post(f"/sources/export/{format_}/")
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith('attachment; filename="beffroi-')
    found = parse(reader, answer.content, None)
    assert {(one.kind, one.value) for one in found.values} == {
        (kind.value, value) for kind, value in OWN.items()
    }
    assert (found.invalid, found.unsupported) == (0, 0)
    assert all(not one.withdrawn for one in found.values)
    for secret in (beaune.id, beaune.agent.id, "beaune", "45.9.9.9"):
        assert secret not in answer.content.decode()
    assert AuditEntry.objects.filter(verb="decision:exported").count() == 1
    assert console.post("/sources/export/pdf/").status_code == 404
    assert console.get(f"/sources/export/{format_}/").status_code == 405


def test_an_exported_address_is_no_formula_where_semicolons_divide(console: Client) -> None:
    """As spreadsheets in French divide the lines of a file with commas."""
    decisions.activate(
        actor=SYSTEM,
        indicator=Indicator(Kind.URL, "https://lure.example.net/a;=WEBSERVICE(B2);b;c"),
        action="block",
        reason="two_communes",
        evidence={},
        rule="two_communes",
        ttl_s=3600,
    )
    content = console.post("/sources/export/csv/").content.decode()
    cells = [one for line in content.splitlines() for one in line.split(";")]
    assert "'=WEBSERVICE(B2)" in cells and not any(one.startswith("=") for one in cells)
    assert "/a;=WEBSERVICE(B2);b;c" in console.post("/sources/export/plain/").content.decode()


def test_an_exported_sender_is_no_formula(console: Client) -> None:
    """Attackers choose their senders, and somebody opens the table in a spreadsheet."""
    sender = "=cmd|'/c'!a0@lure.example.net"
    decisions.activate(
        actor=SYSTEM,
        indicator=Indicator(Kind.SENDER, sender),
        action="block",
        reason="two_communes",
        evidence={},
        rule="two_communes",
        ttl_s=3600,
    )
    content = {one: console.post(f"/sources/export/{one}/").content.decode() for one in ("csv", "misp")}
    assert (
        f",'{sender}," in content["csv"] and sender in content["misp"] and f"'{sender}" not in content["misp"]
    )
