"""Mail that a signed-in client sends to other servers: how it leaves, signed by whom, and how fast."""

from __future__ import annotations

import email
import itertools
import time

from beffroi.mail import signing

from tests.conftest import Commune
from tests.foreign_mail import FORGED, PLAIN, SIGNED, SLOW, Sending
from tests.mail_post import needs_engines
from tests.signed_mail import DomainKey
from tests.submitting import letter, secret_of, submitting

pytest_plugins = ["tests.fixtures_sending"]
pytestmark = needs_engines


def test_mail_leaves_over_the_way_that_dane_proves(sending: Sending, beaune: Commune) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "sortie")
    with submitting(sending.post, box.address, secret_of(beaune)) as smtp:
        smtp.sendmail(box.address, [f"maire@{SIGNED}"], letter(box.address, f"maire@{SIGNED}", "dane"))
    received = email.message_from_bytes(sending.foreign.arrives("dane"))
    first = received.get_all("Received", [])[0]
    assert "sortie.beffroi.example" in first
    assert "127.0.0.41" in first
    assert "TLSv1.3" in first
    assert not [name for name in received if name.lower().startswith("x-beffroi-")]
    assert "Verified TLS connection" in sending.logged("TLS connection established to", f"mx.{SIGNED}")


def test_mail_waits_when_the_other_server_is_not_the_one_dane_names(
    sending: Sending, beaune: Commune
) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "mefiant")
    with submitting(sending.post, box.address, secret_of(beaune)) as smtp:
        smtp.sendmail(box.address, [f"x@{FORGED}"], letter(box.address, f"x@{FORGED}", "trompe"))
    assert "status=deferred" in sending.logged(f"to=<x@{FORGED}>", "status=")
    assert b"trompe" not in b"".join(sending.foreign.arrived())


def test_mail_still_reaches_a_server_without_tls(sending: Sending, beaune: Commune) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "clair")
    with submitting(sending.post, box.address, secret_of(beaune)) as smtp:
        smtp.sendmail(box.address, [f"x@{PLAIN}"], letter(box.address, f"x@{PLAIN}", "en clair"))
    assert (
        b"TLS" not in sending.foreign.arrives("en clair").partition(b"\n\n")[0].partition(b"by mx.example")[0]
    )


def test_mail_to_a_slow_provider_takes_its_own_lane(sending: Sending, beaune: Commune) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "lent")
    with submitting(sending.post, box.address, secret_of(beaune)) as smtp:
        for name in ("un", "deux", "trois"):
            smtp.sendmail(
                box.address, [f"{name}@{SLOW}"], letter(box.address, f"{name}@{SLOW}", f"lent {name}")
            )
    for name in ("un", "deux", "trois"):
        sending.foreign.arrives(f"lent {name}")
        assert "slow-orange" in sending.logged(f"to=<{name}@{SLOW}>", "status=sent")


def test_mail_is_signed_with_the_key_of_its_own_domain(
    sending: Sending, beaune: Commune, nuits: Commune
) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "signe")
    other = sending.post.mailbox(nuits, nuits.agent, "nu")
    key = DomainKey()
    signing.put(sending.config, [key.signs(beaune.domain)])
    secret, tries = secret_of(beaune), itertools.count()

    def send() -> bytes:
        subject = f"signe {next(tries)}"
        time.sleep(2)  # rspamd looks at its map each few seconds, and an account has a limit of its own
        with submitting(sending.post, box.address, secret) as smtp:
            smtp.sendmail(box.address, [f"x@{PLAIN}"], letter(box.address, f"x@{PLAIN}", subject))
        return sending.foreign.arrives(subject)

    message = next(found for found in iter(send, b"") if b"DKIM-Signature" in found)
    assert f"d={beaune.domain}".encode() in message
    assert b"s=s1" in message
    assert key.verifies(message)
    assert not key.verifies(message.replace(b"Bonjour", b"Bonsoir"))
    with submitting(sending.post, other.address, secret_of(nuits)) as smtp:
        smtp.sendmail(other.address, [f"x@{PLAIN}"], letter(other.address, f"x@{PLAIN}", "sans cle"))
    assert b"DKIM-Signature" not in sending.foreign.arrives("sans cle")
