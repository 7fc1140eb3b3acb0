"""A program gets its app password once its person allowed it: once, in time, nobody else's, and for files only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions, login_flows
from beffroi.core.identity.models import AppPassword, LoginFlow
from beffroi.drive.credentials import Credentials
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.portal.web import login_flow
from django.conf import settings
from django.core import signing
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import confirmed, no_door, on_listener, portal_client
from tests.fixtures_projections import engines

__all__ = ["engines", "no_door"]
pytestmark = pytest.mark.usefixtures("database")
PROGRAM = "PC-ACCUEIL (Desktop Client - Windows)"
HEADERS = {"X-Beffroi-Listener": "portal", "X-Forwarded-For": "37.65.1.9", "User-Agent": PROGRAM}


@pytest.fixture(autouse=True)
def portal(engines: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The worker goes on where the portal waits for it."""
    monkeypatch.setattr(login_flow, "time", SimpleNamespace(sleep=lambda pause_s: run_pending("main")))
    with on_listener("web"):
        yield


def program() -> Client:
    """It has no cookies, and no token against forged requests."""
    return Client(headers=HEADERS, enforce_csrf_checks=True)


def begin() -> tuple[str, str]:
    """(token to poll with, path of the page)."""
    answer = program().post("/index.php/login/v2")
    assert answer.status_code == 200 and answer["Content-Type"].startswith("application/json")
    asked = answer.json()
    assert asked["poll"]["endpoint"] == "https://localhost:8443/index.php/login/v2/poll"
    assert asked["login"].startswith("https://localhost:8443/connexion/logiciel/")
    return asked["poll"]["token"], urlsplit(asked["login"]).path


def poll(token: str) -> Any:
    return program().post("/index.php/login/v2/poll", {"token": token})


def allow(client: Client, path: str, *, answer: str = "allow") -> Any:
    return client.post(path, {"answer": answer})


def test_a_program_that_was_allowed_gets_an_app_password_for_files_once(
    beaune: Commune, caplog: pytest.LogCaptureFixture
) -> None:
    token, path = begin()
    assert poll(token).status_code == 404, "nobody has allowed it yet"
    client = confirmed(beaune.agent_membership)
    shown = client.get(path)
    assert PROGRAM in shown.content.decode() and "Autoriser" in shown.content.decode()
    assert shown["Cache-Control"].startswith("no-store, private")
    assert poll(token).status_code == 404, "a look allows nothing"
    assert "Le logiciel est autorisé" in allow(client, path).content.decode()
    assert not AppPassword.objects.exists(), "no password waits for the program"
    got = poll(token)
    assert got.status_code == 200 and got["Cache-Control"].startswith("no-store, private")
    given = got.json()
    assert given["server"] == "https://localhost:8443"
    assert given["loginName"] == beaune.agent_membership.person.email
    made = AppPassword.objects.get()
    assert (made.protocol_set, made.label, made.membership_id) == ("dav", PROGRAM, beaune.agent_membership.id)
    assert made.sha256 == hashlib.sha256(given["appPassword"].encode()).hexdigest()
    signed_in = Credentials(settings.BEFFROI).check(given["loginName"], given["appPassword"])
    assert signed_in is not None and signed_in.app_password_id == made.id, "it is used a moment later"
    assert poll(token).status_code == 404 and AppPassword.objects.count() == 1
    assert client.get(path).status_code == 404 and allow(client, path).status_code == 404
    flow = LoginFlow.objects.get()
    kept = json.dumps({one.name: str(getattr(flow, one.name)) for one in flow._meta.fields})
    for secret in (token, path.split("/")[3], given["appPassword"]):
        assert secret not in kept and secret not in caplog.text
    entry = AuditEntry.objects.get(verb="identity:login_flow:granted")
    assert (entry.collectivite_id, entry.object_id) == (beaune.id, flow.pk)
    assert "Agenda, contacts et fichiers" in client.get("/acces/").content.decode()
    retire = client.get(f"/acces/mot-de-passe/{made.id}/retirer/").content.decode()
    assert "ne verra plus l’agenda, les contacts ni les fichiers" in retire


def test_phones_poll_in_ways_of_their_own(beaune: Commune, caplog: pytest.LogCaptureFixture) -> None:
    """The app for iOS says its token in the address, with no body; that for Android takes any body for an end."""
    token, path = begin()
    address = f"/index.php/login/v2/poll?token={token}"
    waits = program().post(address)
    assert (waits.status_code, waits.content) == (404, b"")
    allow(confirmed(beaune.agent_membership), path)
    assert program().get(address).status_code == 405 and program().post(f"{address}x").status_code == 404
    got = program().post(address).json()
    assert AppPassword.objects.get().label == PROGRAM and got["loginName"] and got["appPassword"]
    assert program().post(address).status_code == 404
    assert token not in caplog.text and got["appPassword"] not in caplog.text


def test_a_new_device_is_told_at_home_for_some_days_to_its_person_alone(
    beaune: Commune, nuits: Commune
) -> None:
    token, path = begin()
    client = confirmed(beaune.agent_membership)
    assert PROGRAM not in client.get("/").content.decode()
    allow(client, path)
    assert poll(token).status_code == 200
    made = AppPassword.objects.get()
    home = client.get("/").content.decode()
    assert PROGRAM in home and f"/acces/mot-de-passe/{made.id}/retirer/" in home
    for other in (beaune.referent_membership, nuits.agent_membership):
        assert PROGRAM not in portal_client(other).get("/").content.decode()
    AppPassword.objects.update(created_at=clock.now() - timedelta(days=4))
    assert PROGRAM not in client.get("/").content.decode()


def test_a_refused_program_gets_nothing(beaune: Commune) -> None:
    token, path = begin()
    client = confirmed(beaune.agent_membership)
    assert "Il n’a rien reçu" in allow(client, path, answer="refuse").content.decode()
    assert poll(token).status_code == 404 and allow(client, path).status_code == 404
    assert not AppPassword.objects.exists()


def test_allowing_asks_for_a_sign_in_and_a_step_up(beaune: Commune) -> None:
    token, path = begin()
    stranger = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "37.65.1.9"})
    assert stranger.get(path)["Location"].startswith("/connexion/?next=")
    assert allow(stranger, path)["Location"].startswith("/connexion/")
    signed_in = portal_client(beaune.agent_membership)
    for answer in (signed_in.get(path), allow(signed_in, path)):
        assert answer.status_code == 302 and answer["Location"].startswith("/confirmer/")
    assert poll(token).status_code == 404
    assert not LoginFlow.objects.exists()


def test_the_page_takes_no_forged_request(beaune: Commune) -> None:
    token, path = begin()
    client = confirmed(beaune.agent_membership)
    client.handler.enforce_csrf_checks = True
    assert allow(client, path).status_code == 403 and poll(token).status_code == 404


def test_a_request_from_another_network_is_said(beaune: Commune) -> None:
    _, path = begin()
    near = (
        confirmed(beaune.agent_membership)
        .get(path, headers={"X-Forwarded-For": "37.65.1.77"})
        .content.decode()
    )
    far = (
        confirmed(beaune.agent_membership).get(path, headers={"X-Forwarded-For": "45.9.9.9"}).content.decode()
    )
    assert "depuis un autre réseau" not in near and "depuis un autre réseau" in far


def _expired(beaune: Commune) -> None:
    LoginFlow.objects.update(expires_at=clock.now() - timedelta(seconds=1))


def _sessions_ended(beaune: Commune) -> None:
    actions.end_sessions(actor=beaune.agent, person=beaune.agent_membership.person)


def _password_changed(beaune: Commune) -> None:
    actions.set_password(
        actor=beaune.agent, person=beaune.agent_membership.person, password="quatre sabots de bois"
    )


def _member_no_more(beaune: Commune) -> None:
    actions.end_access(actor=beaune.referent, membership=beaune.agent_membership)


@pytest.mark.parametrize("end", [_expired, _sessions_ended, _password_changed, _member_no_more])
def test_what_ended_between_permission_and_poll_gives_nothing(beaune: Commune, end: Any) -> None:
    token, path = begin()
    assert allow(confirmed(beaune.agent_membership), path).status_code == 200
    end(beaune)
    assert poll(token).status_code == 404 and not AppPassword.objects.exists()


def test_a_late_person_sees_that_it_is_over(beaune: Commune) -> None:
    _, path = begin()
    client = confirmed(beaune.agent_membership)
    with clock.shifted(login_flows.LIFE_S):
        answers = (client.get(path), allow(client, path), client.get("/connexion/logiciel/x/"))
    for answer in answers:
        assert answer.status_code == 404 and "Cette demande ne sert plus" in answer.content.decode()


def test_nobody_lets_a_program_in_as_somebody_else(beaune: Commune, nuits: Commune) -> None:
    _, path = begin()
    asked = login_flows.find(path.split("/")[3])
    with pytest.raises(NotFound):
        login_flows.grant(actor=nuits.agent, asked=asked, membership=beaune.agent_membership)
    assert not LoginFlow.objects.exists()


def test_of_two_polls_at_once_one_gets_it(beaune: Commune) -> None:
    token, path = begin()
    allow(confirmed(beaune.agent_membership), path)
    rows = LoginFlow.objects.filter(poll_sha256=hashlib.sha256(token.encode()).hexdigest())
    rows.update(used_at=clock.now())
    assert poll(token).status_code == 404 and not AppPassword.objects.exists()


def test_who_only_asks_fills_nothing_and_keeps_nobody_from_asking(
    beaune: Commune, django_assert_num_queries: Any
) -> None:
    """From one network, and from more than anybody counts."""
    token, path = begin()
    with django_assert_num_queries(0):
        for number in range(100):
            asked = Client(headers={**HEADERS, "X-Forwarded-For": f"2001:db8:{number // 2:x}::1"})
            assert asked.post("/index.php/login/v2").status_code == 200
    assert not LoginFlow.objects.exists()
    allow(confirmed(beaune.agent_membership), path)
    assert poll(token).status_code == 200


def test_a_request_that_was_not_made_here_is_none(beaune: Commune, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed, or signed for another purpose of the same process."""
    _, path = begin()
    client, secret = confirmed(beaune.agent_membership), path.split("/")[3]
    other = signing.dumps(signing.loads(secret, salt=login_flows.SALT), salt="another")
    for forged in (secret[:-1] + ("A" if secret[-1] != "A" else "B"), "A" + secret, other):
        answer = allow(client, f"/connexion/logiciel/{forged}/")
        assert answer.status_code == 404 and "Cette demande ne sert plus" in answer.content.decode()
    assert not LoginFlow.objects.exists()


def test_a_program_names_itself_in_letters_only(beaune: Commune) -> None:
    odd = Client(headers={**HEADERS, "User-Agent": "<b>x</b>\x1b[31m" + "y" * 300})
    path = urlsplit(odd.post("/index.php/login/v2").json()["login"]).path
    assert len(login_flows.find(path.split("/")[3]).program) == login_flows.MAX_PROGRAM_CHARS
    shown = confirmed(beaune.agent_membership).get(path).content.decode()
    assert "&lt;b&gt;x" in shown and "\x1b" not in shown and "<b>x" not in shown


def test_a_phone_gets_a_code_to_scan_once(beaune: Commune) -> None:
    client = confirmed(beaune.agent_membership)
    assert client.post("/acces/fichiers/", {"label": " "}).status_code == 400
    shown = client.post("/acces/fichiers/", {"label": "Téléphone de Claire"}).content.decode()
    made = AppPassword.objects.get()
    assert (made.protocol_set, made.label) == ("dav", "Téléphone de Claire")
    found = re.search(r'id="secret">([a-z2-9-]{34})<', shown)
    assert found is not None and made.sha256 == hashlib.sha256(found[1].encode()).hexdigest()
    assert "data:image/svg+xml;base64," in shown and beaune.agent_membership.person.email in shown
    assert found[1] not in client.get("/acces/fichiers/").content.decode()
    waiting = portal_client(beaune.agent_membership)
    assert waiting.post("/acces/fichiers/", {"label": "x"})["Location"].startswith("/confirmer/")
