"""Pages of mail domains: the console's, the référent's, and what is found under the communes' own names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import dns.zone
import pytest
from beffroi.core.communes.models import Domain
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.domains import actions, queries, records
from beffroi.mail.domains.models import MailDomain
from django.conf import settings as conf
from django.test import Client, override_settings

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def domain(beaune: Commune, system: Actor) -> Domain:
    found = Domain.objects.get(name=beaune.domain)
    actions.ensure_keys(actor=system, domain=found)
    return found


def store(domain: Domain, **items: tuple[str, str]) -> None:
    actions.store_check(actor=Actor.system("tests"), domain=domain, items=items, scores={})


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined]


def test_the_console_shows_each_record_with_its_purpose_and_what_to_do(
    domain: Domain, administrator: Actor
) -> None:
    store(domain, spf=("bad", "without_us|v=spf1 include:spf.old.example -all"), mx=("ok", "ok|"))
    with on_listener("console"):
        page = text(console_client(administrator.id).get(f"/domaines/{domain.id}/"))
    for one in queries.plan(domain):
        assert one.data.replace('"', "&quot;") in page
    assert "Nos serveurs n’y figurent pas" in page
    assert "v=spf1 include:spf.old.example -all" in page
    assert "beffroi1" in page
    assert "PRIVATE" not in page


def test_the_zone_file_of_the_console_reads_back(domain: Domain, administrator: Actor) -> None:
    with on_listener("console"):
        answer = console_client(administrator.id).get(f"/domaines/{domain.id}/zone/")
    assert answer["Content-Disposition"] == 'attachment; filename="beaune.test.zone"'
    read = dns.zone.from_text(text(answer), relativize=False, check_origin=False)
    planned = queries.plan(domain)
    assert sum(len(rows) for _name, rows in read.iterate_rdatasets()) == len(planned)


def test_the_letter_holds_every_record_and_what_not_to_touch(domain: Domain, administrator: Actor) -> None:
    with on_listener("console"):
        page = text(console_client(administrator.id).get(f"/domaines/{domain.id}/lettre/"))
    for one in queries.plan(domain):
        assert one.data.replace('"', "&quot;") in page
    assert "Ne touchez pas aux enregistrements du site internet." in page


def test_a_choice_changes_the_plan_and_a_wrong_one_is_said(domain: Domain, administrator: Actor) -> None:
    with on_listener("console"):
        client = console_client(administrator.id)
        given = {"word": "choose", "dmarc": "reject", "sts": "enforce", "old_mx": "", "also_sends": ""}
        assert client.post(f"/domaines/{domain.id}/", given).status_code == 302
        assert MailDomain.objects.get().dmarc == "reject"
        answer = client.post(f"/domaines/{domain.id}/", {**given, "also_sends": "+all"})
        assert answer.status_code == 409
        assert "Ces choix ne sont pas valables" in text(answer)
        assert client.post(f"/domaines/{domain.id}/", {"word": "x"}).status_code == 400


def test_what_service_public_says_is_noted_and_shown(
    domain: Domain, beaune: Commune, administrator: Actor
) -> None:
    given = {
        "word": "declare",
        "declared_site": " https://beaune.test ",
        "declared_address": "mairie@orange.fr",
    }
    with on_listener("console"):
        client = console_client(administrator.id)
        answer = client.post(f"/domaines/{domain.id}/", given)
        # None runs here; what was written is kept.
        assert "Le résolveur du centre ne répond pas" in text(answer)
        row = MailDomain.objects.get()
        assert (row.declared_site, row.declared_address) == ("https://beaune.test", "mairie@orange.fr")
        assert 'value="mairie@orange.fr"' in text(client.get(f"/domaines/{domain.id}/"))
        for wrong in (
            {"declared_site": "x" * 300},
            {"declared_address": "a b@c.fr"},
            {"declared_site": "a\x00"},
        ):
            answer = client.post(f"/domaines/{domain.id}/", {**given, **wrong})
            assert answer.status_code == 409 and "Recopiez la page" in text(answer)
            kept = {**given, **wrong}["declared_address"]
            assert f'value="{kept}"' in text(answer), "what was typed stays"
        wrong = {
            "word": "choose",
            "dmarc": "none",
            "sts": "none",
            "also_sends": "+all",
            "old_mx": "mx.a.test",
        }
        shown = text(client.post(f"/domaines/{domain.id}/", wrong))
        assert 'value="+all"' in shown and 'value="mx.a.test"' in shown
    assert MailDomain.objects.get().declared_address == "mairie@orange.fr"
    wrong = {"declared_site": "https://beaune .test", "declared_address": "mairie@beaune.test"}
    refused = portal_client(beaune.referent_membership).post(f"/domaines/{domain.id}/declaration/", wrong)
    assert refused.status_code == 409 and 'value="https://beaune .test"' in text(refused)


def test_without_a_dns_server_of_ours_publishing_is_refused_in_words(
    domain: Domain, administrator: Actor
) -> None:
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "Écrire dans notre serveur DNS" not in text(client.get(f"/domaines/{domain.id}/"))
        answer = client.post(f"/domaines/{domain.id}/", {"word": "publish"})
    assert answer.status_code == 409
    assert "Le serveur DNS a refusé" in text(answer)


def test_a_domain_that_lost_something_stands_on_the_first_page(domain: Domain, administrator: Actor) -> None:
    store(domain, spf=("ok", "ok|"))
    with clock.shifted(86400):
        store(domain, spf=("bad", "absent|"))
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "1 domaine a perdu un réglage de courrier" in text(client.get("/"))
        assert "Serveurs autorisés (SPF)" in text(client.get("/domaines/"))


def test_the_referent_reads_the_own_domain_and_nobody_elses(
    domain: Domain, beaune: Commune, nuits: Commune
) -> None:
    page = text(portal_client(beaune.referent_membership).get("/domaines/"))
    assert "beaune.test" in page
    assert "nuits.test" not in page
    assert 'name="word"' not in page, "to read only"
    assert "beaune.test" not in text(portal_client(nuits.referent_membership).get("/domaines/"))
    assert portal_client(beaune.agent_membership).get("/domaines/").status_code == 403


def test_the_policy_is_that_of_the_name_asked(domain: Domain) -> None:
    answer = Client().get("/.well-known/mta-sts.txt", headers={"Host": "mta-sts.beaune.test"})
    assert answer["Content-Type"] == "text/plain; charset=us-ascii"
    body = text(answer)
    assert body.startswith("version: STSv1\r\nmode: testing\r\nmx: mx.beffroi.test\r\n")
    [said] = [one.data for one in queries.plan(domain) if one.purpose is records.Purpose.STS]
    assert records.sts_id(body) in said


@pytest.mark.parametrize(
    "host",
    ["mta-sts.ailleurs.test", "beaune.test", "localhost", "mta-sts.", "autoconfig.beaune.test", "x" * 300],
)
def test_another_name_has_no_policy(domain: Domain, host: str) -> None:
    assert Client().get("/.well-known/mta-sts.txt", headers={"Host": host}).status_code in (400, 404)


def test_a_domain_without_policy_has_no_page(domain: Domain, system: Actor) -> None:
    actions.choose(actor=system, domain=domain, dmarc="none", sts="none")
    answer = Client().get("/.well-known/mta-sts.txt", headers={"Host": "mta-sts.beaune.test"})
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"])
def test_thunderbird_finds_its_settings(domain: Domain, path: str) -> None:
    answer = Client().get(path + "?emailaddress=a@beaune.test", headers={"Host": "autoconfig.beaune.test"})
    assert answer["Content-Type"].startswith("text/xml")
    provider = ElementTree.fromstring(answer.content).find("emailProvider")
    assert provider is not None
    assert provider.findtext("domain") == "beaune.test"
    assert provider.findtext("incomingServer/hostname") == "mx.beffroi.test"
    assert provider.findtext("incomingServer/port") == "2993"
    assert provider.findtext("outgoingServer/port") == "2465"
    assert "sessionid" not in answer.cookies
    assert not answer.cookies


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"])
def test_outlook_finds_its_settings_whatever_it_posts(domain: Domain, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    answer = client.post(path, bomb, content_type="text/xml", headers={"Host": "autodiscover.beaune.test"})
    assert answer.status_code == 200
    space = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
    servers = [one.text for one in ElementTree.fromstring(answer.content).iter(f"{space}Server")]
    assert servers == ["mx.beffroi.test", "mx.beffroi.test"]
    assert b"LoginName" not in answer.content


@pytest.mark.parametrize(
    ("asked", "login"),
    [
        ("Mairie@beaune.test", "Mairie@beaune.test"),
        ("mairie+x@beaune.test", "mairie+x@beaune.test"),
        ("mairie@nuits.test", None),
        ("<b/>mairie@beaune.test", None),
        ("a&amp;b@beaune.test", None),
        ("é@beaune.test", None),
        ("", None),
    ],
)
def test_outlook_signs_in_with_the_whole_address_that_it_asks_for(
    domain: Domain, asked: str, login: str | None
) -> None:
    space = "http://schemas.microsoft.com/exchange/autodiscover/outlook"
    wish = f"<Request><EMailAddress>{asked}</EMailAddress></Request>"
    body = f'<?xml version="1.0"?><Autodiscover xmlns="{space}/requestschema/2006">{wish}</Autodiscover>'
    headers = {"Host": "autodiscover.beaune.test"}
    answer = Client().post("/autodiscover/autodiscover.xml", body, content_type="text/xml", headers=headers)
    found = ElementTree.fromstring(answer.content).iter(f"{{{space}/responseschema/2006a}}LoginName")
    assert [one.text for one in found] == ([login] * 2 if login else [])


def test_the_referent_declares_and_the_criteria_are_shown_one_by_one(domain: Domain, beaune: Commune) -> None:
    client = portal_client(beaune.referent_membership)
    where = f"/domaines/{domain.id}/declaration/"
    given = {"declared_site": "https://www.beaune.test", "declared_address": "mairie@orange.fr"}
    assert client.post(where, given).status_code == 302
    wrong = client.post(where, {**given, "declared_address": "a b@c.fr"})
    assert wrong.status_code == 409 and "Recopiez la page" in text(wrong)
    [event] = OutboxEvent.objects.filter(kind="mail:domain_declared")
    assert domain.id in event.payload, "a check follows"
    store(
        domain,
        declared_site=("ok", "ok|https://www.beaune.test"),
        declared_address=("warn", "generic|mairie@orange.fr"),
        rpki_mx=("unknown", "no_validator|"),
        tls_versions=("bad", "old|TLSv1.0"),
    )
    page = text(client.get("/domaines/"))
    assert "Déclaré\xa0:" in page and 'value="mairie@orange.fr"' in page
    assert "Elle n’est pas une adresse générique" in page and "Manqué" in page and "déclaré" in page
    assert "le centre n’a pas de validateur RPKI" in page
    assert "Notre serveur accepte encore d’anciennes versions du chiffrement." in page


def test_delegation_is_offered_with_two_letters_and_lines_to_copy(
    domain: Domain, administrator: Actor, beaune: Commune
) -> None:
    letter = f"/domaines/{domain.id}/lettre/"
    servers = override_settings(BEFFROI=replace(conf.BEFFROI, dns_name_servers="ns1.dept.test ns2.dept.test"))
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "Déléguer" not in text(client.get(f"/domaines/{domain.id}/")) + text(client.get(letter))
        assert "serveurs de noms" not in text(client.get(f"{letter}?delegation=zone")), "no server, no letter"
        with servers:
            assert "ns1.dept.test, ns2.dept.test" in text(client.get(f"/domaines/{domain.id}/"))
            whole = text(client.get(f"{letter}?delegation=zone"))
            names = text(client.get(f"{letter}?delegation=noms"))
            assert "Déléguer tout le domaine" in text(client.get(letter))
    assert "@\t3600\tIN\tNS\tns1.dept.test." in whole and "v=spf1" not in whole and "(DNSSEC)" in whole
    assert "_dmarc\t3600\tIN\tNS\tns2.dept.test." in names and "v=spf1" in names
    assert "v=DMARC1" not in names and "v=DKIM1" not in names, "ours to write"
    with servers:
        assert "délégué aux serveurs DNS" in text(portal_client(beaune.referent_membership).get("/domaines/"))


def test_a_signing_key_that_does_not_open_is_named_on_each_page(
    domain: Domain, administrator: Actor, tmp_path: Path
) -> None:
    config = replace(conf.BEFFROI, state=tmp_path)
    config.run.mkdir()
    told = (
        "clé de signature qui ne s’ouvre pas",
        "La clé de signature ne s’ouvre pas",
        "La clé qui signe ne",
    )
    with on_listener("console"), override_settings(BEFFROI=config):
        client = console_client(administrator.id)
        for is_told in (False, True):
            if is_told:
                (config.run / "unsigned.json").write_text(json.dumps([domain.name]))
            pages = [text(client.get(one)) for one in ("/", "/domaines/", f"/domaines/{domain.id}/")]
            assert [words in page for words, page in zip(told, pages, strict=True)] == [is_told] * 3
