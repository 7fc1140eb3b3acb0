"""What a person's export holds of restores of mail: those that they asked for, and those of their own mailbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.mail.backup.models import Restore
from beffroi.mail.models import Mailbox
from beffroi.portal import person_file

from tests.conftest import Commune
from tests.fixtures_portal import own_mailbox, shared_box

pytestmark = pytest.mark.django_db


def restored(mailbox: Mailbox, asked_by: str, **more: Any) -> None:
    Restore.objects.create(
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        asked_by=asked_by,
        at=clock.now() - timedelta(days=2),
        **more,
    )


def test_an_export_holds_the_persons_restores_and_nobody_elses(beaune: Commune, nuits: Commune) -> None:
    own, shared, other = own_mailbox(beaune), shared_box(beaune), own_mailbox(nuits)
    restored(own, beaune.agent.id, by_owner=True, search="facture")
    restored(own, beaune.referent.id)
    restored(shared, beaune.agent.id)
    restored(shared, beaune.colleague.id)
    restored(other, nuits.agent.id, search="secret")
    content = person_file.compose(beaune.agent_membership.person.email, account="test")
    assert content is not None
    found = [(one["mailbox_id"], one["asked_by"], one["search"]) for one in content["mail_restores"]]
    assert sorted(found) == sorted(
        [
            (own.id, beaune.agent.id, "facture"),
            (own.id, beaune.referent.id, ""),
            (shared.id, beaune.agent.id, ""),
        ]
    )
    assert "secret" not in str(content)
