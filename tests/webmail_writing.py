"""A person at the page of writing, before the real engines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.mail import outgoing
from beffroi.mail.models import Mailbox, Sending
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import portal_client
from tests.mail_post import Post


class Writer:
    """A person at the page of writing, as its script posts the form."""

    def __init__(self, client: Client, box: Mailbox, tab: str = "tab-of-a-test") -> None:
        self.client, self.box = client, box
        self.form: dict[str, Any] = {"tab": tab, "to": "", "subject": "", "text": ""}

    def post(self, what: str = "save", **changes: Any) -> tuple[int, dict[str, Any]]:
        self.form |= changes
        answer = self.client.post(
            f"/courrier/{self.box.id}/brouillon/",
            {**self.form, "what": what},
            headers={"Accept": "application/json"},
        )
        self.form.pop("files", None)
        found = json.loads(answer.content)
        if "uid" in found:
            self.form |= {name: found[name] for name in ("uid", "uid_validity", "message_id")}
            self.form["keep"] = [one["part"] for one in found["files"]]
        return answer.status_code, found


@pytest.fixture
def written(post: Post, beaune: Commune, nuits: Commune) -> tuple[Writer, Mailbox, Mailbox]:
    box = post.mailbox(beaune, beaune.agent, "ecrit")
    other = post.mailbox(nuits, nuits.agent, "lit")
    return Writer(portal_client(beaune.agent_membership), box), box, other


def after_undo() -> None:
    """The clock stays as it is: the token of a time to come is refused by Dovecot."""
    Sending.objects.filter(state="waiting").update(due_at=clock.now())
    outgoing.send_due()
