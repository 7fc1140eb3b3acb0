"""A boîtier that somebody else has: what submission takes of its relay's login, with real engines.

The boîtier's own refusals are in tests/clients/test_box_relay.py; here nobody keeps them.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from beffroi.boxes import actions as boxes
from beffroi.boxes.models import Box
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import tokens
from beffroi.mail.models import Mailbox
from beffroi.mail.people import actions as people
from beffroi.mail.sending.models import SendingAlarm
from beffroi_protocol.messages import Policy
from beffroi_protocol.relaying import Device, Relay

from tests.conftest import Commune
from tests.mail_post import Post, needs_engines, until
from tests.submitting import letter, refusal, starting

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
HOUR = 3


@pytest.fixture
def copier(post: Post, beaune: Commune, administrator: Actor) -> Mailbox:
    """The functional mailbox of a relay that may write to ``@beaune.test``, ``HOUR`` mails an hour."""
    made = people.create_shared(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        address=f"copieur@{beaune.domain}",
        title="Copieur",
    )
    Box.objects.create(
        collectivite_id=beaune.id,
        serial="BF-1",
        public_key="x",
        fingerprint="x",
        state=Box.State.ACTIVE,
        enrolled_at=clock.now(),
    )
    device = (Device("192.168.1.50", "Copieur"),)
    relay = Relay(made.address, post.config.mail_name, device, (f"@{beaune.domain}",), hour=HOUR)
    boxes.set_policy(
        actor=administrator, collectivite=beaune.collectivite, policy=Policy(relay=relay), reason="x"
    )
    run_pending("main")
    return made


@contextmanager
def handing_over(post: Post, copier: Mailbox) -> Iterator[smtplib.SMTP]:
    """Signed in as the boîtier is."""
    login, token = tokens.sending_token(post.config, copier.address)
    word = f"n,a={login},\x01auth=Bearer {token}\x01\x01"
    with starting(post) as smtp:
        smtp.auth("OAUTHBEARER", lambda challenge=None: word if challenge is None else "\x01")
        yield smtp


def hands_over(post: Post, copier: Mailbox, *to: str) -> tuple[int, str]:
    with handing_over(post, copier) as smtp:
        try:
            smtp.sendmail(copier.address, list(to), letter(copier.address, to[0], "Scan"))
        except smtplib.SMTPDataError as error:
            return error.smtp_code, refusal(error)
    return 250, ""


def test_a_stolen_boitier_writes_to_nobody_but_whom_its_policy_names(
    post: Post, copier: Mailbox, beaune: Commune, nuits: Commune
) -> None:
    own, other = (
        post.mailbox(beaune, beaune.agent, "secretariat"),
        post.mailbox(nuits, nuits.agent, "voisine"),
    )
    code, said = hands_over(post, copier, other.address)
    assert (code, said[:5]) == (554, "5.7.1"), said
    assert f"Les reglages du relais n'admettent pas {other.address} : demandez-le au Departement." in said
    code, said = hands_over(post, copier, own.address, other.address)
    assert code == 554, "one that is not named is enough"
    assert hands_over(post, copier, own.address) == (250, "")
    post.wait_count(own, 1)
    assert post.count(other) == 0

    def alarmed() -> bool:
        run_pending("main")
        return SendingAlarm.objects.filter(mailbox_id=copier.id, limit="relay_recipients").exists()

    until(alarmed, "the Département is told")
    assert SendingAlarm.objects.get().contained_at is None


def test_it_sends_no_more_than_its_policy_says_and_nothing_while_nobody_can_check(
    post: Post, copier: Mailbox, beaune: Commune
) -> None:
    own = post.mailbox(beaune, beaune.agent, "secretariat")
    for _ in range(HOUR):
        assert hands_over(post, copier, own.address) == (250, "")
    code, said = hands_over(post, copier, own.address)
    assert code == 451 and f"{HOUR} messages par heure pour ce relais" in said
    post.engines.kill("mailgate")
    code, said = hands_over(post, copier, own.address)
    assert code == 451 and "The mail door is away" in said
    post.wait_count(own, HOUR)
