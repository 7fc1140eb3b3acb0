"""The box's page in a real Chromium: typed with the keyboard, read again by itself, nothing from elsewhere, axe."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from beffroi_box.config import BoxConfig
from beffroi_box.local import Answer, AskBlock, AskEnrol, Block, LocalSocket, Request, State, socket_path
from beffroi_box.page import PageServer

from tests.fixtures_browser import CHROMIUM

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PORT = 23460
ADDRESS = f"http://127.0.0.1:{PORT}/"
FIRST = State("BF-3F9A0C2788", "3F9A 0C27 88D1 E46B 705A", "0.1.0", centre="https://boitiers.cotedor.fr")


class Box:
    """What the page asks: a box that takes one code, and then is enrolled."""

    def __init__(self) -> None:
        self.state = FIRST
        self.codes: list[str] = []

    def answer(self, request: Request) -> Answer:
        now = int(time.time())
        if isinstance(request, AskEnrol):
            self.codes.append(request.code)
            if len(self.codes) == 1:
                return Answer(error="enrol.code_invalid")
            block = Block("ip", "45.83.64.7", "two_communes", "dec_1", 3, now - 60, now, lift=True)
            self.state = State(
                FIRST.serial, FIRST.fingerprint, FIRST.version, enrolled=True, collectivite="Beaune",
                connected=True, heard_at=now, mode="bridge", blocks=[block], inspection="on", inspection_hung_at=now,
                relay="held", relay_waiting=3,
            )  # fmt: skip
            return Answer()
        if isinstance(request, AskBlock):
            return Answer()
        return Answer(state=self.state)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    one = Box()
    config = BoxConfig(state=tmp_path, run=str(tmp_path), page_user="")
    served, stopping = LocalSocket(config, one.answer), threading.Event()
    asked = threading.Thread(target=served.serve, args=(stopping,), daemon=True)
    asked.start()
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        server = PageServer(socket_path(config))

        def serve() -> None:
            try:
                server.serve(listener)
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        yield one
        stopping.set()
        asked.join()
        listener.shutdown(socket.SHUT_RDWR)
    served.close()


@pytest.fixture
def shown(box: Box) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page: Any = browser.new_page(viewport={"width": 360, "height": 700})
        page.elsewhere = []
        page.on("request", lambda r: r.url.startswith((ADDRESS, "data:")) or page.elsewhere.append(r.url))
        page.faults = []
        page.on("console", lambda m: m.type == "error" and page.faults.append(m.text))
        yield page
        browser.close()


def sound(page: Any) -> None:
    """No fault for axe, nothing wider than the window, nothing from elsewhere, no policy broken."""
    from axe_playwright_python.sync_playwright import Axe

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.elsewhere == [] and page.faults == []
    page.evaluate(Axe().axe_script)
    found = page.evaluate("axe.run()")["violations"]
    assert not found, [(one["id"], one["nodes"][0]["html"]) for one in found]


def test_a_code_is_typed_corrected_and_the_state_follows_by_itself(box: Box, shown: Any) -> None:
    shown.goto(ADDRESS + "?lang=fr")
    sound(shown)
    shown.focus("#code")
    shown.keyboard.type("abcd")
    time.sleep(5.5)  # the page is read again; what is being typed stays
    assert shown.input_value("#code") == "abcd"
    shown.keyboard.press("Enter")
    shown.wait_for_selector("#erreur")
    assert "24 lettres et chiffres" in shown.inner_text("#erreur")
    assert shown.input_value("#code") == "abcd", "nothing typed is lost"
    sound(shown)
    shown.focus("#code")
    shown.keyboard.type("-efgh")
    shown.keyboard.press("Enter")
    shown.wait_for_selector("text=Derniers blocages")
    assert len(box.codes) == 2 and "efgh" in box.codes[1]
    assert "Bloquée puis relancée le" in shown.inner_text("main")
    assert "3 en attente ici, rien n’est perdu" in shown.inner_text("main")
    if shots := os.environ.get("BEFFROI_SHOTS"):
        shown.screenshot(path=f"{shots}/box-state-360.png", full_page=True)
    sound(shown)
    box.state.blocks[0].value = "45.83.64.99"
    shown.wait_for_selector("text=45.83.64.99")
    shown.click("header a")
    assert "Last blocks" in shown.inner_text("main")
