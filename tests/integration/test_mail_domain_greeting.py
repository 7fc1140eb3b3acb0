"""Our own mail server as a stranger meets it: STARTTLS of the real Postfix, its certificate, DANE."""

from __future__ import annotations

import hashlib

import pytest
from beffroi.mail.domains import asking, hellos, meeting
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.mail_post import Engines

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_postfix_is_met_with_tls_and_its_key_is_what_dane_announces(mail_engines: Engines) -> None:
    config = mail_engines.config
    met = asking.greet("127.0.0.1", config.smtp_port, config.mail_name)
    assert (met.problem, met.version, met.trusted) == ("", "TLSv1.3", False)
    own = x509.load_pem_x509_certificate((config.state / "tls" / "mail.pem").read_bytes())
    assert met.certificate == own.public_bytes(Encoding.DER)
    key = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert meeting.matches(f"3 1 1 {hashlib.sha256(key).hexdigest()}", met.certificate)
    assert meeting.matches(f"3 0 2 {hashlib.sha512(met.certificate).hexdigest()}", met.certificate)
    assert not meeting.matches(f"3 1 1 {hashlib.sha256(b'other').hexdigest()}", met.certificate)


def test_a_port_that_does_not_answer_is_silent() -> None:
    assert asking.greet("127.0.0.1", 22799, "mx.beffroi.test").problem == "silent"


def test_postfix_refuses_old_versions_and_weak_suites_and_chooses_itself(mail_engines: Engines) -> None:
    config = mail_engines.config
    place = ("127.0.0.1", config.smtp_port, config.mail_name)
    found = [*hellos.look(*place, budget_s=60), meeting.early_data(*place)]
    assert {one.item: (one.state, one.seen) for one in found} == dict.fromkeys(
        (*hellos.ITEMS, "tls_early_data"), ("ok", "")
    )
    own = x509.load_pem_x509_certificate((config.state / "tls" / "mail.pem").read_bytes())
    assert meeting.key(own.public_bytes(Encoding.DER)).state == "ok"
