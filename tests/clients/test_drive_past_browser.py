"""Coffre, a folder as it was, in a real Chromium: by the keyboard alone chosen, gone into, put back and put back again;
a long way is seen going on.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.drive import past_actions
from beffroi.portal import drive_access
from django.utils import timezone

from tests.browsing import desk
from tests.conftest import Commune
from tests.drive_pages import Drive, drive
from tests.drive_ways import ways_back
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door
from tests.integration.test_drive_past_pages import AGO_S, Aged, aged

__all__ = ["aged", "browser", "desk", "drive", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_folder_is_put_back_and_back_again(
    desk: Callable[[Membership], Any], drive: Drive, aged: Aged, beaune: Commune
) -> None:
    aged.spoil()
    page = desk(beaune.agent_membership)
    page.goto(f"/coffre/{aged.folder.id}/")
    inspect(page, "avant-dossier")
    press(page, "Ce dossier comme il était")
    page.wait_for_url(f"**{aged.page}")
    inspect(page, "avant-choix")
    local = timezone.localtime(datetime.fromtimestamp(aged.now_s - AGO_S + 120, UTC))
    page.fill("#id_jour", local.strftime("%Y-%m-%d"))
    page.fill("#id_heure", local.strftime("%H:%M"))
    press(page, "Voir")
    page.wait_for_selector("text=gone.ods")
    inspect(page, "avant-liste")
    page.get_by_role("link", name="Annexes").press("Enter")
    page.wait_for_selector("text=deep.ods")
    inspect(page, "avant-dedans")
    page.go_back()
    assert "gone.ods" not in drive.names(aged.folder)
    press(page, "Remettre ce dossier comme il était")
    page.wait_for_selector("[role=status]:has-text('Dossier remis comme il était')")
    inspect(page, "avant-remis")
    assert drive.names(aged.folder) == ["Annexes", "changed.ods", "gone.ods", "kept.ods"]
    press(page, "Voir ce dossier juste avant cette remise")
    page.wait_for_selector("text=new.ods")
    press(page, "Remettre ce dossier comme il était")
    page.wait_for_selector("[role=status]:has-text('Dossier remis comme il était')")
    page.goto(f"/coffre/{aged.folder.id}/")
    names = page.locator(".files .name").all_inner_texts()
    assert "new.ods" in names and "gone.ods" not in names


def test_a_long_way_is_seen_going_on_without_a_reload(
    committed: str,
    desk: Callable[[Membership], Any],
    aged: Aged,
    beaune: Commune,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aged.spoil_much()
    monkeypatch.setattr(past_actions, "PATIENCE_S", 0.0)
    page = desk(beaune.agent_membership)
    page.goto(aged.then)
    inspect(page, "avant-long")
    press(page, "Remettre ce dossier comme il était")
    page.wait_for_selector("progress[value='40']")
    inspect(page, "avant-en-cours")
    worker = ways_back(drive_access._communes(), committed)
    while worker.step(aged.drive.collectivite_id):
        pass
    page.wait_for_selector("[role=status]:has-text('Dossier remis comme il était')")


def test_a_way_that_stopped_with_the_right_to_write_says_so_to_colleagues(
    committed: str,
    desk: Callable[[Membership], Any],
    aged: Aged,
    beaune: Commune,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aged.spoil_much()
    monkeypatch.setattr(past_actions, "PATIENCE_S", 0.0)
    page = desk(beaune.agent_membership)
    page.goto(aged.then)
    press(page, "Remettre ce dossier comme il était")
    page.wait_for_selector("progress[value='40']")
    by = Actor("person", beaune.referent.id, beaune.id, "referent")
    actions.change_role(actor=by, membership=beaune.agent_membership, role="elu")
    assert not ways_back(drive_access._communes(), committed).step(aged.drive.collectivite_id)
    page = desk(beaune.referent_membership)
    page.goto(aged.page)
    page.wait_for_selector("[role=status]:has-text('n’a plus le droit d’écrire dans ce dossier')")
    inspect(page, "avant-arretee")


def test_what_cannot_be_shown_says_why(
    desk: Callable[[Membership], Any], drive: Drive, aged: Aged, beaune: Commune
) -> None:
    page = desk(beaune.agent_membership)
    page.goto(f"{aged.page}?a={aged.now_s - 2 * AGO_S}")
    page.wait_for_selector("[role=alert]")
    inspect(page, "avant-refus", status=404)
