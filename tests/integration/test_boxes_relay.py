"""The relay at the centre: which box gets a token for which mailbox, what devices sent, and the console's page."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator

import msgspec
import pytest
from beffroi.boxes import actions, consumers, queries, relay
from beffroi.boxes.models import Box, BoxPolicy, RelayDay
from beffroi.core.events.models import InboxFact
from beffroi.core.events.registry import Event
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid
from beffroi.mail import tokens
from beffroi.portal import relay_enforced
from beffroi.portal.web import relay_token
from beffroi_protocol.facts import MailRelayed
from beffroi_protocol.mail_token import MailToken, MailTokenRequest, make_request
from beffroi_protocol.messages import Policy
from beffroi_protocol.relaying import Device, Relay
from beffroi_protocol.signing import b64, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.http import HttpResponse
from django.test import Client, RequestFactory

from tests.conftest import Commune, code_of
from tests.fixtures_portal import no_door, on_listener, own_mailbox, portal_client, shared_box
from tests.markup import text_of

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def box(beaune: Commune) -> Box:
    return Box.objects.create(
        collectivite_id=beaune.id,
        serial="BF-0001",
        public_key=b64(public_bytes(KEY)),
        fingerprint="0001 K7QD",
        state="active",
        last_seen_at=clock.now(),
        policy_version=1,
    )


def relaying(sender: str) -> Policy:
    devices = (Device("192.168.1.50", "Copieur"), Device("00:1b:a9:12:34:56", "Logiciel"))
    return Policy(relay=Relay(sender, "mx.beffroi.test", devices, ("@beaune.test",)))


def gives(administrator: Actor, commune: Commune, policy: Policy) -> None:
    actions.set_policy(actor=administrator, collectivite=commune.collectivite, policy=policy, reason="x")
    relay_enforced.put()


@pytest.fixture
def signing(settings: object) -> Iterator[Config]:
    config: Config = settings.BEFFROI  # type: ignore[attr-defined]
    config.secrets.mkdir(parents=True, exist_ok=True)
    tokens.make_key(config)
    yield config


def asks(
    box: Box, *, key: Ed25519PrivateKey = KEY, at: int | None = None, listener: str = "box"
) -> HttpResponse:
    request = make_request(key, MailTokenRequest(1, box.id, clock.epoch_s() if at is None else at))
    return posts(request.encode(), listener)


def posts(body: bytes, listener: str = "box") -> HttpResponse:
    headers = {"X-Beffroi-Listener": listener}
    return relay_token.mail_token(
        RequestFactory().post("/v1/mail-token", body, content_type="application/json", headers=headers)
    )


def refused_as(answer: HttpResponse) -> tuple[int, str]:
    return answer.status_code, json.loads(answer.content)["code"]


def test_a_box_gets_a_token_that_only_sends_and_only_as_the_mailbox_of_its_policy(
    box: Box, beaune: Commune, administrator: Actor, signing: Config
) -> None:
    shared_box(beaune, local="copieur")
    gives(administrator, beaune, relaying("copieur@beaune.test"))
    answer = msgspec.json.decode(asks(box).content, type=MailToken)
    assert (answer.sender, answer.life_s) == ("copieur@beaune.test", 60)
    middle = answer.token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    assert claims["email"] == answer.login == "copieur@beaune.test@relay"
    assert 60 <= claims["exp"] - claims["iat"] <= 65


def test_another_communes_mailbox_and_a_persons_own_give_no_token(
    box: Box, beaune: Commune, nuits: Commune, administrator: Actor, signing: Config
) -> None:
    shared_box(nuits, local="copieur")
    own_mailbox(beaune)
    for sender in ("copieur@nuits.test", "agent@beaune.test", "personne@beaune.test"):
        gives(administrator, beaune, relaying(sender))
        assert refused_as(asks(box)) == (409, "box.relay_off"), sender


def test_there_is_no_token_before_the_mail_door_enforces_the_policy(
    box: Box, beaune: Commune, administrator: Actor, signing: Config
) -> None:
    shared_box(beaune, local="copieur")
    gives(administrator, beaune, relaying("copieur@beaune.test"))
    assert asks(box).status_code == 200
    wider = msgspec.structs.replace(relaying("copieur@beaune.test"), unlock=False)
    actions.set_policy(actor=administrator, collectivite=beaune.collectivite, policy=wider, reason="x")
    assert refused_as(asks(box)) == (503, "box.relay_not_ready")
    relay_enforced.put()
    assert asks(box).status_code == 200


def test_without_a_relay_in_the_policy_in_force_there_is_no_token(
    box: Box, beaune: Commune, administrator: Actor, signing: Config
) -> None:
    shared_box(beaune, local="copieur")
    assert refused_as(asks(box)) == (409, "box.relay_off")
    gives(administrator, beaune, relaying("copieur@beaune.test"))
    assert asks(box).status_code == 200
    gives(administrator, beaune, Policy())
    assert refused_as(asks(box)) == (409, "box.relay_off")


def test_a_revoked_box_a_forger_and_an_old_request_get_nothing(
    box: Box, beaune: Commune, administrator: Actor, signing: Config
) -> None:
    shared_box(beaune, local="copieur")
    gives(administrator, beaune, relaying("copieur@beaune.test"))
    stranger = Box(id="box_0000000000000000000000000a")
    assert refused_as(asks(box, key=Ed25519PrivateKey.generate())) == refused_as(asks(stranger))
    assert asks(box, at=clock.epoch_s() - 3600).status_code == 400
    for body in (b"", b"x", "é".encode(), b"a.b", b"x" * 20_000):
        assert posts(body).status_code in (400, 413), body[:5]
    for listener in ("portal", "console", ""):
        assert asks(box, listener=listener).status_code == 404
    for state in (Box.State.REVOKED, Box.State.PENDING):
        Box.objects.update(state=state)
        assert refused_as(asks(box)) == (403, "box.not_active")


def tells(box: Box, fact: MailRelayed) -> None:
    row = InboxFact.objects.create(
        id=fact.id,
        source=box.id,
        collectivite_id=box.collectivite_id,
        payload=msgspec.json.encode(fact).decode(),
    )
    consumers.take_in_fact(Event(1, "fact:received", box.collectivite_id, {"fact_id": row.id}, clock.now()))


def test_what_devices_sent_is_summed_by_day_and_names_come_from_the_policy(
    box: Box, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    gives(administrator, beaune, relaying("copieur@beaune.test"))
    now = clock.epoch_s()
    for number, (device, sent, refused, reason) in enumerate(
        [
            ("Copieur", 3, 0, ""),
            ("Copieur", 2, 1, "recipient"),
            ("Inconnu 1", 1, 0, ""),
            ("Inconnu 2", 1, 0, ""),
        ]
    ):
        tells(box, MailRelayed(f"fct_{number}", device, sent, refused, now, reason))
    rows = {row.device: row for row in relay.relay_days(beaune.agent, beaune.id, since=clock.now().date())}
    assert {name: (row.sent, row.refused, row.reason) for name, row in rows.items()} == {
        "Copieur": (5, 1, "recipient"),
        "": (2, 0, ""),
    }
    assert not relay.relay_days(nuits.referent, beaune.id, since=clock.now().date()).exists()


def test_a_port_of_the_relay_is_no_trap(beaune: Commune, administrator: Actor) -> None:
    policy = msgspec.structs.replace(relaying("copieur@beaune.test"), honeyports=(25,))
    with pytest.raises(Invalid):
        gives(administrator, beaune, policy)


# -- the console's page ----------------------------------------------------------------------------------


FORM = {
    "base": "1",
    "on": "on",
    "sender": "copieur@beaune.test",
    "devices": "192.168.1.50  Copieur du secrétariat\n00-1B-A9-12-34-56 Logiciel",
    "recipients": "@beaune.test, Perception@DGFIP.example.org",
    "hour": "30",
    "size": "10",
    "reason": "Le copieur ne connaît pas OAuth",
}


def current(commune: Commune) -> Policy:
    found = queries.current_policy(Actor.system("tests"), commune.id)
    assert found is not None
    return found[1]


def test_the_departement_turns_it_on_sees_what_is_sent_and_goes_back(
    console: Client, box: Box, beaune: Commune, administrator: Actor, new_administrator: NewAdministrator
) -> None:
    gives(administrator, beaune, Policy())
    path = f"/boitiers/{box.id}/relais/"
    assert "n’a pas encore de boîte de service" in text_of(console.get(path))
    shared_box(beaune, local="copieur")
    page = text_of(console.get(path))
    assert "@beaune.test</textarea>" in page and "Aucun appareil n’est admis" in page
    refused = console.post(path, {**FORM, "code": "000000"})
    assert refused.status_code == 403 and "Ce code n’est pas le bon" in html.unescape(
        refused.content.decode()
    )
    assert current(beaune).relay is None
    assert console.post(path, {**FORM, "code": code_of(new_administrator)}).status_code == 302
    wanted = current(beaune).relay
    assert wanted is not None
    assert wanted.devices == (
        Device("192.168.1.50", "Copieur du secrétariat"),
        Device("00:1b:a9:12:34:56", "Logiciel"),
    )
    assert wanted.recipients == ("@beaune.test", "Perception@dgfip.example.org")
    assert (wanted.hour, wanted.size_bytes, wanted.host) == (30, 10_000_000, "mx.beffroi.test")
    tells(box, MailRelayed("fct_9", "Logiciel", 4, 1, clock.epoch_s(), "size"))
    page = text_of(console.get(path))
    assert "Le boîtier n’a pas encore confirmé ces réglages" in page
    assert "4 envois, refus : 1" in page and "un document trop grand" in page
    assert "Relais des copieurs" in text_of(console.get(f"/boitiers/{box.id}/"))
    off = {**FORM, "base": "2", "on": "", "code": code_of(new_administrator, 30)}
    assert console.post(path, off).status_code == 302
    assert current(beaune).relay is None
    assert console.post(path, {**FORM, "base": "2"}).status_code == 409, "somebody else changed it"


def test_a_size_from_before_in_mib_is_shown_in_megabytes_and_sent_again_unchanged(
    console: Client, box: Box, beaune: Commune, administrator: Actor, new_administrator: NewAdministrator
) -> None:
    shared_box(beaune, local="copieur")
    gives(administrator, beaune, relaying("copieur@beaune.test"))
    before = current(beaune).relay
    path = f"/boitiers/{box.id}/relais/"
    assert before is not None and before.size_bytes == 20 << 20
    assert 'name="size" value="21"' in text_of(console.get(path))
    answer = console.post(path, {**FORM, "size": "21", "code": code_of(new_administrator)})
    after = current(beaune).relay
    assert answer.status_code == 302 and after is not None and after.size_bytes == 20 << 20


def test_an_earlier_policy_with_a_relay_comes_back_after_a_code_only(
    console: Client, box: Box, beaune: Commune, administrator: Actor, new_administrator: NewAdministrator
) -> None:
    gives(administrator, beaune, relaying("copieur@beaune.test"))
    gives(administrator, beaune, Policy())
    path = f"/boitiers/{box.id}/reprendre/"
    asked = console.post(path, {"version": "1"})
    assert asked.status_code == 200 and 'name="code"' in asked.content.decode()
    assert console.post(path, {"version": "1", "code": "000000"}).status_code == 403
    assert current(beaune).relay is None
    code = code_of(new_administrator)
    assert console.post(path, {"version": "1", "code": code}).status_code == 302
    assert current(beaune).relay is not None
    assert console.post(path, {"version": "2"}).status_code == 302, "to turn it off needs no code there"


def test_a_trap_on_a_port_of_the_relay_is_refused_in_words_on_both_pages(
    console: Client, box: Box, beaune: Commune, administrator: Actor
) -> None:
    shared_box(beaune, local="copieur")
    gives(administrator, beaune, Policy(honeyports=(25,)))
    answer = console.post(f"/boitiers/{box.id}/relais/", FORM)
    assert answer.status_code == 400 and "sert de piège" in answer.content.decode()
    gives(administrator, beaune, relaying("copieur@beaune.test"))
    typed = {"base": "2", "mode": "router", "honeyports": "23, 587", "send": "1", "reason": "x"}
    said = text_of(console.post(f"/boitiers/{box.id}/reglages/", typed))
    assert "Le port 587 sert au relais des copieurs" in said
    assert current(beaune).honeyports == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"devices": ""}, "Écrivez au moins un appareil"),
        ({"devices": "192.168.1.500 Copieur"}, "« 192.168.1.500 Copieur »"),
        ({"devices": "192.168.1.50"}, "« 192.168.1.50 »"),
        ({"devices": "192.168.1.50 A\n192.168.1.50 B"}, "Deux appareils ont la même adresse"),
        ({"recipients": "beaune.test"}, "« beaune.test »"),
        ({"recipients": " "}, "Écrivez au moins un domaine"),
        ({"sender": "agent@beaune.test"}, "agent@beaune.test"),
        ({"sender": "copieur@nuits.test"}, "copieur@nuits.test"),
        ({"hour": "0"}, "1"),
        ({"size": "53"}, "52"),
        ({"reason": ""}, ""),
    ],
)
def test_what_cannot_be_is_refused_in_words_and_nothing_changes(  # noqa: PLR0917 - fixtures
    console: Client,
    box: Box,
    beaune: Commune,
    nuits: Commune,
    administrator: Actor,
    changes: dict[str, str],
    said: str,
) -> None:
    gives(administrator, beaune, Policy())
    shared_box(beaune, local="copieur")
    shared_box(nuits, local="copieur")
    own_mailbox(beaune)
    answer = console.post(f"/boitiers/{box.id}/relais/", {**FORM, **changes})
    assert answer.status_code == 400
    assert said in text_of(answer)
    assert BoxPolicy.objects.count() == 1


def test_the_commune_reads_what_its_copiers_sent_and_not_the_neighbours(
    box: Box, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    gives(administrator, beaune, relaying("copieur@beaune.test"))
    tells(box, MailRelayed("fct_9", "Copieur", 4, 1, clock.epoch_s(), "recipient"))
    with on_listener("web"):
        own = text_of(portal_client(beaune.referent_membership).get("/boitier/"))
        other = text_of(portal_client(nuits.referent_membership).get("/boitier/"))
    assert "Au plus 60 envois par heure, de 21 Mo chacun" in own and "Demander un changement" in own
    assert "copieur@beaune.test" in own and "un destinataire qui n’est pas admis" in own
    assert "copieur@beaune.test" not in other and "Copieur" not in other
    assert RelayDay.objects.count() == 1
