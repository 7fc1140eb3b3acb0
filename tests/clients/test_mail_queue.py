"""What waits in the real Postfix, as an unprivileged process sees and changes it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.mail import reader, submission
from beffroi.mail.filters import actions as filters
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import actions, keeper, queries, queue
from beffroi.mail.sending.models import SendingAlarm
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.foreign_mail import SILENT, Sending
from tests.mail_post import lure, needs_engines, until
from tests.submitting import letter, secret_of, submitting

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_sending"]
pytestmark = needs_engines
SYSTEM = Actor.system("tests")


@pytest.fixture
def kept(sending: Sending) -> Iterator[Sending]:
    sending.post.engines.start("queue")
    yield sending
    sending.post.engines.kill("queue")


def _waiting(kept: Sending, address: str) -> list[queries.Outgoing]:
    return [one for one in queries.outgoing(SYSTEM, kept.config).rows if one.mail.sender == address]


def test_mail_that_waits_is_shown_with_its_account_and_reason_and_can_be_deleted(
    kept: Sending, beaune: Commune
) -> None:
    box = kept.post.mailbox(beaune, beaune.agent, "attente")
    with submitting(kept.post, box.address, secret_of(beaune)) as smtp:
        smtp.sendmail(box.address, [f"x@{SILENT}"], letter(box.address, f"x@{SILENT}", "attend"))
    until(lambda: any(one.mail.reason for one in _waiting(kept, box.address)), "a reason")
    (one,) = _waiting(kept, box.address)
    assert one.collectivite_id == beaune.id
    assert one.mail.queue == "deferred"
    assert "refused" in one.mail.reason
    assert one.mail.recipients[0][0] == f"x@{SILENT}"
    actions.change_queued(actor=SYSTEM, verb="retry", messages=[one.mail])
    run_pending("main")
    actions.change_queued(actor=SYSTEM, verb="delete", messages=[one.mail])
    run_pending("main")
    assert not _waiting(kept, box.address)
    verbs = list(
        AuditEntry.objects.filter(object_id=one.mail.id).order_by("id").values_list("verb", flat=True)
    )
    assert verbs == ["mail:queue:retry", "mail:queue:delete"]


def test_mail_that_a_clock_ahead_put_off_is_tried_again_once_the_clock_is_right(
    kept: Sending, beaune: Commune
) -> None:
    box = kept.post.mailbox(beaune, beaune.agent, "avance")
    for name in ("avance", "patiente"):
        with submitting(kept.post, box.address, secret_of(beaune)) as smtp:
            smtp.sendmail(box.address, [f"x@{SILENT}"], letter(box.address, f"x@{SILENT}", name))
    until(lambda: [one.mail.queue for one in _waiting(kept, box.address)] == ["deferred"] * 2, "they wait")
    ahead, due = (_file_of(kept, one.mail.id) for one in _waiting(kept, box.address))
    soon_s, two_days_s = clock.epoch_s() + 600, clock.epoch_s() + 172_800
    os.utime(ahead, (two_days_s, two_days_s))  # as Postfix leaves it
    os.utime(due, (soon_s, soon_s))
    kept.post.engines.kill("postfix")
    kept.post.engines.start("postfix")
    until(lambda: ahead.exists() and ahead.stat().st_mtime < two_days_s - 3600, "it was tried again")
    assert due.stat().st_mtime == soon_s, "what waits for its turn goes on waiting"
    actions.change_queued(
        actor=SYSTEM, verb="delete", messages=[one.mail for one in _waiting(kept, box.address)]
    )


def _file_of(kept: Sending, queue_id: str) -> Path:
    (found,) = (kept.config.state / "postfix" / "queue" / "deferred").glob(f"*/{queue_id}")
    return found


def test_mail_that_is_returned_comes_back_to_its_sender(kept: Sending, beaune: Commune) -> None:
    box = kept.post.mailbox(beaune, beaune.agent, "retour")
    with submitting(kept.post, box.address, secret_of(beaune)) as smtp:
        smtp.sendmail(box.address, [f"x@{SILENT}"], letter(box.address, f"x@{SILENT}", "revient"))
    until(lambda: any(one.mail.queue == "deferred" for one in _waiting(kept, box.address)), "it waits")
    actions.change_queued(actor=SYSTEM, verb="return", messages=[_waiting(kept, box.address)[0].mail])
    run_pending("main")
    (told,) = _told(kept, box)
    assert told.startswith("Votre message n’a pas été remis\n") and "cette adresse n’existe pas" in told
    assert "« blocked », « listed », « policy » : son serveur tient ce message pour indésirable" in told
    assert f"<x@{SILENT}>" in told, "which address, and what its server says"
    assert not _waiting(kept, box.address)
    client = kept.post.imap(box)
    raw = client.fetch([1], ["BODY[]"]) if client.select_folder("INBOX") else {}
    forged = raw[1][b"BODY[]"].replace(b"X-Beffroi-Id: msg_", b"X-Beffroi-Id: msg_0")
    client.append("INBOX", forged)  # by an import of an old mailbox, where no door was passed either
    client.logout()
    own, other = (_page(beaune, box, uid) for uid in (1, 2))
    assert (
        "le serveur de courrier de votre Département qui vous écrit" in own and "Premier contact" not in own
    )
    assert "Rien ne permet de vérifier" in other


def _page(commune: Commune, box: Mailbox, uid: int) -> str:
    return portal_client(commune.agent_membership).get(f"/courrier/{box.id}/{uid}/").content.decode()


def _told(kept: Sending, box: Mailbox) -> list[str]:
    """What the mail system wrote to this mailbox, as its owner reads it: subject, then text."""
    kept.post.wait_count(box, 1)
    with reader.open_mailbox(kept.config, box.address) as opened:
        views = [opened.read(one.uid) for one in opened.list()]
    return [f"{one.summary.subject}\n{one.text}" for one in views]


@pytest.fixture
def impatient(kept: Sending) -> Iterator[Sending]:
    """Senders hear after a second of what waits."""
    main = kept.config.state / "postfix" / "etc" / "main.cf"
    before = main.read_text()
    assert "delay_warning_time = 4h" in before
    main.write_text(before.replace("delay_warning_time = 4h", "delay_warning_time = 1s"))
    _restart(kept)
    yield kept
    main.write_text(before)
    _restart(kept)


def _restart(kept: Sending) -> None:
    kept.post.engines.kill("postfix")
    kept.post.engines.start("postfix")


def test_the_sender_hears_once_of_mail_that_still_waits(impatient: Sending, beaune: Commune) -> None:
    box = impatient.post.mailbox(beaune, beaune.agent, "patient")
    with submitting(impatient.post, box.address, secret_of(beaune)) as smtp:
        smtp.sendmail(box.address, [f"x@{SILENT}"], letter(box.address, f"x@{SILENT}", "attend"))

    def tried_and_told() -> bool:
        for one in _waiting(impatient, box.address):
            if one.mail.queue == "deferred":
                queue.change(impatient.config, "retry", [one.mail.id])
        return impatient.post.count(box) > 0

    until(tried_and_told, "a word of what waits")
    (told,) = _told(impatient, box)
    assert "votre Département qui vous écrit" in _page(beaune, box, 1)
    assert (
        told.startswith("Votre message n’est pas encore remis\n") and "vous n’avez pas à le renvoyer" in told
    )
    assert f"<x@{SILENT}>" in told
    (one,) = _waiting(impatient, box.address)
    queue.change(impatient.config, "delete", [one.mail.id])


def test_nobody_hears_that_what_a_filter_sends_still_waits(impatient: Sending, beaune: Commune) -> None:
    """An absence answers servers that are down for days; its owner wrote none of it."""
    box = impatient.post.mailbox(beaune, beaune.agent, "absente")
    filters.set_forward(actor=beaune.agent, mailbox=box, target=f"x@{SILENT}", keeps_copy=False)
    run_pending("main")
    assert impatient.post.send(lure(box.address, "1"), box.address)[0] == 250
    until(lambda: bool(_waiting(impatient, box.address)), "it is passed on")
    began = clock.epoch_s()
    for waited_s in (3, 6):  # long past the second after which a person would hear of it
        until(lambda s=waited_s: clock.epoch_s() >= began + s, "it is old enough")
        until(
            lambda: [one.mail.queue for one in _waiting(impatient, box.address)] == ["deferred"], "it waits"
        )
        (one,) = _waiting(impatient, box.address)
        queue.change(impatient.config, "retry", [one.mail.id])
    until(lambda: [one.mail.queue for one in _waiting(impatient, box.address)] == ["deferred"], "it waits")
    assert impatient.post.count(box) == 0
    actions.change_queued(actor=SYSTEM, verb="return", messages=[one.mail])
    run_pending("main")
    (told,) = _told(impatient, box)
    assert told.startswith("Votre message n’a pas été remis\n"), "of a failure they hear"


def test_mail_that_is_held_comes_back_to_its_sender_too(kept: Sending, beaune: Commune) -> None:
    box = kept.post.mailbox(beaune, beaune.agent, "retenu")
    with submitting(kept.post, box.address, secret_of(beaune)) as smtp:
        smtp.sendmail(box.address, [f"x@{SILENT}"], letter(box.address, f"x@{SILENT}", "revient"))
    until(lambda: bool(_waiting(kept, box.address)), "it waits")
    queue.change(kept.config, "hold", [_waiting(kept, box.address)[0].mail.id])
    until(lambda: _waiting(kept, box.address)[0].mail.queue == "hold", "it is held")
    actions.change_queued(actor=SYSTEM, verb="return", messages=[_waiting(kept, box.address)[0].mail])
    run_pending("main")
    kept.post.wait_count(box, 1)
    assert not _waiting(kept, box.address)


def test_all_that_a_held_account_has_waiting_is_held_whatever_detail_it_wrote(
    kept: Sending, beaune: Commune
) -> None:
    box = kept.post.mailbox(beaune, beaune.agent, "tenu")
    senders = [box.address, box.address.replace("@", "+promo@"), box.address.replace("tenu@", "Tenu+2@")]
    with submitting(kept.post, box.address, secret_of(beaune)) as smtp:
        for sender in senders:
            smtp.sendmail(sender, [f"x@{SILENT}"], letter(sender, f"x@{SILENT}", "attend"))
    until(lambda: sum(len(_waiting(kept, one)) for one in senders) == len(senders), "they wait")
    alarm = SendingAlarm.objects.create(
        mailbox_id=box.id, collectivite_id=beaune.id, person_id=beaune.agent.id, limit="day_messages", most=1
    )
    assert actions.contain(actor=SYSTEM, alarm=alarm)
    run_pending("main")
    assert {one.mail.queue for sender in senders for one in _waiting(kept, sender)} == {"hold"}


RECEIPT = (
    'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n'
    "From: <{own}>\r\nTo: <{to}>\r\nSubject: Lu\r\n\r\n"
    "--b\r\n\r\nLu.\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
    "Final-Recipient: rfc822;{own}\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n--b--\r\n"
)


def test_a_read_receipt_that_waits_has_its_account_though_it_has_no_sender(
    kept: Sending, beaune: Commune, console: Client
) -> None:
    box = kept.post.mailbox(beaune, beaune.agent, "accuse")
    receipt = RECEIPT.format(own=box.address, to=f"x@{SILENT}")
    submission.submit(kept.config, box.address, [f"x@{SILENT}"], receipt.encode())
    until(lambda: [one.mail.queue for one in _waiting(kept, "")] == ["deferred"], "it waits")
    (one,) = _waiting(kept, "")
    assert (one.mail.account, one.collectivite_id) == (box.address, beaune.id)
    page = console.get("/sortant/").content.decode()
    assert box.address in page and "le centre lui-même" not in page
    alarm = SendingAlarm.objects.create(
        mailbox_id=box.id, collectivite_id=beaune.id, person_id=beaune.agent.id, limit="day_messages", most=1
    )
    assert actions.contain(actor=SYSTEM, alarm=alarm)
    run_pending("main")
    (one,) = _waiting(kept, "")
    assert one.mail.queue == "hold", "as all of an account that is held"
    with pytest.raises(Conflict):
        actions.change_queued(actor=SYSTEM, verb="release", messages=[one.mail])
    queue.change(kept.config, "delete", [one.mail.id])


@pytest.fixture
def full(kept: Sending) -> Iterator[Sending]:
    """What comes in waits for its mailbox."""
    main = kept.config.state / "postfix" / "etc" / "main.cf"
    before = main.read_text()
    main.write_text(f"{before}\ndefer_transports = lmtp\n")
    _restart(kept)
    yield kept
    main.write_text(before)
    _restart(kept)


def test_a_notice_of_another_server_is_not_told_as_the_centre_s_own(
    full: Sending, beaune: Commune, console: Client
) -> None:
    box = full.post.mailbox(beaune, beaune.agent, "avis")
    assert full.post.send(lure(box.address, "1"), box.address, sender="")[0] == 250
    until(lambda: [one.mail.queue for one in _waiting(full, "")] == ["deferred"], "it waits")
    (one,) = _waiting(full, "")
    assert (one.mail.account, one.mail.passed_on) == ("", True)
    page = console.get("/sortant/").content.decode()
    assert "avis d’un serveur de courrier" in page and "le centre lui-même" not in page
    queue.change(full.config, "delete", [one.mail.id])


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"[]\n",
        b'{"verb": "delete"}\n',
        b'{"verb": "delete", "ids": ["ALL"]}\n',
        b'{"verb": "delete", "ids": ["-r ALL00"]}\n',
        b'{"verb": "delete", "ids": [7]}\n',
        b'{"verb": "requeue", "ids": ["4abcDEF123ghi"]}\n',
        json.dumps({"verb": "hold", "ids": ["4abcDEF123ghi"] * 501}).encode() + b"\n",
        b"x" * 70_000 + b"\n",
    ],
)
def test_request_that_is_malformed_changes_nothing(kept: Sending, request_: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(keeper.socket_path(kept.config)))
        try:
            connection.sendall(request_)
            answer = connection.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            return
    assert json.loads(answer)["ok"] is False


def test_another_user_of_the_machine_is_not_answered(kept: Sending) -> None:
    path = keeper.socket_path(kept.config)
    assert path.stat().st_mode & 0o7 == 0
    ask = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print('open')"
    asked = subprocess.run(
        [sys.executable, "-c", ask, str(path)],
        user="nobody",
        group="nogroup",
        capture_output=True,
        check=False,
    )
    assert asked.returncode != 0
    assert b"open" not in asked.stdout


def test_command_line_shows_what_waits(kept: Sending, beaune: Commune) -> None:
    box = kept.post.mailbox(beaune, beaune.agent, "ligne")
    with submitting(kept.post, box.address, secret_of(beaune)) as smtp:
        smtp.sendmail(box.address, [f"x@{SILENT}"], letter(box.address, f"x@{SILENT}", "attend"))
    until(lambda: bool(_waiting(kept, box.address)), "it waits")
    asked = subprocess.run(
        [sys.executable, "-m", "beffroi.cli", "mail", "queue", "--json", "--state", str(kept.config.state)],
        capture_output=True,
        check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "beffroi.settings.base"},
    )
    told = json.loads(asked.stdout)["messages"]
    assert [one["collectivite_id"] for one in told if one["sender"] == box.address] == [
        beaune.collectivite.id
    ]
