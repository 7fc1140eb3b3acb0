"""The journal of a commune in a real Chromium: accessible, by the keyboard, and taken as a file.

BEFFROI_SHOTS=DIRECTORY keeps pictures. No engine runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit import actions as audit
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.core.retention.models import RetentionCount, RetentionRun
from beffroi.lib import clock
from django.db import transaction

from tests.browsing import desks
from tests.conftest import Commune, make_member
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door

__all__ = ["browser", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.usefixtures("committed")
def test_a_dpo_reads_chooses_and_takes_the_journal(
    beaune: Commune, administrator: Actor, system: Actor, browser: Any, live_server: Any
) -> None:
    for actor, name in ((beaune.agent, "Claire Vernet"), (beaune.referent, "Jean-Luc Mathey")):
        Person.objects.filter(pk=actor.id).update(name=name)
    dpo = make_member(system, beaune.collectivite, "dpo@mutualise.test", "dpo")
    identity.change_role(actor=beaune.referent, membership=beaune.agent_membership, role="elu")
    with transaction.atomic():
        for _ in range(60):
            audit.record(
                administrator, "identity:administrator:signed_in", administrator.id, collectivite_id=None
            )
        for verb in ("mail:export:asked", "mail:export:downloaded", "drive:link:made", "mail:erasure:asked"):
            audit.record(
                beaune.referent, verb, "x", collectivite_id=beaune.id, details={"person_id": beaune.agent.id}
            )
    run = RetentionRun.objects.create(state="done", finished_at=clock.now())
    RetentionCount.objects.create(run=run, category="sign_ins", cutoff=clock.now(), deleted=3)
    with desks(browser, live_server) as sit:
        page = sit(dpo)
        page.goto("/")
        press(page, "Journal")
        inspect(page, "journal")
        press(page, "Lignes plus anciennes")
        press(page, "Lignes les plus récentes")
        page.focus("#id_genre")
        page.keyboard.type("Exports")
        for _ in range(7):  # each date is three fields for the keyboard
            page.keyboard.press("Tab")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.locator("tbody tr").count() == 2
        inspect(page, "journal-exports")
        with page.expect_download() as told:
            page.click("#do-take")
        lines = Path(told.value.path()).read_text("utf-8-sig").splitlines()
        assert len(lines) == 3
        page.fill("#id_au", "2020-01-01")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        inspect(page, "journal-vide")
        press(page, "Conservation des données et dernière purge")
        inspect(page, "journal-conservation")
        page.focus("#id_narrow")
        page.keyboard.type("connexions reussies")
        page.wait_for_selector("[role=status]:has-text('1 sur ')")
        assert page.locator("#kept tr:visible th").all_inner_texts() == ["Connexions réussies"]
