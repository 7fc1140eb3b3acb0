"""One mail to two communes, through the real engines: each has its own copy, and sees nothing of the other's."""

from __future__ import annotations

import json

import imapclient
import pytest
from beffroi.core.events.running import run_pending
from beffroi.lib import clock
from beffroi.mail import outgoing, tokens
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import MailMessage, Sending
from django.test import Client
from imapclient.exceptions import LoginError

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import Post, lure, needs_engines, until
from tests.waiting import PATIENCE_S

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
FORM = {"tab": "tab-of-a-test", "what": "send", "subject": "Compte rendu", "text": "Voici."}


def people(client: Client, mailbox_id: str) -> list[str]:
    return [one[1] for one in json.loads(client.get(f"/courrier/{mailbox_id}/personnes/").content)["people"]]


def test_mail_contacts_reports_and_quarantine_stay_in_their_commune(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    ours, theirs = (post.mailbox(c, c.agent, "accueil") for c in (beaune, nuits))
    here, there = (portal_client(c.agent_membership) for c in (beaune, nuits))
    assert post.send(lure(ours.address, "deux"), ours.address, theirs.address)[0] == 250
    post.settle(2)
    (message,) = MailMessage.objects.values_list("id", flat=True)

    # Mail: neither by page nor by IMAP.
    assert there.get(f"/courrier/{theirs.id}/1/").status_code == 200
    for path in ("", "1/", "1/contenu/", "1/piece/2/", "personnes/"):
        assert there.get(f"/courrier/{ours.id}/{path}").status_code == 404
    client = imapclient.IMAPClient("127.0.0.1", post.config.imap_local_port, ssl=False, timeout=PATIENCE_S)
    with pytest.raises(LoginError):
        client.oauthbearer_login(ours.address, tokens.mailbox_token(post.config, theirs.address))

    # Contacts: who wrote to whom, and who works there.
    post.mailbox(beaune, beaune.referent, "secret")
    here.post(
        f"/courrier/{ours.id}/brouillon/",
        {**FORM, "to": theirs.address},
        headers={"Accept": "application/json"},
    )
    Sending.objects.filter(state="waiting").update(due_at=clock.now())
    outgoing.send_due()
    assert theirs.address in people(here, ours.id) and f"secret@{beaune.domain}" in people(here, ours.id)
    assert people(there, theirs.id) == []

    # Reports: the message is the same for both, the report is its author's.
    here.post(f"/courrier/{ours.id}/1/signaler/", {"beffroi_id": message})
    run_pending("main")
    assert here.get(f"/courrier/signale/{message}/").status_code == 200
    assert there.get(f"/courrier/signale/{message}/").status_code == 404
    assert "Vous avez signalé" not in there.get(f"/courrier/{theirs.id}/1/").content.decode()

    # Quarantine: withdrawn from both, each sees its own copy and no other.
    post.block("domain", "evil.example.com")
    run_pending("remediation")
    until(lambda: HeldMail.objects.count() == 2, "two held copies")
    own = HeldMail.objects.get(mailbox_id=ours.id)
    pages = [client.get("/retenus/").content.decode() for client in (here, there)]
    assert own.id in pages[0] and own.id not in pages[1]
    assert all(page.count("Facture deux") >= 1 for page in pages)
    for verb in ("liberer", "bloquer", "annuler", "verifier"):
        assert there.post(f"/retenus/{own.id}/{verb}/").status_code == 404
