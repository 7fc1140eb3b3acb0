"""Sign-in: persons on the portal's listener, administrators on the console's; and what each session carries."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.core.internal import ratelimit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import (
    actions,
    administrators,
    failures,
    forms,
    limits,
    rescue,
    sessions,
    sign_ins,
    totp,
)
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator, SignInRefused, authenticate_administrator
from beffroi.core.identity.middleware import AdministratorMiddleware
from beffroi.core.identity.models import Administrator, SignIn
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotAllowed, NotFound
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path

from tests.conftest import PASSWORD, code_of, with_totp
from tests.fixtures_portal import visitor
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.usefixtures("database")


def whoami(request: HttpRequest) -> HttpResponse:
    actor = request.actor  # type: ignore[attr-defined]
    return HttpResponse(f"{actor.id} {actor.collectivite_id} {actor.role}" if actor else "nobody")


urlpatterns = [
    path("", whoami),
    path("connexion/", include("allauth.urls")),
    # The frame of the portal's templates leads there.
    path("accessibilite/", whoami, name="accessibility"),
    path("langue/", whoami, name="set_language"),
    path("acces/", whoami, name="access"),
]


@pytest.fixture
def client() -> Client:
    return Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.7"})


@pytest.fixture(autouse=True)
def urls() -> Any:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def sign_in(client: Client, email: str, password: str = PASSWORD) -> Any:
    return client.post("/connexion/login/", {"login": email, "password": password})


# The portal


def test_person_signs_in_with_password_and_session_carries_a_membership(client: Client, beaune: Any) -> None:
    assert client.get("/").content == b"nobody"
    answer = sign_in(client, "Agent@Beaune.test")
    assert answer.status_code == 302
    assert client.get("/").content.decode() == f"{beaune.agent.id} {beaune.id} agent"
    cookie = client.cookies["__Host-beffroi_session"]
    assert cookie["secure"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_second_factor_is_asked_for_and_its_code_opens_once(client: Client, beaune: Any) -> None:
    secret = with_totp(beaune.agent_membership.person)
    sign_in(client, "agent@beaune.test")
    assert client.get("/").content == b"nobody"
    code = totp.code_at(secret, time.time())
    client.post("/connexion/2fa/authenticate/", {"code": code})
    assert client.get("/").content.decode().startswith(beaune.agent.id)

    again = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.8"})
    sign_in(again, "agent@beaune.test")
    again.post("/connexion/2fa/authenticate/", {"code": code})
    assert again.get("/").content == b"nobody"


def test_a_wrong_password_is_told_with_its_address_and_without_the_account(beaune: Any) -> None:
    client = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "9.9.9.9, 5.181.80.66"})
    told = OutboxEvent.objects.filter(kind=failures.KIND)
    for _ in range(30):  # the limits of sign-in bound what is written
        client.post("/connexion/login/", {"login": "agent@beaune.test", "password": "wrong"})
    assert 0 < told.count() <= 10
    payload = json.loads(told[0].payload)
    assert (payload["address"], payload["domain"], payload["door"]) == (
        "5.181.80.66",
        "beaune.test",
        "portal",
    )
    assert "agent" not in told[0].payload
    before = told.count()
    cache.clear()
    assert sign_in(client, "agent@beaune.test").status_code == 302
    assert told.count() == before


def test_code_stays_used_when_the_cache_has_forgotten_it(client: Client, beaune: Any) -> None:
    secret = with_totp(beaune.agent_membership.person)
    code = totp.code_at(secret, time.time())
    assert enter_code(client, code)
    cache.clear()
    other = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.8"})
    assert not enter_code(other, code)
    # A code of a time before the one that opened is as used as that one.
    cache.clear()
    assert not enter_code(other, totp.code_at(secret, time.time() - 30))


def test_code_confirms_an_action_once(client: Client, beaune: Any) -> None:
    secret = with_totp(beaune.agent_membership.person)
    now = time.time()  # the next code's time may begin meanwhile
    assert enter_code(client, totp.code_at(secret, now))
    cache.clear()
    confirm = "/connexion/2fa/reauthenticate/"
    assert client.post(confirm, {"code": totp.code_at(secret, now)}).status_code == 200
    assert client.post(confirm, {"code": totp.code_at(secret, now + 30)}).status_code == 302


def test_code_that_switched_the_second_factor_on_opens_nothing_more(client: Client, beaune: Any) -> None:
    sign_in(client, "agent@beaune.test")
    client.post("/connexion/reauthenticate/", {"password": PASSWORD})
    secret = client.get("/connexion/2fa/totp/activate/").context["form"].secret
    code = totp.code_at(secret, time.time())
    assert client.post("/connexion/2fa/totp/activate/", {"code": code}).status_code == 302
    other = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.8"})
    assert not enter_code(other, code)
    assert enter_code(other, totp.code_at(secret, time.time() + 30))


def test_code_is_refused_twice_by_another_process_and_after_a_restart(
    committed: str, beaune: Any, state: Path, tmp_path: Path
) -> None:
    secret = with_totp(beaune.agent_membership.person)
    (tmp_path / "secrets").symlink_to(state / "secrets")
    (tmp_path / "beffroi.toml").write_text(f'database_url = "{committed}"\n')
    code = totp.code_at(secret, time.time())
    assert _enter_in_a_process_of_its_own(tmp_path, code) == "True"
    cache.clear()
    assert _enter_in_a_process_of_its_own(tmp_path, code) == "False"
    cache.clear()
    here = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.8"})
    assert not enter_code(here, code)


def test_wrong_codes_of_a_day_are_few_and_only_for_who_has_the_password(
    beaune: Any, administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five in five minutes are 1440 a day, from networks without number."""
    person = beaune.agent_membership.person
    secret = with_totp(person)
    minutes, day = itertools.count(0, 61), [1]
    later = SimpleNamespace(time=lambda: float(next(minutes)), monotonic=time.monotonic, sleep=time.sleep)
    monkeypatch.setattr(ratelimit, "time", later)
    monkeypatch.setattr(limits, "clock", SimpleNamespace(epoch_s=lambda: day[0] * forms.DAY_S))
    networks = itertools.count()

    def tried(code: str, password: str = PASSWORD) -> bool:
        client = Client(
            headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": f"198.51.{next(networks)}.1"}
        )
        sign_in(client, "agent@beaune.test", password)
        client.post("/connexion/2fa/authenticate/", {"code": code})
        return bool(client.get("/").content != b"nobody")

    for _ in range(forms.MOST_WRONG_CODES + 1):
        assert not tried("000000", password="wrong")
    assert tried(totp.code_at(secret, time.time() - 30)), "who has no password shut its owner out"
    for _ in range(forms.MOST_WRONG_CODES):
        assert not tried("000000")
    assert not tried(totp.code_at(secret, time.time())), "and so on until one fits"
    made = rescue.make(actor=beaune.referent, person_id=person.id)
    assert tried(made.code), "a code of 60 bits opens all the same"
    day[0] += 1
    assert tried(totp.code_at(secret, time.time()))
    for _ in range(forms.MOST_WRONG_CODES):
        assert not tried("000000")
    given = actions.give_password(actor=administrator, person=person, reason="somebody had it")
    assert tried(totp.code_at(secret, time.time() + 30), password=given)


def enter_code(client: Client, code: str) -> bool:
    """Sign in with the password, then this code; whether that opened."""
    sign_in(client, "agent@beaune.test")
    client.post("/connexion/2fa/authenticate/", {"code": code})
    return bool(client.get("/").content != b"nobody")


_PROCESS = """
import sys, django; django.setup()
from django.test import Client
client = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": sys.argv[2]})
client.post("/connexion/", {"login": "agent@beaune.test", "password": sys.argv[3]})
client.post("/connexion/code/", {"code": sys.argv[1]})
print("_auth_user_id" in client.session)
"""


def _enter_in_a_process_of_its_own(state: Path, code: str) -> str:
    environment = os.environ | {"BEFFROI_STATE": str(state), "DJANGO_SETTINGS_MODULE": "beffroi.settings.web"}
    command = [sys.executable, "-c", _PROCESS, code, "192.0.2.9", PASSWORD]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("ended_by", ["password", "sessions"])
def test_a_password_that_is_over_waits_for_its_code_in_vain(
    client: Client, beaune: Any, administrator: Actor, ended_by: str
) -> None:
    """Who had it, and talks its owner into a code afterwards, is too late."""
    person = beaune.agent_membership.person
    secret = with_totp(person)
    sign_in(client, "agent@beaune.test")
    if ended_by == "password":
        actions.give_password(actor=administrator, person=person, reason="a lure")
    else:
        actions.end_sessions(actor=administrator, person=person)
    client.post("/connexion/2fa/authenticate/", {"code": totp.code_at(secret, time.time())})
    assert client.get("/").content == b"nobody"


def test_secret_of_the_second_factor_is_encrypted_at_rest(beaune: Any) -> None:
    from allauth.mfa.models import Authenticator

    secret = with_totp(beaune.agent_membership.person)
    assert secret not in str(Authenticator.objects.get().data)


def test_wrong_password_and_unknown_address_are_refused_alike(client: Client, beaune: Any) -> None:
    answers = [sign_in(client, "agent@beaune.test", "wrong"), sign_in(client, "nobody@beaune.test", "wrong")]
    assert {answer.status_code for answer in answers} == {200}
    errors = [list(answer.context["form"].non_field_errors()) for answer in answers]
    assert errors[0]
    assert errors[0] == errors[1]
    assert client.get("/").content == b"nobody"


def test_guessing_is_stopped_after_some_tries(client: Client, beaune: Any) -> None:
    for _ in range(6):
        sign_in(client, "agent@beaune.test", "wrong")
    assert sign_in(client, "agent@beaune.test").status_code in (200, 429)
    assert client.get("/").content == b"nobody"


def test_a_large_house_signs_in_by_one_address(client: Client, beaune: Any) -> None:
    """As many within a minute as the front door lets through; only wrong passwords are fewer."""
    answers = [client.post("/connexion/login/", {"login": "", "password": "x"}) for _ in range(60)]
    assert {answer.status_code for answer in answers} == {200}
    assert sign_in(client, "agent@beaune.test").status_code == 302


def test_guessing_at_the_portal_stops_the_guesser_and_not_the_owner(client: Client, beaune: Any) -> None:
    for number in range(5):
        sign_in(visitor(f"198.51.100.{number}"), "agent@beaune.test", "wrong")
    # The same network, now with everything right, and the portal's name in capitals.
    near = visitor("198.51.100.77")
    near.post(
        "/connexion/login/", {"login": "agent@beaune.test", "password": PASSWORD}, headers={"Host": "PORTAIL"}
    )
    assert near.get("/").content == b"nobody"
    assert sign_in(client, "agent@beaune.test").status_code == 302


def test_nobody_signs_up(client: Client) -> None:
    client.post("/connexion/signup/", {"email": "x@beaune.test", "password1": "a long enough password"})
    assert client.get("/").content == b"nobody"


def test_access_that_ended_opens_no_page_of_an_open_session(client: Client, beaune: Any) -> None:
    sign_in(client, "agent@beaune.test")
    actions.end_access(actor=beaune.referent, membership=beaune.agent_membership)
    assert client.get("/").content == b"nobody"
    assert sign_in(client, "agent@beaune.test").status_code != 302 or client.get("/").content == b"nobody"


def test_a_session_that_goes_on_from_another_network_is_found_where_one_looks_back(
    client: Client, beaune: Any
) -> None:
    """Who copied its cookie did not sign in."""
    sign_in(client, "agent@beaune.test")
    for address in ("192.0.2.7", "198.51.100.9", "198.51.100.9", "192.0.2.7"):
        assert (
            client.get("/", headers={"X-Forwarded-For": address}).content.decode().startswith(beaune.agent.id)
        )
    assert dict(SignIn.objects.values_list("address", "count")) == {"192.0.2.7": 1, "198.51.100.9": 1}
    (seen,) = sign_ins.from_indicator("ip", "198.51.100.9")
    assert (seen.person_id, seen.collectivite_id) == (beaune.agent.id, beaune.id)


def test_a_telephone_that_changes_its_address_with_each_request_fills_no_session(
    client: Client, beaune: Any
) -> None:
    sign_in(client, "agent@beaune.test")
    for number in range(40):
        client.get("/", headers={"X-Forwarded-For": f"2001:db8::{number:x}"})
    assert len(client.session[sign_ins.SEEN_FROM_KEY]) == sign_ins.MOST_SEEN_FROM
    assert client.get("/").content.decode().startswith(beaune.agent.id)


@pytest.mark.parametrize(("signed_in_s", "ended_s", "again_s"), [(0, 1, 2), (3600, 0, 1), (0, 3600, 1)])
def test_sessions_that_were_ended_are_over_whatever_the_clock_did(
    client: Client, beaune: Any, signed_in_s: int, ended_s: int, again_s: int
) -> None:
    """Also where it was an hour ahead for a while; and who signs in afterwards is in."""
    with clock.shifted(signed_in_s):
        sign_in(client, "agent@beaune.test")
    with clock.shifted(ended_s):
        actions.end_sessions(actor=beaune.agent, person=beaune.agent_membership.person)
    with clock.shifted(again_s):
        assert client.get("/").content == b"nobody"
        sign_in(client, "agent@beaune.test")
        assert client.get("/").content.decode().startswith(beaune.agent.id)


def test_person_changes_to_another_own_membership_only(
    client: Client, beaune: Any, nuits: Any, system: Actor
) -> None:
    person = beaune.agent_membership.person
    second = actions.add_membership(actor=system, person=person, collectivite=nuits.collectivite, role="elu")
    sign_in(client, "agent@beaune.test")
    request = RequestFactory().get("/")
    request.user = person
    request.session = client.session
    assert sessions.choose_membership(request, second.id).collectivite_id == nuits.id
    assert sessions.person_actor(request) == Actor("person", person.id, nuits.id, "elu")
    with pytest.raises(NotFound):
        sessions.choose_membership(request, nuits.agent_membership.id)


def test_pages_forbid_foreign_scripts_and_frames(client: Client) -> None:
    headers = client.get("/").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_sign_in_never_leads_to_another_site(client: Client, beaune: Any) -> None:
    for target in ("https://evil.example/", "//evil.example/", "/\\evil.example/", "https:evil.example"):
        other = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.9"})
        answer = other.post(
            "/connexion/login/", {"login": "agent@beaune.test", "password": PASSWORD, "next": target}
        )
        assert answer.headers["Location"] == "/"


# The console


def enter(account: NewAdministrator, **changes: str) -> Administrator:
    values = {
        "email": account.record.email,
        "password": PASSWORD,
        "code": code_of(account),
        "address": "192.0.2.1",
    }
    return authenticate_administrator(**(values | changes))


def test_administrator_signs_in_with_password_and_code(new_administrator: NewAdministrator) -> None:
    assert enter(new_administrator, email=" ADMIN@cotedor.test").id == new_administrator.record.id
    assert AuditEntry.objects.filter(verb="identity:administrator:signed_in").count() == 1


def test_code_of_an_administrator_opens_once(new_administrator: NewAdministrator) -> None:
    enter(new_administrator)
    with pytest.raises(SignInRefused):
        enter(new_administrator)
    with clock.shifted(30):
        enter(new_administrator)


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "wrong"},
        {"code": "000000"},
        {"code": ""},
        {"email": "other@cotedor.test"},
        {"password": ""},
    ],
)
def test_every_wrong_part_is_refused_in_the_same_words(
    new_administrator: NewAdministrator, wrong: dict[str, str]
) -> None:
    with pytest.raises(SignInRefused) as refusal:
        enter(new_administrator, **wrong)
    assert refusal.value.args == SignInRefused().args


def test_person_of_a_commune_is_no_administrator(beaune: Any) -> None:
    with pytest.raises(SignInRefused):
        authenticate_administrator(
            email="agent@beaune.test", password=PASSWORD, code="123456", address="192.0.2.1"
        )


def test_guessing_stops_the_guesser_and_not_the_owner(new_administrator: NewAdministrator) -> None:
    for _ in range(5):
        with pytest.raises(SignInRefused):
            enter(new_administrator, password="wrong", address="198.51.100.9")
    with pytest.raises(SignInRefused):
        enter(new_administrator, address="198.51.100.77")  # the same network, now with everything right
    assert enter(new_administrator, address="192.0.2.1").id == new_administrator.record.id


def test_codes_are_guessed_a_few_times_a_day_from_however_many_networks(
    new_administrator: NewAdministrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the password and 65,536 networks of IPv6 would find the code within a day; who has only the address
    shuts nobody out."""
    monkeypatch.setattr(
        administrators, "check_password", lambda given, _: given == PASSWORD
    )  # of a processor less
    for number in range(2 * administrators.MOST_CODES):
        with pytest.raises(SignInRefused):
            enter(new_administrator, password="wrong", address=f"2001:db8:1:{number:x}::1")
    assert enter(new_administrator).id == new_administrator.record.id
    next_day_s = administrators.DAY_S - clock.epoch_s() % administrators.DAY_S
    with clock.shifted(next_day_s):
        for number in range(2 * administrators.MOST_CODES):
            with pytest.raises(SignInRefused):
                enter(new_administrator, code="x", address=f"2001:db8:2:{number:x}::1")
        with pytest.raises(SignInRefused):
            enter(new_administrator, address="2001:db8:3::1")
        for number in range(2 * administrators.MOST_CODES):
            with pytest.raises(SignInRefused):
                confirm(new_administrator, "x", f"2001:db8:4:{number:x}::1")
        with pytest.raises(SignInRefused):
            confirm(new_administrator, code_of(new_administrator), "2001:db8:3::1")
    with clock.shifted(next_day_s + 23 * 3600), pytest.raises(SignInRefused):
        enter(new_administrator)
    with clock.shifted(next_day_s + administrators.DAY_S):
        assert enter(new_administrator).id == new_administrator.record.id


def confirm(administrator: NewAdministrator, code: str, address: str) -> None:
    administrators.confirm_by_code(administrator_id=administrator.record.id, code=code, address=address)


def test_who_has_the_password_keeps_no_administrator_at_work_from_confirming(
    new_administrator: NewAdministrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(administrators, "check_password", lambda given, _: given == PASSWORD)
    for number in range(2 * administrators.MOST_CODES + 1):
        with pytest.raises(SignInRefused):
            enter(new_administrator, code="x", address=f"2001:db8:2:{number:x}::1")
    confirm(new_administrator, code_of(new_administrator), "192.0.2.1")


def test_limit_ends_with_its_window(new_administrator: NewAdministrator) -> None:
    for _ in range(5):
        with pytest.raises(SignInRefused):
            enter(new_administrator, password="wrong")
    with clock.shifted(901):
        enter(new_administrator)


def console_request(session: SessionStore) -> HttpRequest:
    request = RequestFactory().get("/")
    request.session = session
    return request


def test_console_session_ends_with_the_account(
    new_administrator: NewAdministrator, administrator: Actor, system: Actor
) -> None:
    session = SessionStore()
    before = session.session_key
    sessions.start_administrator_session(session, new_administrator.record)
    session.save()
    assert session.session_key != before
    request = console_request(session)
    assert AdministratorMiddleware(whoami)(request).content.decode().startswith(administrator.id)  # type: ignore[attr-defined]

    with pytest.raises(Conflict):
        administrators.end_administrator_access(actor=system, administrator=new_administrator.record)
    administrators.create_administrator(actor=system, email="b@cotedor.test", name="B", password=PASSWORD)
    administrators.end_administrator_access(actor=system, administrator=new_administrator.record)
    assert sessions.administrator_actor(request) is None
    assert request.session.is_empty()


def test_session_of_a_person_opens_nothing_on_the_console(client: Client, beaune: Any) -> None:
    sign_in(client, "agent@beaune.test")
    assert sessions.administrator_actor(console_request(SessionStore(client.session.session_key))) is None


def test_administrators_are_managed_by_administrators_only(
    beaune: Any, new_administrator: NewAdministrator
) -> None:
    with pytest.raises(NotAllowed):
        administrators.create_administrator(
            actor=beaune.referent, email="x@cotedor.test", name="X", password=PASSWORD
        )
    with pytest.raises(NotAllowed):
        administrators.end_administrator_access(actor=beaune.referent, administrator=new_administrator.record)


def test_what_refused_sign_ins_write_is_bounded(new_administrator: NewAdministrator) -> None:
    for _ in range(12):
        with pytest.raises(SignInRefused):
            enter(new_administrator, password="wrong", address="9.9.9.9")
    assert 0 < AuditEntry.objects.filter(verb="identity:administrator:sign_in_refused").count() <= 5
    assert 0 < OutboxEvent.objects.filter(kind=failures.KIND).count() <= 5
