"""What the portal says beside its pages: in two languages, when something fails, when a list is empty."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi import portal
from beffroi.core.decisions.models import Appeal
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotAllowed
from beffroi.mail.models import Mailbox
from beffroi.portal.error_words import words_of
from beffroi.portal.pages import WRITTEN
from django.conf import settings
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import formats, translation

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, own_mailbox, portal_client
from tests.fixtures_stream import block
from tests.markup import text_of

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def mailbox(beaune: Commune) -> Mailbox:
    return own_mailbox(beaune)


@pytest.mark.parametrize("listener", ["web", "console"])
def test_an_english_browser_sees_english_a_french_one_french_and_the_button_changes_it(
    listener: str, db: None
) -> None:
    with on_listener(listener):
        english = Client(headers={"Accept-Language": "en-GB,en;q=0.9"})
        page = english.get("/connexion/").content.decode()
        assert '<html lang="en">' in page
        assert "Sign in" in page
        assert "Se connecter" not in page
        french = Client(headers={"Accept-Language": "fr-FR,fr;q=0.9,en;q=0.5"})
        assert "Se connecter" in french.get("/connexion/").content.decode()
        assert "Se connecter" in Client(headers={"Accept-Language": "de"}).get("/connexion/").content.decode()
        answer = english.post("/langue/", {"language": "fr", "next": "/connexion/"})
        kept = answer.cookies["django_language"]
        assert kept["secure"] and kept["httponly"] and kept["samesite"] == "Lax"
        assert answer["Location"] == "/connexion/"
        assert "Se connecter" in english.get("/connexion/").content.decode()
        assert 'lang="en">English</button>' in english.get("/connexion/").content.decode()
        assert english.post("/langue/", {"language": "fr", "next": "https://evil.test/"})["Location"] == "/"


@pytest.mark.parametrize("listener", ["web", "console"])
def test_every_page_leads_to_the_accessibility_statement(listener: str, db: None) -> None:
    with on_listener(listener):
        for path in ("/connexion/", "/rien/"):
            assert 'href="/accessibilite/"' in Client().get(path).content.decode()
        answer = Client().get("/accessibilite/")
        page = answer.content.decode()
    assert answer.status_code == 200
    for words in (
        "pas vérifiée par un audit complet",
        "non conforme",
        "Défenseur des droits",
        "personne référente",
    ):
        assert words in page


def test_the_statement_names_the_address_that_the_departement_gave(
    db: None, config: Any, settings: Any
) -> None:
    settings.BEFFROI = replace(config, accessibility_contact="acces@cotedor.test")
    assert 'href="mailto:acces@cotedor.test"' in Client().get("/accessibilite/").content.decode()


def test_without_an_address_the_statement_names_who_can_be_told(
    beaune: Commune, administrator: Actor
) -> None:
    told = portal_client(beaune.agent_membership).get("/accessibilite/").content.decode()
    assert 'href="mailto:referent@beaune.test"' in told
    beaune.referent_membership.delete()
    told = portal_client(beaune.agent_membership).get("/accessibilite/").content.decode()
    assert "n’a pas de personne référente" in told
    assert "nous vous répondrons" not in told  # nobody promised to
    told = Client().get("/accessibilite/").content.decode()
    assert "une fois la session ouverte" in told
    assert "mailto:" not in told
    with on_listener("console"):
        assert (
            "accessibility_contact"
            in console_client(administrator.id).get("/accessibilite/").content.decode()
        )


@pytest.mark.parametrize("listener", ["web", "console"])
def test_errors_say_what_happened_and_what_to_do(
    listener: str, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.portal import about
    from django.core.exceptions import PermissionDenied, SuspiciousOperation

    with on_listener(listener):
        client = Client(raise_request_exception=False)
        assert_helps(client.get("/rien/"), 404, "Cette page n’existe pas")
        for error, status, words in (
            (PermissionDenied("secret"), 403, "Cette action n’est pas permise ici"),
            (SuspiciousOperation("secret"), 400, "Cette demande ne peut pas être traitée"),
            (RuntimeError("secret"), 500, "Une erreur est survenue"),
        ):
            monkeypatch.setattr(about, "page", raising(error))
            assert_helps(client.get("/accessibilite/"), status, words)


def test_a_mail_server_that_does_not_answer_is_said_and_the_home_page_stays(
    beaune: Commune, mailbox: Mailbox, config: Any
) -> None:
    client = portal_client(beaune.agent_membership)
    path = f"/courrier/{mailbox.id}/"
    answer = client.get(path, {"dossier": "Sent"})
    assert_helps(answer, 503, "Ce service ne répond pas pour le moment")
    assert "Rien n’est perdu" in answer.content.decode()
    assert f'href="{path}?dossier=Sent">Réessayer' in answer.content.decode()
    sent = client.post(path + "agir/", {"dossier": "INBOX", "what": "star", "uid": "1"})
    assert sent.status_code == 503 and ">Réessayer" not in sent.content.decode(), "a link sends no form"
    home = client.get("/")
    assert home.status_code == 200
    assert "Le serveur de courriel ne répond pas" in home.content.decode()


@pytest.mark.parametrize("role", ["agent", "elu", "dpo"])
def test_who_may_not_is_sent_to_the_referent(role: str) -> None:
    said = words_of(NotAllowed("x"), Actor("person", "per_1", "col_1", role))[1]
    assert said == "Demandez à la personne référente de votre collectivité."


@pytest.mark.parametrize("kind, role", [("person", "referent"), ("administrator", "administrator")])
def test_nobody_is_sent_to_themselves(kind: Any, role: str) -> None:
    said = words_of(NotAllowed("x"), Actor(kind, "x", "col_1", role))[1]
    assert ("Demandez au Département" if role == "referent" else "Demandez à un autre administrateur") in said


def test_what_was_written_stands_on_the_page_that_refuses_it(beaune: Commune, administrator: Actor) -> None:
    """The page before shows no form any more, or an empty one: somebody else was faster."""
    decision = block("185.203.116.9")
    told = "Notre comptable y va\nchaque <jour>."
    form = {"word": "contest", "text": told}
    agent = portal_client(beaune.agent_membership)
    assert agent.post(f"/blocages/{decision.id}/", form).status_code == 302
    appeal = Appeal.objects.get()
    path, answer = f"/decisions/contestation/{appeal.id}/", {"word": "accept", "text": told}
    with on_listener("console"):
        console = console_client(administrator.id)
        assert console.post(path, answer).status_code == 302
        assert_kept(console.post(path, answer), told)
        assert "Ce que vous aviez écrit" not in console.get("/rien/").content.decode()
    assert_kept(agent.post(f"/blocages/{decision.id}/", form), told)


def assert_kept(answer: Any, told: str) -> None:
    page = answer.content.decode()
    assert answer.status_code == 409 and "Ce que vous aviez écrit" in page
    assert f">{html.escape(told)}</textarea>" in page


def test_every_field_of_several_lines_is_kept_by_the_page_that_refuses_it() -> None:
    templates = Path(portal.__file__).parent.glob("templates/**/*.html")
    written = re.compile(r'<textarea[^>]* name="(\w+)"|{% control "(\w+)" [^\n]*?%}\s*<textarea')
    fields = {"".join(found.groups("")) for one in templates for found in written.finditer(one.read_text())}
    assert len(fields) > 6 and sorted(fields - set(WRITTEN)) == []


def test_a_form_that_expired_says_so(beaune: Commune) -> None:
    client = Client(enforce_csrf_checks=True)
    assert_helps(client.post("/connexion/", {"login": "x"}), 403, "Le formulaire a expiré")


@pytest.mark.parametrize("ended", ["token", "session"])
@pytest.mark.parametrize("listener", ["web", "console"])
def test_what_was_written_into_a_form_that_expired_stands_on_the_page_that_says_so(
    beaune: Commune, administrator: Actor, listener: str, ended: str
) -> None:
    """Without a script nobody warned. What another site sends in a form does not stand on a page of ours."""
    told = "Notre comptable y va\nchaque <jour>."
    decision = block("185.203.116.9")
    with on_listener(listener):
        client = Client(headers={"X-Beffroi-Listener": "portal" if listener == "web" else listener})
        if ended == "session":
            client.cookies[settings.CSRF_COOKIE_NAME] = "a" * 32
        elif listener == "web":
            client = portal_client(beaune.agent_membership)
        else:
            client = console_client(administrator.id)
        client.handler.enforce_csrf_checks = True
        path = f"/blocages/{decision.id}/" if listener == "web" else "/decisions/contestation/apl_1/"
        form = {"word": "contest", "text": told}
        if ended == "session":
            form["csrfmiddlewaretoken"] = "a" * 32
        own = {"Host": "testserver", "Origin": "https://testserver", "Accept": "text/html"}
        answer = client.post(path, form, headers=own)
        page = answer.content.decode()
        assert answer.status_code == 403 and f">{html.escape(told)}</textarea>" in page
        said = "Le formulaire a expiré" if ended == "token" else "Votre session était terminée"
        assert said in page and (ended == "token" or 'href="/connexion/' in page)
        foreign = own | {"Origin": "https://ailleurs.example", "Sec-Fetch-Site": "cross-site"}
        assert "comptable" not in client.post(path, form, headers=foreign).content.decode()
    assert not Appeal.objects.exists()


def assert_helps(answer: Any, status: int, words: str) -> None:
    page = answer.content.decode()
    assert answer.status_code == status
    assert words in page
    assert "secret" not in page
    assert "Revenir à l’accueil" in page
    assert page.count("<h1") == 1


def raising(error: Exception) -> Any:
    def fail(*args: object, **named: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("path", ["/", "/courrier/", "/acces/"])
def test_an_empty_list_says_what_comes_next(beaune: Commune, path: str) -> None:
    assert 'class="empty"' in portal_client(beaune.agent_membership).get(path).content.decode()


@pytest.mark.parametrize("language, day", [("fr", "28 décembre 2026"), ("en", "28 December 2026")])
def test_a_day_stands_in_the_same_order_in_both_languages(language: str, day: str) -> None:
    with translation.override(language):
        assert formats.date_format(date(2026, 12, 28), "DATE_FORMAT") == day


def test_who_found_a_weakness_reads_whom_to_tell(settings: Any) -> None:
    assert Client().get("/.well-known/security.txt").status_code == 404
    settings.BEFFROI = replace(settings.BEFFROI, security_contact="securite@cotedor.example")
    answer = Client().get("/.well-known/security.txt")
    said = dict(line.split(": ", 1) for line in answer.content.decode().splitlines())
    assert answer["Content-Type"].startswith("text/plain")
    assert said["Contact"] == "mailto:securite@cotedor.example"
    assert clock.now() < datetime.fromisoformat(said["Expires"]) < clock.now() + timedelta(days=366)
    assert said["Canonical"].endswith("/.well-known/security.txt")


def test_the_address_of_a_form_opened_by_itself_says_where_to_go(beaune: Commune) -> None:
    browser = portal_client(beaune.agent_membership)
    answer = browser.get("/coffre/agir/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 405 and answer["Allow"] == "POST"
    page = answer.content.decode()
    assert "ne s’ouvre pas toute seule" in page and 'href="/coffre/"' in page
    assert browser.get("/coffre/agir/", headers={"Accept": "application/json"}).content == b""


def test_what_is_too_long_or_too_many_for_one_form_is_said(beaune: Commune) -> None:
    browser = portal_client(beaune.agent_membership)
    answer = browser.post("/dossiers/nouveau/", {"note": "x" * 1_100_000})
    assert answer.status_code == 400 and "joignez-le comme fichier" in answer.content.decode()
    files = [SimpleUploadedFile(f"{number}.txt", b"x") for number in range(101)]
    answer = browser.post("/dossiers/nouveau/", {"files": files})
    assert answer.status_code == 400 and "100 au plus à la fois" in answer.content.decode()


def test_a_sign_in_that_fails_says_what_to_do(beaune: Commune) -> None:
    cache.clear()
    typed = {"login": beaune.agent_membership.person.email, "password": "Pas celui-ci"}
    said = [text_of(Client().post("/connexion/", typed)) for _ in range(6)]
    cache.clear()
    assert "Vérifiez les deux, et la touche des majuscules." in said[0]
    assert "attendez cinq minutes, puis recommencez. Votre compte n’est pas bloqué." in said[-1]
