"""The first page of the console: one sentence, and a line for each thing that waits."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from beffroi.boxes.models import Box, BoxAck
from beffroi.core.decisions.models import FeedBatch
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.certificates import own
from beffroi.portal.console import overview
from django.test import Client

from tests.conftest import Commune
from tests.integration.test_portal_console import box, listener

__all__ = ["listener"]
pytestmark = pytest.mark.django_db


def test_the_first_sentence_of_the_overview_names_three_and_counts_the_rest() -> None:
    said = [f"chose {number}" for number in range(5)]
    assert overview.first_sentence(said[:3]) == "chose 0\u00a0; chose 1\u00a0; chose 2."
    assert overview.first_sentence(said[:4]).endswith("chose 2\u00a0; et 1 autre, ci-dessous.")
    assert overview.first_sentence(said).endswith("chose 2\u00a0; et 2 autres, ci-dessous.")
    assert overview.first_sentence([]) == "Rien n’attend votre avis."


def test_a_silent_box_is_a_line_of_the_overview_that_leads_there(console: Client, beaune: Commune) -> None:
    assert "etat=silent" not in console.get("/").content.decode()
    box(beaune, "BF-1")
    Box.objects.update(last_seen_at=clock.now() - timedelta(hours=2))
    assert "/boitiers/?etat=silent" in console.get("/").content.decode()


def test_what_waits_is_one_list_with_a_title_and_an_entry_each(console: Client, beaune: Commune) -> None:
    silent, waiting = box(beaune, "BF-1"), box(beaune, "BF-2")
    Box.objects.filter(pk=silent.pk).update(last_seen_at=clock.now() - timedelta(hours=2))
    Box.objects.filter(pk=waiting.pk).update(state="pending")
    page = console.get("/").content.decode()
    _before, found, rest = page.partition('id="h-todo"')
    entries = re.findall(r'<li class="row">(.*?)</li>', rest.partition("</section>")[0], re.DOTALL)
    assert found and len(entries) == 2
    assert all(one.count('class="grow"') == 1 and "href=" in one for one in entries)
    assert "say warn" not in page


def test_a_box_that_answers_and_enforces_nothing_is_a_line_of_the_overview(
    console: Client, beaune: Commune
) -> None:
    """It holds its connection, which counts as heard of."""
    stuck, sound = box(beaune, "BF-1"), box(beaune, "BF-2")
    sent_at = clock.now() - timedelta(minutes=5)
    FeedBatch.objects.create(channel="box", epoch=1, to_version=4, line=b"", created_at=sent_at)
    for one, version in ((stuck, 3), (sound, 4)):
        BoxAck.objects.create(
            box_id=one.id, channel="box", epoch=1, version=version, enforced_at_ms=0, received_at=sent_at
        )
    shown = console.get("/").content.decode()
    assert "1 boîtier n’applique pas les dernières décisions" in shown
    assert "/boitiers/?etat=behind" in shown
    BoxAck.objects.update(version=4)
    assert "etat=behind" not in console.get("/").content.decode()


def test_the_overview_says_which_certificate_of_the_centre_ends_and_what_to_do(
    console: Client, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "certificat du centre" not in console.get("/").content.decode()
    now, day_s = clock.epoch_s(), 86400
    ends = [own.End("portal.pem", now + 12 * day_s), own.End("mail.pem", now - day_s, ours=True)]
    monkeypatch.setattr(own, "soon", lambda _config, *, now: ends)
    shown = console.get("/").content.decode()
    assert "2 certificats du centre sont à remplacer" in shown
    assert "Le certificat du portail et de la console prend fin le" in shown
    assert f"{config.state}/tls/portal.pem" in shown and "./beffroi up" in shown
    mail, pages = shown.index("serveur de courrier a pris fin le"), shown.index("de la console prend fin le")
    assert mail < pages, "most urgent first"
    assert "Le centre le renouvelle à son démarrage" in shown[mail:pages]
    monkeypatch.setattr(own, "soon", lambda _config, *, now: [own.End("mail.pem", 0)])
    assert "aucun certificat lisible" in console.get("/").content.decode()
