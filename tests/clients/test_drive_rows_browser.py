"""Rows of the Coffre's lists in a real Chromium: how they stand at every width, and what hands do with them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from beffroi.drive.store import tree
from beffroi.drive.store.model import EMPTY
from beffroi.lib import clock
from beffroi.portal import words

from tests.drive_pages import Drive
from tests.fixtures_browser import FOCUSED, begins, browser, inspect, press
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]
DAY_S = 86400
OVERLAPS = """() => [...document.querySelectorAll(".files li")].filter((row) => {
    const text = (part) => {
        const range = document.createRange();
        range.selectNodeContents(row.querySelector(part));
        return range.getBoundingClientRect();
    };
    const over = (a, b) => a.right > b.left && b.right > a.left && a.bottom > b.top && b.bottom > a.top;
    const size = text(".num"), time = text("time"), name = text(".name");
    return over(size, time) || over(size, name) || over(time, name);
}).length"""


@pytest.mark.parametrize("days, year_is_told", [(1, False), (800, True)])
def test_a_list_says_the_day_alone_of_another_year(days: int, year_is_told: bool) -> None:
    at = clock.now() - timedelta(days=days)
    assert words.listed(at) == (words.when(at).partition(",")[0] if year_is_told else words.when(at))
    assert (str(at.year) in words.listed(at)) == year_is_told


def test_no_word_of_a_row_covers_another(drive: Drive, page: Any) -> None:
    long = replace(EMPTY, size_bytes=888_800_000)

    def fill(writing: Any) -> None:
        for number, days in enumerate((0, 1, 40, 800)):
            mtime_s = drive.act.now_s - days * DAY_S
            tree.put(writing, drive.act, drive.own.id, f"Pièce {number}.pdf", long, mtime_s=mtime_s)

    drive.database.write(fill)
    for address in ("/coffre/", "/coffre/recents/", "/coffre/recherche/?q=pièce"):
        page.goto(address)
        assert page.locator(".files li").count() == 4
        for width in (1280, 760, 360, 320):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(OVERLAPS) == 0, f"{address} at {width} px"
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/coffre/")
    heights = page.evaluate("[...document.querySelectorAll('.files time')].map((one) => one.offsetHeight)")
    assert len(set(heights)) == 1, "every date stands in one line where there is room"
    inspect(page, "d-rangees")


def ticked(page: Any) -> list[str]:
    boxes = page.locator(".files input:checked").all()
    return [str(one.get_attribute("aria-label")).removeprefix("Cocher ") for one in boxes]


def test_shift_ticks_all_between_two_and_keys_go_through_the_list(drive: Drive, page: Any) -> None:
    for number in range(1, 6):
        drive.file(f"{number}.pdf")
    page.goto("/coffre/")
    boxes = page.locator(".files input")
    boxes.nth(3).click()
    boxes.nth(1).click(modifiers=["Shift"])
    assert ticked(page) == ["2.pdf", "3.pdf", "4.pdf"]
    assert page.inner_text("[data-ticked]") == "3 éléments cochés."
    boxes.nth(2).click(modifiers=["Shift"])
    assert ticked(page) == ["4.pdf"], "what is pressed says how the others become"
    boxes.nth(0).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert ticked(page) == ["2.pdf", "4.pdf"]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # there is none above
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Cocher 1.pdf"
    with page.expect_navigation():
        page.keyboard.press("Delete")
    assert page.inner_text(".say").startswith("2 éléments mis à la corbeille.")
    assert drive.names() == ["1.pdf", "3.pdf", "5.pdf"]
    page.locator(".files a").first.focus()
    page.keyboard.press("Delete")  # nothing is ticked
    page.keyboard.press("ArrowDown")
    before = page.evaluate("scrollY")
    page.keyboard.press("Space")
    assert ticked(page) == ["3.pdf"] and page.inner_text("[data-ticked]") == "1 élément coché."
    page.keyboard.press("Space")
    assert ticked(page) == [] and page.evaluate("scrollY") == before
    page.keyboard.press("Control+a")
    assert ticked(page) == ["1.pdf", "3.pdf", "5.pdf"] and drive.names() == ticked(page)
    page.fill("#id_q", "pdf")
    page.keyboard.press("Delete")
    assert drive.names() == ["1.pdf", "3.pdf", "5.pdf"], "keys of a field are the field's"


def test_a_file_is_moved_deleted_and_given_back_by_the_keyboard_alone(drive: Drive, page: Any) -> None:
    drive.folder("Archives", drive.own)
    for name in ("autre.ods", "budget.ods"):
        drive.file(name)
    page.goto("/coffre/")
    said = page.locator("[data-ticked]")
    assert said.get_attribute("hidden") is None, "of what is hidden until it speaks, readers hear nothing"
    page.locator(".files a", has_text="budget.ods").focus()
    page.keyboard.press("Space")
    assert said.inner_text() == "1 élément coché."
    page.keyboard.press("a")
    assert page.evaluate(FOCUSED) == "Déplacer"
    with page.expect_navigation():
        page.keyboard.press("Enter")
    begins(page, "1 élément à déplacer.", then="Déplacer ici")
    page.locator(".files a", has_text="Archives").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    press(page, "Déplacer ici")
    begins(page, "1 élément déplacé", then="Annuler")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert drive.names() == ["Archives", "autre.ods", "budget.ods"]
    page.goto("/coffre/")
    page.locator(".files a", has_text="autre.ods").focus()
    page.keyboard.press("Space")
    with page.expect_navigation():
        page.keyboard.press("Delete")
    page.goto("/coffre/corbeille/")
    page.locator(".files input").focus()
    page.keyboard.press("Space")
    assert said.inner_text() == "1 élément coché."
    page.keyboard.press("a")
    assert page.evaluate(FOCUSED) == "Rendre"
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_selector("[role=status]:focus:has-text('1 élément')")
    assert drive.names() == ["Archives", "autre.ods", "budget.ods"]


def test_arrows_go_through_the_album_as_it_lies(drive: Drive, page: Any) -> None:
    for number in range(12):
        drive.file(f"{number:02}.jpg")
    page.goto("/coffre/?vue=vignettes")
    tiles = page.locator("ul.album > li")
    left = tiles.evaluate_all("all => all.map((one) => one.offsetLeft)")
    across = left.index(left[0], 1)
    assert 1 < across < 6, "several stand beside one another, in several lines"
    tiles.first.locator("a").focus()
    for key, number in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + across),
        ("ArrowLeft", across),
        ("ArrowLeft", across - 1),
        ("ArrowUp", across - 1),  # there is none above
    ):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.innerText").startswith(f"{number:02}.jpg"), key


def test_a_finger_finds_the_box_of_a_row(drive: Drive, page: Any) -> None:
    drive.file("a.pdf")
    page.goto("/coffre/")
    page.set_viewport_size({"width": 360, "height": 740})
    size = page.locator(".files .pick").bounding_box()
    assert size["width"] >= 44 and size["height"] >= 44
    assert page.evaluate("getComputedStyle(document.querySelector('.files .pick')).borderStyle") == "none"
    page.locator(".files .pick").click(position={"x": 4, "y": 4})
    assert ticked(page) == ["a.pdf"]


PASTE = """(name) => {
    const data = new DataTransfer();
    data.items.add(new File(["x"], name, { type: "image/png" }));
    const at = document.querySelector(name === "champ.png" ? "#id_q" : "h1");
    at.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""


def test_a_picture_is_pasted_under_a_name_of_its_own(drive: Drive, page: Any) -> None:
    page.goto("/coffre/")
    page.evaluate(PASTE, "champ.png")
    with page.expect_navigation():
        page.evaluate(PASTE, "plan.png")
    with page.expect_navigation():
        page.evaluate(PASTE, "image.png")
    pasted, plan = drive.names()
    assert plan == "plan.png"
    assert re.fullmatch(r"Image collée \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.png", pasted)


def test_rows_are_dragged_into_a_folder_and_back_up(drive: Drive, page: Any) -> None:
    folder = drive.folder("Délibérations")
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        drive.file(name)
    page.goto("/coffre/")
    for row in (1, 2):
        page.locator(".files input").nth(row).check()
    with page.expect_navigation():
        page.drag_and_drop(".files >> text=b.pdf", ".files >> text=Délibérations")
    assert page.inner_text(".say").startswith("2 éléments déplacés.")
    assert drive.names(folder) == ["a.pdf", "b.pdf"] and drive.names() == ["Délibérations", "c.pdf"]
    page.click("button:has-text('Annuler')")
    page.wait_for_selector(".say:has-text('C’est annulé : 2 éléments.')")
    with page.expect_navigation():
        page.drag_and_drop(".files >> text=c.pdf", ".files >> text=Délibérations")
    assert drive.names(folder) == ["c.pdf"]
    page.click(".files >> text=Délibérations")
    page.wait_for_selector("h1:has-text('Délibérations')")
    with page.expect_navigation():
        page.drag_and_drop(".files >> text=c.pdf", ".way >> text=Mes fichiers")
    page.wait_for_selector(".say:has-text('1 élément déplacé.')")
    assert drive.names(folder) == [] and "c.pdf" in drive.names()


def test_the_bar_that_stays_at_the_top_counts_and_covers_no_row_with_the_focus(
    drive: Drive, page: Any
) -> None:
    from playwright import sync_api as playwright

    for number in range(40):
        drive.file(f"{number}.pdf")
    page.goto("/coffre/")
    page.locator(".files input").first.check()
    page.locator(".files a").last.focus()
    assert page.evaluate("scrollY") > 300
    playwright.expect(page.locator("[data-ticked]")).to_be_in_viewport()
    for key in ["ArrowUp"] * 35 + ["Shift+Tab"] * 4:
        page.keyboard.press(key)
        covered = page.evaluate("""() => {
            const bar = document.querySelector(".bar").getBoundingClientRect();
            const at = document.activeElement.getBoundingClientRect();
            return document.activeElement.closest(".files") && at.top < bar.bottom && at.bottom > bar.top;
        }""")
        assert not covered, key
