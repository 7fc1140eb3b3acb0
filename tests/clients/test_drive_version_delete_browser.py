"""An earlier version is deleted for good in a real Chromium, by the keyboard alone.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.identity.models import Membership

from tests.browsing import desk
from tests.conftest import Commune
from tests.drive_pages import Drive, drive
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door
from tests.integration.test_drive_past_pages import Aged, aged
from tests.integration.test_drive_version_delete_pages import history, written

__all__ = ["aged", "browser", "desk", "drive", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_version_is_deleted_after_a_page_that_says_what_it_means(
    desk: Callable[[Membership], Any], drive: Drive, aged: Aged, beaune: Commune
) -> None:
    node = written(drive, drive.own, "a", "b", "a", "c", name="Salaires du personnel.ods")
    newest = history(drive, node)[0]
    page = desk(beaune.agent_membership)
    page.goto(f"/coffre/{node.id}/")
    inspect(page, "version-supprimer-fichier")
    page.get_by_role("link", name="Supprimer").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Supprimer cette version')")
    inspect(page, "version-supprimer")
    press(page, "Supprimer pour de bon")
    page.wait_for_selector("text=supprimée pour de bon")
    inspect(page, "version-supprimee")
    assert newest.etag not in [one.etag for one in history(drive, node)]

    aged.spoil()
    (old,) = history(drive, aged.changed)
    page.goto(f"/coffre/{aged.changed.id}/versions/{old.etag}/supprimer/")
    inspect(page, "version-supprimer-commune")
    referent = desk(beaune.referent_membership)
    referent.goto(f"/coffre/{aged.changed.id}/versions/{old.etag}/")
    press(referent, "Supprimer cette version")
    referent.wait_for_selector("h1:has-text('Supprimer cette version')")
    press(referent, "Supprimer pour de bon")
    referent.wait_for_selector("text=supprimée pour de bon")
    page.goto(aged.then)
    page.wait_for_selector("text=cette version a été supprimée")
    inspect(page, "version-supprimee-avant")
