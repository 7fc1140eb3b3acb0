"""Pages of the Coffre that say what happened, in a real Chromium: held, handed over, sealed, ended.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from beffroi.core.identity.models import Membership
from beffroi.drive.store import findings, handed, handovers, seals, shares, tree
from beffroi.drive.store.findings import Result
from beffroi.drive.store.model import EMPTY, Act
from beffroi.drive.store.shares import Wish
from beffroi.lib import clock

from tests.browsing import desk
from tests.conftest import Commune
from tests.drive_pages import Drive, drive
from tests.drive_seal_rows import a_seal
from tests.fixtures_browser import browser, inspect, press
from tests.fixtures_portal import no_door

__all__ = ["browser", "desk", "drive", "no_door"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHA = "a" * 64


def test_a_held_file_offers_what_works(
    desk: Callable[[Membership], Any], drive: Drive, beaune: Commune
) -> None:
    content = replace(EMPTY, sha256=SHA)
    node = drive.database.write(lambda w: tree.put(w, drive.act, drive.own.id, "facture.exe", content))[0]
    drive.database.write(lambda w: findings.keep(w, [Result(SHA, "m", {"malware": ["Wolf"]}, True)], now_s=5))
    page = desk(beaune.agent_membership)
    page.goto(f"/coffre/{node.id}/")
    buttons = page.locator("section[aria-labelledby=h-facts] .btn").all_inner_texts()
    assert buttons == ["Déplacer", "Supprimer", "Partager"]
    inspect(page, "dit-retenu")
    page.goto(f"/coffre/{node.id}/liens/")
    assert page.locator("button:has-text('Créer le lien')").count() == 0
    inspect(page, "dit-retenu-liens")


def test_a_drive_that_is_away_is_said_in_words_and_the_page_stays(
    desk: Callable[[Membership], Any], drive: Drive, beaune: Commune
) -> None:
    """No process of the drive stands behind this page: pictures do not come, nor is a star taken."""
    picture = replace(EMPTY, size_bytes=9, sha256=SHA)
    node = drive.database.write(lambda w: tree.put(w, drive.act, drive.own.id, "plan.png", picture))[0]
    page = desk(beaune.agent_membership)
    page.goto(f"/coffre/{node.id}/")
    page.locator("text=L’aperçu ne peut pas être fait pour le moment").wait_for()
    assert page.locator("img.view").count() == 0
    inspect(page, "dit-apercu-absent")
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.accept()))
    fails: list[Callable[[Any], None]] = [
        lambda route: route.fulfill(status=503),
        lambda route: route.abort(),
    ]
    for fail in fails:
        page.route("**/coffre/favoris/", fail)
        page.click("button.star")
        page.wait_for_selector("button.star:not([aria-busy])")
        page.unroute("**/coffre/favoris/")
    assert len(said) == 2 and all("réessayez dans une minute" in one for one in said)
    page.click("button.star")
    page.wait_for_selector("button.star[aria-pressed=true]")
    assert page.url.endswith(f"/coffre/{node.id}/")


def test_who_changed_it_is_said_without_names_that_are_nobody_s_here(
    desk: Callable[[Membership], Any], drive: Drive, beaune: Commune, nuits: Commune
) -> None:
    left, referent = Drive(beaune.colleague_membership), Act(beaune.referent.id, "", clock.epoch_s())
    left.file("budget.ods")
    with drive.database.reading() as reading:
        there = handed.left(reading, beaune.colleague.id)
    made = drive.database.write(
        lambda w: handovers.begin(
            w, referent, there, person_id=beaune.colleague.id, heir=beaune.agent.id, label="Fichiers de Luc"
        )
    )
    drive.database.write(lambda w: handovers.step(w, referent, made.id))
    act = Act(nuits.agent.id, "", clock.epoch_s())
    drive.database.write(lambda w: tree.put(w, act, made.folder, "plan partagé.odt", EMPTY))
    page = desk(beaune.agent_membership)
    page.goto(f"/coffre/{made.folder}/")
    assert page.locator(".files .by").all_inner_texts() == [
        "une remise après un départ",
        nuits.collectivite.name,
    ]
    inspect(page, "dit-liste")
    page.click(".files >> text=budget.ods")
    page.wait_for_selector("dd:has-text('par une remise après un départ')")
    assert "remise" not in page.inner_text("header"), "who is signed in is somebody else"
    inspect(page, "dit-remis")


def test_the_sealed_ones_of_several_are_named(
    desk: Callable[[Membership], Any], drive: Drive, beaune: Commune
) -> None:
    names = ("Factures 2022", "Factures 2023", "Factures 2024", "Factures 2025", "Marchés")
    folders = [drive.folder(name, drive.common) for name in names]
    for seal in map(a_seal, folders[:4]):
        drive.database.write(lambda w, it=seal: seals.begin(w, it))
    page = desk(beaune.agent_membership)
    page.goto("/coffre/commune/")
    page.click("[data-all]")
    press(page, "Supprimer")
    page.wait_for_selector(".say:has-text('« Factures 2024 » et 1 autre')")
    inspect(page, "dit-scelle")
    assert drive.names(drive.common) == sorted(names)


def test_links_that_ended_say_how(desk: Callable[[Membership], Any], drive: Drive, beaune: Commune) -> None:
    now_s = clock.epoch_s()
    for name, expires_s, ended_s in (
        ("ouvert.pdf", now_s + 86400, 0),
        (
            "un nom de fichier vraiment très long pour voir s’il tient dans la page.odt",
            now_s + 86400,
            now_s - 60,
        ),
        ("terme.pdf", now_s - 3 * 86400, 0),
    ):
        node, wish = drive.file(name), Wish("link", expires_s=now_s + 86400)
        share = drive.database.write(lambda w, it=node, as_=wish: shares.make(w, drive.act, it.id, as_))[0]
        drive.database.write(
            lambda w, to=(expires_s, ended_s, share.id): w.run(
                "UPDATE share SET expires_s = ?, ended_s = ? WHERE id = ?", to
            )
        )
    page = desk(beaune.agent_membership)
    page.goto("/coffre/liens/")
    ended = page.locator("section[aria-labelledby=h-ended]")
    assert ended.locator("li").count() == 2 and ended.locator("button, .btn").count() == 0
    inspect(page, "dit-liens")
    ended.get_by_role("link", name="terme.pdf").press("Enter")
    page.wait_for_selector("h1:has-text('terme.pdf')")
