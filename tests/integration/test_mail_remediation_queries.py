"""A withdrawal and its end ask the database as often for many copies as for a few, and lose no folder."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.mail import remediation
from beffroi.mail.doveadm import Command, Rows
from beffroi.mail.models import Mailbox, MailDelivery, MailObservation, RemediationItem
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import Commune
from tests.integration.test_mail_holding import decide

pytestmark = pytest.mark.usefixtures("database")
QUARANTINE = "aside"
FOLDERS = ("INBOX", "Marchés", "INBOX\nCopies")


class Boxes:
    """Stands for Dovecot: in which folders each mailbox has its one mail."""

    lying: dict[str, list[str]]

    def __init__(self, _config: object) -> None:
        self.quarantine = QUARANTINE

    def run(self, commands: Sequence[Command]) -> list[Rows | None]:
        return [self._do(*one) for one in commands]

    def run_groups(self, groups: Sequence[Sequence[Command]]) -> list[list[Rows | None]]:
        return [self.run(group) for group in groups]

    def _do(self, name: str, arguments: dict[str, object]) -> Rows:
        user, query = str(arguments["user"]), arguments.get("query")
        if name == "mailboxCreate":
            return []
        assert isinstance(query, list)
        there, wanted = self.lying[user], query[1]
        if name == "move":
            self.lying[user] = list(
                dict.fromkeys(str(arguments["destinationMailbox"]) if one == wanted else one for one in there)
            )
            return []
        seen = [one for one in there if one == wanted or (wanted == "*" and one != QUARANTINE)]
        return [{"mailbox": one, "uid": "1", "flags": r"\Seen"} for one in seen]


def delivered(commune: Commune, count: int) -> str:
    """One mail to so many mailboxes; the link in it."""
    message, link = new_id("msg"), f"https://185.203.116.9/{new_id('x')}"
    MailObservation.objects.create(message_id=message, kind="url", value=link, role="link")
    for number in range(count):
        address = f"b{number}-{message[-6:]}@{commune.domain}"
        box = Mailbox.objects.create(address=address, collectivite_id=commune.id, crypt_key="-")
        Boxes.lying[address] = FOLDERS[number % len(FOLDERS)].split("\n")
        MailDelivery.objects.create(
            message_id=message,
            mailbox_id=box.id,
            collectivite_id=commune.id,
            folder="INBOX",
            delivered_at=clock.now(),
        )
    return link


def test_many_copies_cost_no_more_queries_than_a_few(
    monkeypatch: pytest.MonkeyPatch, beaune: Commune
) -> None:
    monkeypatch.setattr(remediation, "Doveadm", Boxes)
    asked: list[tuple[int, int]] = []
    for count in (6, 60):
        Boxes.lying = {}
        decision = decide("url", delivered(beaune, count))
        with CaptureQueriesContext(connection) as withdrawing:
            job = remediation.withdraw(decision.id)
        assert job is not None and job.moved == count
        assert set(map(tuple, Boxes.lying.values())) == {(QUARANTINE,)}
        items = RemediationItem.objects.filter(job=job)
        assert set(items.values_list("folder", "flags", "state")) == {(f, r"\Seen", "moved") for f in FOLDERS}
        decision.__class__.objects.filter(pk=decision.pk).update(state="ended")
        with CaptureQueriesContext(connection) as restoring:
            back = remediation.restore(decision.id)
        assert back is not None and back.moved == count
        assert sorted(one for (one,) in Boxes.lying.values()) == sorted(
            FOLDERS[n % len(FOLDERS)].split("\n")[0] for n in range(count)
        )
        asked.append((len(withdrawing), len(restoring)))
    assert asked[0] == asked[1]
