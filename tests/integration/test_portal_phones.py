"""Mail on a phone: a link that opens once gives a profile or settings; nobody else's, never twice, never late."""

from __future__ import annotations

import hashlib
import json
import plistlib
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import actions, device_links
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, DeviceLink
from beffroi.lib import clock
from beffroi.lib.config import SettingInvalid, load
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail import phones
from beffroi.mail import queries as mail_queries
from beffroi.mail.domains.records import Servers
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import confirmed, no_door, own_mailbox, portal, portal_client, shared_box

__all__ = ["no_door", "portal"]
pytestmark = pytest.mark.usefixtures("database")
SERVERS = Servers(mx="mx.dept.example", front="portail.dept.example", imaps_port=993, submission_port=587)
PHONE = {"X-Beffroi-Listener": "portal", "X-Forwarded-For": "37.65.1.9"}


def phone() -> Client:
    """A browser that never signed in."""
    return Client(headers=PHONE)


def begin(client: Client, kind: str, label: str = "Téléphone de Claire") -> tuple[str, Any]:
    """(address of the link without its host, the page)."""
    answer = client.post("/acces/telephone/", {"kind": kind, "label": label})
    found = re.search(r'href="https://localhost:8443(/telephone/[^"]+)"', answer.content.decode())
    assert found is not None, answer.content.decode()
    return found[1], answer


def test_a_scanned_link_gives_an_iphone_its_profile_once(
    beaune: Commune, caplog: pytest.LogCaptureFixture
) -> None:
    box, client = own_mailbox(beaune), confirmed(beaune.agent_membership)
    path, answer = begin(client, "iphone")
    assert "data:image/svg+xml;base64," in answer.content.decode()
    assert answer["Cache-Control"].startswith("no-store, private")
    for _ in range(3):  # a camera looks, a messenger looks
        page = phone().get(path)
        assert page.status_code == 200 and beaune.collectivite.name in page.content.decode()
    assert not AppPassword.objects.exists(), "no password waits for the phone"
    assert phone().head(path + "profil").status_code == 405
    got = phone().get(path + "profil")
    assert got["Content-Type"] == "application/x-apple-aspen-config"
    assert got["Cache-Control"].startswith("no-store, private")
    profile = plistlib.loads(got.content)
    (mail,) = profile["PayloadContent"]
    assert mail["EmailAddress"] == mail["IncomingMailServerUsername"] == box.address
    assert (mail["IncomingMailServerPortNumber"], mail["OutgoingMailServerPortNumber"]) == (2993, 2465)
    made = AppPassword.objects.get()
    assert made.label == "Téléphone de Claire" and made.protocol_set == "imap,smtp"
    assert made.sha256 == hashlib.sha256(mail["IncomingPassword"].encode()).hexdigest()
    for again in (phone().get(path + "profil"), phone().get(path), phone().post(path)):
        assert again.status_code == 404 and "Ce code ne sert plus" in again.content.decode()
    assert AppPassword.objects.count() == 1
    link = DeviceLink.objects.get()
    secret = path.split("/")[2]
    assert secret not in json.dumps({one.name: str(getattr(link, one.name)) for one in link._meta.fields})
    assert secret not in caplog.text and mail["IncomingPassword"] not in caplog.text
    state = client.get(f"/acces/telephone/{link.pk}/").content.decode()
    assert "a pris ses réglages" in state and secret not in state
    used = AuditEntry.objects.get(verb="identity:device_link:used")
    assert used.collectivite_id == beaune.id and audit.personal_of(used) == {"address": "37.65.1.9"}


def test_a_functional_mailbox_is_not_among_what_a_phone_is_given(beaune: Commune) -> None:
    box, shared = own_mailbox(beaune), shared_box(beaune, beaune.agent)
    assert shared in set(mail_queries.own_mailboxes(beaune.agent))
    path, _ = begin(confirmed(beaune.agent_membership), "iphone")
    profile = plistlib.loads(phone().get(path + "profil").content)
    assert [one["EmailAddress"] for one in profile["PayloadContent"]] == [box.address]


def test_another_app_reads_its_settings_once(beaune: Commune) -> None:
    own_mailbox(beaune)
    path, _ = begin(confirmed(beaune.agent_membership), "other")
    assert phone().get(path + "profil").status_code == 404
    assert "Afficher les réglages" in phone().get(path).content.decode()
    shown = phone().post(path).content.decode()
    found = re.search(r'id="secret">([a-z2-9-]{34})<', shown)
    assert found is not None
    assert AppPassword.objects.get().sha256 == hashlib.sha256(found[1].encode()).hexdigest()
    assert phone().post(path).status_code == 404


@pytest.mark.parametrize("kind", ["android", "computer"])
def test_what_needs_no_link_is_shown_at_once(beaune: Commune, kind: str) -> None:
    box = own_mailbox(beaune)
    page = (
        confirmed(beaune.agent_membership)
        .post("/acces/telephone/", {"kind": kind, "label": "x"})
        .content.decode()
    )
    assert AppPassword.objects.count() == 1 and box.address in page and "2993" in page
    assert ("data:image/svg" in page) is (kind == "android")
    assert not DeviceLink.objects.exists()


def _expired(beaune: Commune, link: DeviceLink) -> None:
    DeviceLink.objects.update(expires_at=clock.now() - timedelta(seconds=1))


def _taken_back(beaune: Commune, link: DeviceLink) -> None:
    assert device_links.end(actor=beaune.agent, link=link)


def _sessions_ended(beaune: Commune, link: DeviceLink) -> None:
    actions.end_sessions(actor=Actor.system("tests"), person=beaune.agent_membership.person)


def _password_changed(beaune: Commune, link: DeviceLink) -> None:
    actions.set_password(
        actor=beaune.agent, person=beaune.agent_membership.person, password="quatre sabots de bois"
    )


def _member_no_more(beaune: Commune, link: DeviceLink) -> None:
    actions.end_access(actor=beaune.referent, membership=beaune.agent_membership)


@pytest.mark.parametrize("end", [_expired, _taken_back, _sessions_ended, _password_changed, _member_no_more])
@pytest.mark.parametrize("kind", ["iphone", "other"])
def test_a_link_that_is_over_opens_nothing(beaune: Commune, end: Any, kind: str) -> None:
    own_mailbox(beaune)
    path, _ = begin(confirmed(beaune.agent_membership), kind)
    end(beaune, DeviceLink.objects.get())
    for answer in (phone().get(path), phone().get(path + "profil"), phone().post(path)):
        assert answer.status_code == 404
    assert not AppPassword.objects.exists()


def test_a_link_is_made_after_a_step_up_only(beaune: Commune) -> None:
    own_mailbox(beaune)
    client = portal_client(beaune.agent_membership)
    answer = client.post("/acces/telephone/", {"kind": "iphone", "label": "x"})
    assert answer.status_code == 302 and answer.headers["Location"].startswith("/confirmer/")
    assert not DeviceLink.objects.exists()


def test_another_person_s_link_is_neither_seen_nor_ended(beaune: Commune, nuits: Commune) -> None:
    own_mailbox(beaune)
    begin(confirmed(beaune.agent_membership), "iphone")
    link = DeviceLink.objects.get()
    for stranger in (nuits.agent_membership, beaune.colleague_membership, beaune.referent_membership):
        client = portal_client(stranger)
        assert client.get(f"/acces/telephone/{link.pk}/").status_code == 404
        assert client.post(f"/acces/telephone/{link.pk}/").status_code == 404
        assert link.label not in client.get("/acces/").content.decode()
    with pytest.raises(NotFound):
        device_links.make(actor=nuits.agent, membership=beaune.agent_membership, kind="iphone", label="x")
    assert device_links.is_waiting(link)


def test_the_phone_may_be_signed_in_for_another_commune(beaune: Commune, nuits: Commune) -> None:
    box = own_mailbox(beaune)
    path, _ = begin(confirmed(beaune.agent_membership), "iphone")
    got = portal_client(nuits.agent_membership).get(path + "profil")
    assert plistlib.loads(got.content)["PayloadContent"][0]["EmailAddress"] == box.address
    assert AppPassword.objects.get().membership_id == beaune.agent_membership.id


def test_a_waiting_link_is_shown_and_taken_back(beaune: Commune) -> None:
    own_mailbox(beaune)
    client = confirmed(beaune.agent_membership)
    path, _ = begin(client, "iphone")
    link = DeviceLink.objects.get()
    assert "Code en attente" in client.get("/acces/").content.decode()
    assert "En attente du téléphone" in client.get(f"/acces/telephone/{link.pk}/?part=state").content.decode()
    assert client.post(f"/acces/telephone/{link.pk}/").status_code == 302
    assert phone().get(path).status_code == 404
    assert "annulé" in client.get(f"/acces/telephone/{link.pk}/").content.decode()
    assert not device_links.end(actor=beaune.agent, link=link)


def test_of_two_phones_at_once_one_gets_the_password(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_mailbox(beaune)
    path, _ = begin(confirmed(beaune.agent_membership), "iphone")
    secret = path.split("/")[2]
    stale = device_links.find(secret)
    device_links.open_once(secret, address="37.65.1.9")
    monkeypatch.setattr(device_links, "find", lambda _: stale)  # what the slower one read before
    with pytest.raises(NotFound):
        device_links.open_once(secret, address="37.65.1.10")
    assert AppPassword.objects.count() == 1


@pytest.mark.parametrize(
    ("kind", "label"),
    [("", "x"), ("fridge", "x"), ("iphone", " "), ("iphone", "x" * 101), ("other", "a\x00b")],
)
def test_bad_words_get_an_answer_and_make_nothing(beaune: Commune, kind: str, label: str) -> None:
    own_mailbox(beaune)
    answer = confirmed(beaune.agent_membership).post("/acces/telephone/", {"kind": kind, "label": label})
    assert answer.status_code == 400 and 'role="alert"' in answer.content.decode()
    assert not DeviceLink.objects.exists() and not AppPassword.objects.exists()


@pytest.mark.parametrize("secret", ["x", "é" * 40, "A" * 4000, "..%2f", "%00"])
def test_an_unknown_link_has_the_same_answer(beaune: Commune, secret: str) -> None:
    for answer in (phone().get(f"/telephone/{secret}/"), phone().get(f"/telephone/{secret}/profil")):
        assert answer.status_code == 404


def test_five_links_wait_at_most(beaune: Commune) -> None:
    own_mailbox(beaune)
    for _ in range(5):
        device_links.make(actor=beaune.agent, membership=beaune.agent_membership, kind="iphone", label="x")
    with pytest.raises(Conflict):
        device_links.make(actor=beaune.agent, membership=beaune.agent_membership, kind="iphone", label="x")
    answer = confirmed(beaune.agent_membership).post("/acces/telephone/", {"kind": "iphone", "label": "x"})
    assert answer.status_code == 409


def test_who_has_no_mailbox_is_told_so(beaune: Commune) -> None:
    page = confirmed(beaune.agent_membership).post("/acces/telephone/", {"kind": "iphone", "label": "x"})
    assert "pas encore de boîte" in page.content.decode() and not DeviceLink.objects.exists()


def test_thunderbird_s_code_has_the_form_of_its_specification() -> None:
    account = phones.Account("claire@beaune.test", "Claire Morel", "abc")
    read = json.loads(phones.thunderbird_code(SERVERS, [account]))
    assert read == [
        1, [1, 1],
        [0, "mx.dept.example", 993, 3, 1, "claire@beaune.test", "", "abc"],
        [[[0, "mx.dept.example", 587, 2, 1, "claire@beaune.test", "abc"], ["claire@beaune.test", "Claire Morel"]]],
    ]  # fmt: skip


def test_a_profile_is_signed_where_a_key_is_given(state: Path, tmp_path: Path) -> None:
    config = load(state)
    plain = phones.apple_profile(SERVERS, [], device="apw_1", organisation="Beffroi", title="Courrier")
    assert phones.signed(config, plain) == plain
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "portail.dept.example")])
    now = datetime.now(UTC)
    own = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    place = config.secrets / phones.SIGNING_SECRET
    try:
        place.write_bytes(private + own.public_bytes(serialization.Encoding.PEM))
        (tmp_path / "p").write_bytes(phones.signed(config, plain))
        argv = [
            "openssl",
            "cms",
            "-verify",
            "-noverify",
            "-inform",
            "DER",
            "-in",
            str(tmp_path / "p"),
            "-binary",
        ]
        done = subprocess.run(argv, capture_output=True, check=True)
        assert done.stdout == plain
        place.write_bytes(b"nothing")
        with pytest.raises(SettingInvalid):
            phones.signed(config, plain)
    finally:
        place.unlink()
