"""Keys on the portal: one's own are added, named, used and removed; nothing else opens anything."""

from __future__ import annotations

import json
import random
import re
import time
from typing import Any
from unittest import mock

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.models import Authenticator
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import actions, failures, totp
from beffroi.portal.web import passkeys
from django.contrib.sessions.models import Session
from django.core import signing
from django.core.cache import cache
from django.db import connection
from django.test import Client

from tests.conftest import PASSWORD, with_totp
from tests.fixtures_portal import no_door, portal, visitor
from tests.software_key import SoftwareKey

__all__ = ["no_door", "portal"]
pytestmark = pytest.mark.usefixtures("database")
_DATA = re.compile(r'<script id="js_data" type="application/json">(.*?)</script>', re.DOTALL)


def sign_in(client: Client, who: str) -> Any:
    return client.post("/connexion/", {"login": f"{who}@beaune.test", "password": PASSWORD})


def inside(client: Client) -> bool:
    return "_auth_user_id" in client.session


def confirmed(who: str = "agent") -> Client:
    """Signed in and stepped up with the password."""
    client = visitor()
    sign_in(client, who)
    client.post("/confirmer/", {"password": PASSWORD})
    return client


def written(answer: Any) -> dict[str, Any]:
    """The data for the script in a page."""
    found = _DATA.search(answer.content.decode())
    assert found is not None, answer.content.decode()
    return dict(json.loads(found[1]))


def add(
    client: Client, key: SoftwareKey, *, alone: bool = True, verified: bool = True, name: str = ""
) -> Any:
    options = written(client.get("/acces/cles/nouvelle/"))["creation_options"]
    credential = json.dumps(key.create(options, verified=verified, alone=alone))
    return client.post(
        "/acces/cles/nouvelle/",
        {"name": name, "passwordless": "on" if alone else "", "credential": credential},
    )


def challenge(client: Client) -> dict[str, Any]:
    answer = client.get("/connexion/cle/", headers={"Accept": "application/json"})
    return dict(answer.json()["request_options"])


def enter(client: Client, credential: Any) -> Any:
    return client.post("/connexion/cle/", {"credential": json.dumps(credential)})


def own_key(who: str = "agent", **kind: Any) -> SoftwareKey:
    key = SoftwareKey()
    add(confirmed(who), key, **kind)
    return key


def test_a_key_is_added_opens_alone_and_its_use_is_shown(beaune: Any) -> None:
    client, key = confirmed(), SoftwareKey()
    answer = add(client, key, name="Poste de l’accueil")
    assert answer.status_code == 302 and answer.headers["Location"] == "/acces/codes/"
    page = client.get("/acces/").content.decode()
    assert "Poste de l’accueil" in page and "Sans mot de passe" in page and "pas encore utilisée" in page
    other = visitor("192.0.2.8")
    answer = enter(other, key.get(challenge(other)))
    assert answer.headers["Location"] == "/" and inside(other)
    assert "dernier usage" in other.get("/acces/").content.decode()
    verbs = AuditEntry.objects.filter(object_id=beaune.agent.id).values_list("verb", "collectivite_id")
    assert ("identity:second_factor:added", beaune.id) in verbs


def test_a_key_is_added_after_a_step_up_only(beaune: Any) -> None:
    client = visitor()
    sign_in(client, "agent")
    assert client.get("/acces/cles/nouvelle/").headers["Location"].startswith("/confirmer/")


def test_an_answer_opens_once(beaune: Any) -> None:
    key, client = own_key(), visitor()
    answer = key.get(challenge(client))
    enter(client, answer)
    assert inside(client)
    client.post("/deconnexion/")
    challenge(client)
    enter(client, answer)
    assert not inside(client)
    other = visitor("192.0.2.8")
    challenge(other)
    enter(other, answer)
    assert not inside(other)


def test_a_key_opens_its_own_person_s_account_only(beaune: Any) -> None:
    mine, theirs, client = own_key("agent"), own_key("referent"), visitor()
    enter(client, mine.get(challenge(client), handle=theirs.handle))
    assert not inside(client)
    page = client.get("/connexion/").content.decode()
    assert "Cette clé n’a pas été reconnue" in page


def test_a_sign_in_with_a_password_and_a_code_confirms_no_action(beaune: Any) -> None:
    """A false page that relays both would make itself an app password."""
    secret = with_totp(beaune.agent_membership.person)
    client = visitor("192.0.2.8")
    sign_in(client, "agent")
    client.post("/connexion/code/", {"code": totp.code_at(secret, time.time())})
    assert inside(client)
    assert client.get("/acces/mot-de-passe/").headers["Location"].startswith("/confirmer/")


def test_who_came_by_a_code_confirms_by_another_one_and_not_by_the_password(beaune: Any) -> None:
    """The page that relayed the first has the password as well."""
    secret, page = with_totp(beaune.agent_membership.person), "/acces/mot-de-passe/"
    client = visitor("192.0.2.8")
    sign_in(client, "agent")
    client.post("/connexion/code/", {"code": totp.code_at(secret, time.time())})
    client.post("/confirmer/", {"password": PASSWORD, "next": page})
    assert client.get(page).headers["Location"].startswith("/confirmer/code/")
    asked = client.get("/confirmer/code/").content.decode()
    assert "Avec mon mot de passe" not in asked and "/confirmer/?" not in asked
    cache.clear()
    client.post("/confirmer/code/", {"code": totp.code_at(secret, time.time() + 30), "next": page})
    assert client.get(page).status_code == 200


def test_who_takes_codes_off_confirms_by_the_password_again(beaune: Any) -> None:
    secret = with_totp(beaune.agent_membership.person)
    client = visitor("192.0.2.8")
    sign_in(client, "agent")
    client.post("/connexion/code/", {"code": totp.code_at(secret, time.time())})
    Authenticator.objects.all().delete()
    assert client.get("/acces/mot-de-passe/").headers["Location"].startswith("/confirmer/?")


def test_a_removed_key_opens_nothing_and_ends_the_recovery_codes(beaune: Any) -> None:
    key, client = own_key(), confirmed()
    client = visitor("192.0.2.9")
    enter(client, key.get(challenge(client)))
    client.post("/confirmer/", {"password": PASSWORD})
    number = Authenticator.objects.get(type="webauthn").pk
    assert client.get(f"/acces/cles/{number}/retirer/").status_code == 200
    client.post(f"/acces/cles/{number}/retirer/")
    assert not Authenticator.objects.exists()
    assert AuditEntry.objects.filter(verb="identity:second_factor:removed").count() == 2
    other = visitor("192.0.2.8")
    enter(other, key.get(challenge(other)))
    assert not inside(other)


def test_another_person_s_key_is_neither_renamed_nor_removed(beaune: Any, nuits: Any) -> None:
    own_key("agent")
    number = Authenticator.objects.get(type="webauthn").pk
    for client in (confirmed("referent"), visitor()):
        if not inside(client):
            client.post("/connexion/", {"login": f"agent@{nuits.domain}", "password": PASSWORD})
            client.post("/confirmer/", {"password": PASSWORD})
        for what in ("nom", "retirer"):
            assert client.get(f"/acces/cles/{number}/{what}/").status_code == 404
            assert client.post(f"/acces/cles/{number}/{what}/", {"name": "x"}).status_code == 404
    assert Authenticator.objects.get(pk=number).wrap().name == "Clé d’accès 1"


def test_a_key_is_renamed(beaune: Any) -> None:
    client = confirmed()
    add(client, SoftwareKey())
    number = Authenticator.objects.get(type="webauthn").pk
    client.post(f"/acces/cles/{number}/nom/", {"name": "Clé bleue"})
    assert "Clé bleue" in client.get("/acces/").content.decode()
    assert client.post(f"/acces/cles/{number}/nom/", {"name": "x" * 61}).status_code == 200


def test_a_key_without_a_question_to_its_owner_is_a_second_factor_only(beaune: Any) -> None:
    assert add(confirmed(), SoftwareKey(), alone=True, verified=False).status_code == 200
    assert not Authenticator.objects.exists()
    key, client = own_key(alone=False, verified=False), visitor("192.0.2.8")
    enter(client, key.get(challenge(client), verified=False))
    assert not inside(client)
    sign_in(client, "agent")
    assert not inside(client)
    page = client.get("/connexion/code/")
    assert "Utiliser ma clé" in page.content.decode()
    answer = key.get(written(page)["request_options"], verified=False)
    client.post("/connexion/code/", {"credential": json.dumps(answer)})
    assert inside(client)


def test_the_easier_challenge_of_a_second_factor_lets_no_found_key_in(beaune: Any) -> None:
    """Somebody with a password of their own and another person's key, whose PIN they do not know."""
    own_key("referent", alone=False)
    found, client = own_key("agent"), visitor("192.0.2.8")
    sign_in(client, "referent")
    easy = written(client.get("/connexion/code/"))["request_options"]
    enter(client, found.get(easy, verified=False))
    assert not inside(client)


def test_a_key_confirms_an_action_when_it_asked_its_owner(beaune: Any) -> None:
    key, client = own_key(), visitor("192.0.2.8")
    enter(client, key.get(challenge(client)))
    assert client.get("/acces/mot-de-passe/").status_code == 200, "so it did a moment ago"
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY][-1]["at"] -= 301
    session.save()
    first = client.get("/acces/mot-de-passe/")
    assert first.headers["Location"].startswith("/confirmer/cle/"), "the way they signed in comes first"
    for verified, opened in ((False, False), (True, True)):
        options = written(client.get("/confirmer/cle/"))["request_options"]
        answer = json.dumps(key.get(options, verified=verified))
        sent = client.post(
            "/confirmer/cle/", {"credential": answer, "next": "/acces/mot-de-passe/"}, follow=True
        )
        assert ("Utilisez votre mot de passe ou un code." in sent.content.decode()) is not opened
        assert (client.get("/acces/mot-de-passe/").status_code == 200) is opened


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://x.localhost:8443", "http://evil.example", "localhost", ""]
)
def test_an_answer_for_another_site_is_refused(beaune: Any, origin: str) -> None:
    key, client = own_key(), visitor("192.0.2.8")
    key.origin = origin
    enter(client, key.get(challenge(client)))
    assert not inside(client)
    assert add(confirmed("referent"), SoftwareKey(origin=origin)).status_code == 200
    assert Authenticator.objects.filter(type="webauthn").count() == 1


def test_guessing_is_counted_and_stops_its_network_only(beaune: Any) -> None:
    key, client = own_key(), visitor("5.181.80.66")
    for _ in range(14):
        enter(client, SoftwareKey().get(challenge(client), handle=key.handle))
    told = OutboxEvent.objects.filter(kind=failures.KIND)
    assert told.count() == 10
    payload = json.loads(told[0].payload)
    assert payload["account"] == failures.digest("agent@beaune.test") and "agent" not in told[0].payload
    enter(client, key.get(challenge(client)))
    assert not inside(client)
    assert "Trop d’essais" in client.get("/connexion/").content.decode()
    owner = visitor("192.0.2.8")
    enter(owner, key.get(challenge(owner)))
    assert inside(owner)


def test_who_only_asks_for_challenges_fills_nothing(beaune: Any) -> None:
    """From however many networks."""
    for number in range(150):
        client = visitor(f"192.0.{number}.2")
        challenge(client)
    assert Session.objects.count() == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM django_cache WHERE cache_key LIKE %s", ["%passkey%"])
        assert cursor.fetchone() == (0,)


def test_answers_are_limited_and_wrong_ones_leave_no_session(beaune: Any) -> None:
    client = visitor()
    # Twice what a window takes: the clock may begin another one meanwhile.
    told = [client.post("/connexion/cle/", {"credential": "{}"}).status_code for _ in range(242)]
    assert told[0] == 302 and 429 in told
    assert Session.objects.count() == 0


def test_a_challenge_opens_once_in_its_own_browser_and_not_for_long(beaune: Any) -> None:
    key, client = own_key(), visitor()
    answer = key.get(challenge(client))
    kept = client.cookies[passkeys.COOKIE].value
    other = visitor()
    enter(other, answer)
    assert not inside(other), "it was not given to this browser"
    forged = visitor()
    forged.cookies[passkeys.COOKIE] = signing.dumps({"challenge": "AA"}, salt="another")
    enter(forged, answer)
    assert not inside(forged)
    enter(client, answer)
    assert inside(client)
    again = visitor()
    again.cookies[passkeys.COOKIE] = kept
    enter(again, answer)
    assert not inside(again), "it was used"
    late = visitor()
    answer = key.get(challenge(late))
    signed = signing.loads(late.cookies[passkeys.COOKIE].value, salt=passkeys.SALT)
    with mock.patch("time.time", return_value=time.time() - passkeys.LIFE_S - 5):
        late.cookies[passkeys.COOKIE] = signing.dumps(signed, salt=passkeys.SALT)
    enter(late, answer)
    assert not inside(late)


def test_a_closed_account_s_key_opens_nothing(beaune: Any) -> None:
    key = own_key()
    actions.end_access(actor=beaune.referent, membership=beaune.agent_membership)
    client = visitor("192.0.2.8")
    enter(client, key.get(challenge(client)))
    assert not inside(client)


def test_what_is_no_credential_has_an_answer(beaune: Any) -> None:
    key, client = own_key(), visitor()
    whole = json.dumps(key.get(challenge(client)))
    picks = random.Random(7)
    hostile = [
        "",
        "[]",
        "null",
        "7",
        '"x"',
        "{}",
        "[" * 9000,
        '{"response":' * 900,
        "x" * 40_000,
        '{"id":"\\u0000"}',
    ]
    hostile += [
        '{"response":{"userHandle":' + one + "}}" for one in ("null", "7", '"AA"', '"_w"', "[]", "{}")
    ]
    for _ in range(150):
        at, size = picks.randrange(len(whole)), picks.randrange(1, 12)
        hostile.append(whole[:at] + "".join(picks.choices('{}[]":,Aa0_-\\u', k=size)) + whole[at + size :])
    for one in hostile:
        cache.clear()
        challenge(client)
        assert client.post("/connexion/cle/", {"credential": one}).status_code == 302, one[:200]
        assert not inside(client)


def test_a_hostile_registration_has_an_answer_and_leaves_nothing(beaune: Any) -> None:
    client, picks = confirmed(), random.Random(8)
    options = written(client.get("/acces/cles/nouvelle/"))["creation_options"]
    whole = json.dumps(SoftwareKey().create(options))
    for _ in range(150):
        at, size = picks.randrange(len(whole)), picks.randrange(1, 12)
        broken = whole[:at] + "".join(picks.choices('{}[]":,Aa0_-', k=size)) + whole[at + size :]
        answer = client.post("/acces/cles/nouvelle/", {"credential": broken, "passwordless": "on"})
        assert answer.status_code == 200, broken
    assert not Authenticator.objects.exists()


def test_ten_keys_are_enough(beaune: Any) -> None:
    client = confirmed()
    for _ in range(10):
        assert add(client, SoftwareKey()).status_code == 302
    assert "Dix clés" in add(client, SoftwareKey()).content.decode()


def test_a_code_of_the_application_still_opens_beside_a_key(beaune: Any) -> None:
    secret = with_totp(beaune.agent_membership.person)
    Authenticator.objects.filter(type="recovery_codes").delete()
    client = visitor()
    sign_in(client, "agent")
    client.post("/connexion/code/", {"code": totp.code_at(secret, time.time())})
    assert inside(client)
