"""Closed mailboxes in a real Chromium: the pages fit, are accessible, and an erasure is granted by keyboard.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from beffroi.core.identity import totp

from tests.fixtures_browser import Centre, administrator, browser, centre, inspect, referent, visitor
from tests.portal_server import PASSWORD

__all__ = ["administrator", "browser", "centre", "referent", "visitor"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_referent_sees_exports_and_asks_for_one(centre: Centre, referent: Any) -> None:
    home = f"{centre.portal}/boites-fermees/"
    referent.goto(home)
    inspect(referent, "f-liste")
    for name in ("closed_asked", "closed_gone", "closed_new"):
        referent.goto(f"{home}{centre.seeded[name]}/")
        inspect(referent, f"f-{name}")
    referent.get_by_role("button", name="Préparer un nouvel export").press("Enter")
    referent.wait_for_selector("#id_password")  # the step-up, and then the request goes on
    referent.fill("#id_password", PASSWORD)
    referent.keyboard.press("Enter")
    referent.wait_for_selector("text=L’export se prépare")
    referent.wait_for_selector("text=Commence dans un instant")
    referent.goto(f"{home}{centre.seeded['closed_gone']}/attestation/")
    inspect(referent, "f-attestation")
    with referent.expect_download() as got:
        referent.get_by_role("button", name="Télécharger l’attestation signée").press("Enter")
    assert got.value.suggested_filename.startswith("attestation-")


def test_the_departement_grants_with_a_visa(centre: Centre, administrator: Any) -> None:
    home = f"{centre.console}/boites-a-effacer/"
    administrator.goto(home)
    inspect(administrator, "f-console-liste")
    administrator.goto(f"{home}{centre.seeded['erasure_done']}/")
    inspect(administrator, "f-console-faite")
    administrator.goto(f"{home}{centre.seeded['erasure_asked']}/")
    inspect(administrator, "f-console-demande")
    administrator.fill("#id_visa", "AD21 2026-118")
    # The code of the sign-in has served: the next one.
    administrator.fill("#id_code", totp.code_at(centre.seeded["totp_secret"], time.time() + 30))
    administrator.keyboard.press("Enter")
    administrator.wait_for_selector("text=Effacement accordé")
    inspect(administrator, "f-console-accordee")
    administrator.get_by_role("button", name="Renoncer à l’effacement").press("Enter")
    administrator.wait_for_selector("text=Effacement abandonné")
