"""A file comes by a drop link, and who made the link reads of it in a mail: real Postfix, rspamd and Dovecot."""

from __future__ import annotations

from dataclasses import replace

import pytest
from beffroi.core.events.running import run_pending
from beffroi.drive.__main__ import tell_handed
from beffroi.drive.store import shares
from beffroi.drive.web.dropped import Handed
from beffroi.lib import clock
from beffroi.mail.held.models import Notice
from beffroi.mail.held.posting import MailNotTaken
from beffroi.mail.models import Mailbox
from beffroi.portal.consumers import send_notices
from django.conf import settings

from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.mail_post import Post, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


@pytest.fixture
def box(post: Post, beaune: Commune) -> Mailbox:
    return post.mailbox(beaune, beaune.agent, "mairie")


@pytest.fixture
def drive(post: Post, beaune: Commune) -> Drive:
    return Drive(beaune.agent_membership)


def link_of(drive: Drive, folder: str) -> shares.Share:
    node = drive.folder(folder)
    wish = shares.Wish("link", rights="drop", expires_s=clock.epoch_s() + 3600)
    return drive.database.write(lambda w: shares.make(w, drive.act, node.id, wish))[0]


def come(committed: str, commune: Commune, share: shares.Share) -> None:
    """As the process drive tells it, and the worker hears it."""
    handed = Handed(share.id, commune.id, commune.agent.id, "A1B2C3D4E5F6", "0" * 64, 12, "192.0.2.7")
    tell_handed(replace(settings.BEFFROI, database_url=committed), handed)
    while run_pending("main"):
        pass
    send_notices()


def test_who_made_the_link_reads_of_it_once_an_hour(
    committed: str, post: Post, drive: Drive, beaune: Commune, box: Mailbox
) -> None:
    first, second = link_of(drive, "Pièces du marché"), link_of(drive, "Urbanisme")
    for _ in range(3):
        come(committed, beaune, first)
    post.wait_count(box, 1)
    come(committed, beaune, second)
    post.wait_count(box, 2)  # of another link; whatever of the first one was there before
    one, other = sorted(post.mails(box), key=lambda mail: "Urbanisme" in mail.as_string())
    for mail, share in ((one, first), (other, second)):
        assert mail["Subject"] == "Des fichiers arrivent dans votre Coffre" and mail["To"] == box.address
        assert mail["Auto-Submitted"] == "auto-generated"
        body = mail.get_body(("plain",))
        assert body is not None
        text = body.get_content()
        assert share.label in text and f"/coffre/{share.node}/depots/" in text
        for private in ("192.0.2.7", "A1B2C3D4E5F6", "0" * 64):
            assert private not in mail.as_string(), "the mail names neither a sender nor a file"


def test_a_mail_that_postfix_does_not_take_is_tried_again(
    committed: str, post: Post, drive: Drive, beaune: Commune, box: Mailbox
) -> None:
    share = link_of(drive, "Pièces")
    post.engines.kill("postfix")
    with pytest.raises(MailNotTaken):
        come(committed, beaune, share)
    assert post.count(box) == 0
    post.engines.start("postfix")

    def retried() -> bool:
        Notice.objects.update(due_at=clock.now())
        send_notices()
        return post.count(box) == 1

    until(retried, "the mail")
