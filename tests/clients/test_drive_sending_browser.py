"""Files on their way from a real Chromium, and what stops them: what is said, and what goes on by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.fixtures_browser import browser, inspect
from tests.fixtures_drive import noise
from tests.fixtures_drive_browser import drive, page
from tests.fixtures_portal import no_door, portal_client, session_cookie

__all__ = ["browser", "drive", "no_door", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.front]


def test_a_file_that_changes_while_it_is_sent_is_named_and_the_next_one_goes(
    drive: Drive, page: Any, tmp_path: Path
) -> None:
    log, letter = tmp_path / "journal.log", tmp_path / "lettre.txt"
    log.write_bytes(noise(12 * 1024 * 1024))
    letter.write_text("Bonjour")

    def grows(route: Any) -> None:
        if route.request.url.endswith("/2"):
            with log.open("ab") as more:
                more.write(b"encore")
        route.continue_()

    page.goto("/coffre/")
    page.route("**/coffre/envoi/*/*", grows)
    page.set_input_files("#desk input[multiple]", [str(log), str(letter)])
    page.wait_for_selector("#desk [data-state]:has-text('1 fichier refusé')")
    assert "Ce fichier a changé pendant l’envoi" in page.inner_text("#desk li:has-text('journal.log')")
    assert drive.names() == ["lettre.txt"]


def test_a_drive_that_is_away_is_waited_for_and_what_it_refuses_is_no_fault_of_the_computer(
    drive: Drive, page: Any, tmp_path: Path
) -> None:
    """The front answers by a page, also to too many requests of a town hall."""
    answers: list[dict[str, Any]] = [
        {"status": status, "body": "<html>", "content_type": "text/html"} for status in (429, *[503] * 9)
    ]
    answers.append({"status": 408, "json": {"code": "drive.too_slow"}})

    def away(route: Any) -> None:
        if "b.txt" in route.request.headers["x-beffroi-file"]:
            route.fulfill(status=400, json={"code": "drive.size_differs"})
        elif answers:
            route.fulfill(**answers.pop(0))
        else:
            route.continue_()

    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    page.goto("/coffre/")
    page.route("**/coffre/envoi/fichier", away)
    page.clock.install()
    page.set_input_files("#desk input[multiple]", [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
    page.wait_for_selector("#desk [data-state]:has-text('Le Coffre ne répond pas pour le moment')")
    for _ in range(200):
        page.clock.run_for(15_000)  # the longest wait, which begins once an answer is there
        if "1 fichier arrivé. 1 fichier refusé" in page.inner_text("#desk [data-state]"):
            break
        page.wait_for_timeout(100)
    assert "L’envoi a été interrompu" in page.inner_text("#desk li:has-text('b.txt')")
    assert drive.names() == ["a.txt"]


def test_a_session_that_ended_is_said_once_and_the_sending_goes_on_after_a_new_one(
    drive: Drive, page: Any, beaune: Commune, tmp_path: Path
) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    page.goto("/coffre/")
    address = page.evaluate("location.origin")
    page.context.clear_cookies()
    page.set_input_files("#desk input[multiple]", [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
    page.wait_for_selector("#desk [data-state]:has-text('Votre session est terminée')")
    assert "Refusé" not in page.inner_text("#desk")
    page.context.add_cookies([session_cookie(portal_client(beaune.agent_membership), address)])
    with page.expect_navigation():
        page.click("#desk button:has-text('Reprendre')")
    assert drive.names() == ["a.txt", "b.txt"]


def test_an_answer_that_is_lost_asks_nobody_about_a_file_that_arrived(
    drive: Drive, page: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "film.mp4").write_bytes(noise(6 * 1024 * 1024))
    lost: list[str] = []

    def lose(route: Any) -> None:
        end = route.request.url.rpartition("/")[2]
        if end in ("fichier", "fin") and end not in lost:
            lost.append(end)
            assert route.fetch().status == 201
            route.abort("connectionreset")
        else:
            route.continue_()

    page.goto("/coffre/")
    page.route("**/coffre/envoi/**", lose)
    with page.expect_navigation():
        page.set_input_files(
            "#desk input[multiple]", [str(tmp_path / name) for name in ("a.txt", "film.mp4")]
        )
    assert drive.names() == ["a.txt", "film.mp4"] and sorted(lost) == ["fichier", "fin"]
    assert "2 fichiers sont arrivés" in page.inner_text("main")


def test_a_download_after_the_session_ended_leads_to_the_sign_in_and_is_no_file(
    drive: Drive, page: Any
) -> None:
    """With the attribute ``download`` a browser kept the page of the sign-in as a file, and said nothing."""
    page.goto(f"/coffre/{drive.file('acte.txt').id}/")
    page.context.clear_cookies()
    downloads: list[str] = []
    page.on("download", lambda one: downloads.append(one.suggested_filename))
    page.click("a:has-text('Télécharger')")
    page.wait_for_url("**/connexion/**")
    assert downloads == []


def test_empty_folders_of_a_dropped_tree_are_made(drive: Drive, page: Any) -> None:
    """A stand-in for the browser's entries: no drop of a real folder can be made by a program."""
    drive.file("Acte", drive.folder("dossiers"))
    page.goto("/coffre/")
    drop = """(tree) => {
        const parts = (inside) => [Object.keys(inside).map((one) => entry(one, inside[one])), []];
        const folder = (name, left) => ({ name, createReader: () => ({ readEntries: (on) => on(left.shift()) }) });
        const file = (name) => ({ name, isFile: true, file: (on) => on(new File(["x"], name)) });
        const entry = (name, inside) => inside === null ? file(name) : folder(name, parts(inside));
        const items = parts(tree)[0].map((one) => ({ webkitGetAsEntry: () => one }));
        const event = new Event("drop", { bubbles: true, cancelable: true });
        event.dataTransfer = { types: ["Files"], items };
        document.body.dispatchEvent(event);
    }"""
    tree = {
        "Dossiers": {"2025": {}, "2026": {"note.txt": None, "Annexes": {}, "@eaDir": {}}, "Acte": {}},
        "Vide": {"Thumbs.db": None},
    }
    page.evaluate(drop, tree)
    page.wait_for_selector(
        "#desk [data-state]:has-text('1 fichier arrivé. 3 dossiers vides créés. 1 fichier refusé')"
    )
    assert "Un fichier et un dossier auraient le même nom" in page.inner_text("#desk li:has-text('Acte')")
    inspect(page, "d-dossiers-vides")
    assert drive.names() == ["Vide", "dossiers"]
    (kept,) = [one for one in drive.children() if one.name == "dossiers"]
    assert drive.names(kept) == ["2025", "2026", "Acte"]
    (last,) = [one for one in drive.children(kept.id) if one.name == "2026"]
    assert drive.names(last) == ["Annexes", "note.txt"]
    page.goto("/coffre/")
    with page.expect_navigation():
        page.evaluate(drop, {"Marchés": {"Lot 1": {}, "Lot 2": {}}})
    page.wait_for_selector(".say:has-text('2 dossiers vides créés.')")
    assert "fichier" not in page.inner_text("main .say.good")


def test_a_dropped_tree_that_is_long_to_look_through_is_told_and_can_be_stopped(
    drive: Drive, page: Any, tmp_path: Path
) -> None:
    """Stand-ins for the browser's entries. ``window.more`` gives the next part of a folder."""
    (tmp_path / "a.txt").write_text("a")
    page.goto("/coffre/")
    drop = """(name) => {
        const files = (from) => [1, 2].map((one) => ({
            name: `${name}-${from + one}.txt`, isFile: true, file: (on) => on(new File(["x"], `${from + one}.txt`)) }));
        let left = 2;
        const next = (on) => { window.more = () => on(left ? files(2 * --left) : []); };
        const event = new Event("drop", { bubbles: true, cancelable: true });
        const folder = { name, createReader: () => ({ readEntries: next }) };
        event.dataTransfer = { types: ["Files"], items: [{ webkitGetAsEntry: () => folder }] };
        document.body.dispatchEvent(event);
    }"""
    page.evaluate(drop, "Archives")
    page.wait_for_selector("#desk [data-state]:has-text('Lecture du dossier sur votre ordinateur…')")
    page.evaluate("more()")
    page.wait_for_selector("#desk [data-count]:has-text('Fichiers trouvés : 2.')")
    inspect(page, "d-lecture")
    page.click("#desk button:has-text('Arrêter')")
    page.wait_for_selector("#desk [data-state]:has-text('Envoi arrêté. Aucun fichier arrivé.')")
    page.evaluate("more()")
    page.evaluate(drop, "Photos")
    page.wait_for_selector("#desk [data-state]:has-text('Lecture du dossier')")
    page.set_input_files("#desk input[multiple]", [str(tmp_path / "a.txt")])
    page.wait_for_selector("#desk [data-list] li:has-text('a.txt'):has-text('Arrivé')")
    page.wait_for_selector("#desk [data-state]:has-text('Lecture du dossier')")  # and the page stays
    assert drive.names() == ["a.txt"]
    with page.expect_navigation():
        for _ in range(3):
            page.evaluate("more()")
    assert "5 fichiers sont arrivés" in page.inner_text("main")
    assert drive.names() == ["Photos", "a.txt"]


def test_of_thousands_of_files_fifty_have_a_line_until_it_is_their_turn(drive: Drive, page: Any) -> None:
    """A line for each stopped the page: 43 s for 60,000 files."""
    page.goto("/coffre/")
    held: list[Any] = []
    page.route("**/coffre/envoi/**", lambda route: route.continue_() if held else held.append(route))
    page.evaluate("""() => {
        const data = new DataTransfer();
        for (let n = 0; n < 70; n += 1) data.items.add(new File(["x"], `${n}.txt`));
        const event = new Event("drop", { bubbles: true, cancelable: true });
        event.dataTransfer = { types: ["Files"], items: [{}], files: data.files };
        document.body.dispatchEvent(event);
    }""")
    page.wait_for_selector("#desk [data-count]:has-text('Fichiers arrivés : 0 sur 70.')")
    assert page.locator("#desk [data-list] li").count() == 50
    with page.expect_navigation():
        held[0].continue_()
    assert "70 fichiers sont arrivés" in page.inner_text("main")
    assert len(drive.names()) == 70
