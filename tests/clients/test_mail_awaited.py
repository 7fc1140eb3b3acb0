"""Mailboxes that Postfix does not know yet, as after a restore on another machine: mail for them waits at its senders,
that for open ones comes."""

from __future__ import annotations

import re
import smtplib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import actions, awaited, consumers, projections, submission
from beffroi.mail.doveadm import DoveadmUnavailable
from beffroi.mail.engines import layout
from beffroi.mail.models import Mailbox

from tests.certificates import unverified
from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines
from tests.waiting import PATIENCE_S, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
STRANGER = "x@ailleurs.example"


@pytest.fixture
def queued(post: Post) -> Iterator[Post]:
    """With the hand that tells Postfix to look addresses up anew."""
    post.engines.start("queue")
    yield post
    projections.await_no_more(post.config)
    post.engines.kill("queue")


def lose_routes(post: Post, *, but: str = "") -> None:
    """As on another machine, where so far this address alone is open."""
    with closing(sqlite3.connect(post.config.state / "projections" / "routes.sqlite")) as routes, routes:
        routes.execute("DELETE FROM mailbox WHERE address <> ?", (but,))
        routes.execute("DELETE FROM domain")


def answer(post: Post, address: str) -> tuple[int, str]:
    return post.send(lure(address, "attendu"), address)


def forgotten(post: Post) -> None:
    """End all that Postfix remembers of addresses."""
    log = post.config.log / "postfix.log"
    before = set(re.findall(r"smtpd\[(\d+)\]", log.read_text("utf-8", "replace")))
    consumers.look_up_anew()
    until(lambda: not any(Path(f"/proc/{one}").exists() for one in before), "who knew it before is gone")


def test_mail_waits_at_its_sender_until_lost_mailboxes_are_open_again(
    queued: Post, beaune: Commune, nuits: Commune
) -> None:
    boxes = [queued.mailbox(beaune, beaune.agent, "perdue"), queued.mailbox(nuits, nuits.agent, "aussi")]
    lose_routes(queued)
    awaited.begin()
    forgotten(queued)  # Postfix starts after that
    for address in (*(one.address for one in boxes), f"personne@{beaune.domain}", STRANGER):
        code, said = answer(queued, address)
        assert (code, said[:5]) == (450, "4.3.2"), said
    consumers.end_awaited()
    assert answer(queued, STRANGER)[0] == 450
    run_pending("main")  # what was lost was told anew
    assert answer(queued, boxes[0].address)[0] == 250
    assert answer(queued, STRANGER)[0] == 450
    consumers.end_awaited()
    assert answer(queued, boxes[1].address)[0] == 250
    assert answer(queued, f"personne@{beaune.domain}")[0] == 550
    assert answer(queued, STRANGER)[0] == 554


def test_who_is_signed_in_already_writes_to_a_colleague_later_and_to_others_now(
    queued: Post, beaune: Commune, nuits: Commune
) -> None:
    own, other = queued.mailbox(beaune, beaune.agent, "ouverte"), queued.mailbox(nuits, nuits.agent, "perdue")

    def refused(to: str) -> submission.Refused | None:
        try:
            submission.submit(
                queued.config, own.address, [to], f"From: {own.address}\r\n\r\nBonjour\r\n".encode()
            )
        except submission.Refused as refusal:
            return refusal
        return None

    def forwarded(to: str) -> int:
        """As Dovecot hands in what filters send."""
        tls = layout.Paths(queued.config.state).tls
        context = unverified()
        context.load_cert_chain(tls / "filters.pem", tls / "filters.key")
        with smtplib.SMTP("127.0.0.1", queued.config.filters_port, timeout=PATIENCE_S) as smtp:
            smtp.starttls(context=context)
            smtp.ehlo("filters")
            smtp.mail(own.address)
            return smtp.rcpt(to)[0]

    lose_routes(queued, but=own.address)
    awaited.begin()
    forgotten(queued)
    later = refused(other.address)
    assert later is not None and later.again, "tried again"
    assert forwarded(other.address) == 450
    assert refused(own.address) is None
    assert forwarded(STRANGER) == 550, "not ours: answered as ever, and a demonstration lets nothing out"
    run_pending("main")
    consumers.end_awaited()
    assert refused(other.address) is None
    never = refused(f"personne@{nuits.domain}")
    assert never is not None and not never.again


def test_a_mailbox_that_never_opens_holds_up_what_is_unknown_for_a_day_and_nothing_that_is_open(
    queued: Post, beaune: Commune
) -> None:
    box = queued.mailbox(beaune, beaune.agent, "ouverte")
    Mailbox.objects.create(
        collectivite_id=beaune.id, address=f"jamais@{beaune.domain}", crypt_key="-", ready_at=clock.now()
    )
    awaited.begin()
    consumers.end_awaited()
    assert answer(queued, box.address)[0] == 250
    assert answer(queued, f"jamais@{beaune.domain}")[0] == 450
    until_s = projections.awaited_until_s(queued.config)
    assert until_s is not None
    assert 0 < until_s - clock.epoch_s() <= awaited.LONGEST_S
    projections.await_mailboxes(queued.config, [], until_s=clock.epoch_s() - 1)  # as a day later
    assert answer(queued, f"jamais@{beaune.domain}")[0] == 550


def test_a_start_with_all_mailboxes_known_refuses_as_ever(queued: Post, beaune: Commune) -> None:
    box = queued.mailbox(beaune, beaune.agent, "connue")
    Mailbox.objects.create(
        collectivite_id=beaune.id, address=f"partie@{beaune.domain}", crypt_key="-", closed_at=clock.now()
    )
    Mailbox.objects.create(collectivite_id=beaune.id, address=f"neuve@{beaune.domain}", crypt_key="-")
    awaited.begin()
    assert projections.awaited_until_s(queued.config) is None
    assert answer(queued, f"personne@{beaune.domain}")[0] == 550
    assert answer(queued, box.address)[0] == 250


def test_mail_for_a_mailbox_that_is_not_open_yet_waits_at_its_sender(post: Post, beaune: Commune) -> None:
    first = post.mailbox(beaune, beaune.agent, "premiere")
    assert answer(post, first.address)[0] == 250
    post.engines.kill("dovecot")
    made = [
        actions.provision_mailbox(
            actor=Actor.system("tests"), collectivite=beaune.collectivite, address=address, person_id=None
        )
        for address in (f"neuve@{beaune.domain}", f"suivante@{beaune.domain}")
    ]
    with pytest.raises(DoveadmUnavailable):
        run_pending("main")
    for address in (each.address for each in made):
        code, said = answer(post, address)
        assert (code, said[:5]) == (450, "4.3.2"), said
    assert answer(post, f"personne@{beaune.domain}")[0] == 550
    post.engines.start("dovecot")
    run_pending("main")
    for each in made:
        assert answer(post, each.address)[0] == 250
