"""The portal and the console of a real granian, in a real Chromium: who sits before it, and what a page must be."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.identity import totp

from tests.portal_server import PASSWORD, prepare
from tests.waiting import PATIENCE_S, until

CHROMIUM = "/usr/bin/chromium-headless-shell"
"""Chromium without its windows, which are half of what it costs; the laboratory's people sit before all of it."""
ROOT = Path(__file__).parents[1]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (1280, 360, 320)
PATIENCE_MS = 120_000
FOCUSED = r"document.activeElement.textContent.replace(/[ \n]+/g, ' ').replaceAll(' \u00a0', '\u00a0').trim()"
"""What is said of the link or button that has the focus, in one line."""


@dataclass(frozen=True)
class Centre:
    """Addresses of both listeners, what was seeded, and where."""

    portal: str
    console: str
    seeded: dict[str, str]
    state: Path


def _port() -> int:
    for port in range(22800, 22900):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port between 22800 and 22899")


def _serve(state: Path, listener: str) -> tuple[subprocess.Popen[bytes], str]:
    port = _port()
    environment = {
        **os.environ,
        "BEFFROI_STATE": str(state),
        "DJANGO_SETTINGS_MODULE": f"beffroi.settings.{listener}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    argv = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(
        [*argv, "--workers", "1", "--factory", "tests.portal_server:application"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=(state / f"{listener}.log").open("wb"),
    )

    def answers() -> bool:
        assert process.poll() is None, (state / f"{listener}.log").read_text()
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_S),
        ):
            return True
        return False

    until(answers, f"{listener} answers")
    return process, f"http://localhost:{port}"


@cache
def _seeded() -> tuple[Path, dict[str, str]]:
    """A state directory of which each file of tests takes a copy, and what lies in it: filling one is four seconds."""
    state = Path(tempfile.mkdtemp(prefix="bfp-"))
    atexit.register(shutil.rmtree, state, ignore_errors=True)
    prepare(state)
    with (state / "beffroi.toml").open("a", encoding="utf-8") as settings:
        settings.write('dns_name_servers = "ns1.dept.example ns2.dept.example"\n')
    environment = {
        **os.environ,
        "BEFFROI_STATE": str(state),
        "DJANGO_SETTINGS_MODULE": "beffroi.settings.web",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    made = subprocess.run(
        [sys.executable, "-m", "tests.portal_server"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
    )
    return state, json.loads(made.stdout)


@pytest.fixture(scope="module")
def centre() -> Iterator[Centre]:
    filled, seeded = _seeded()
    state = Path(tempfile.mkdtemp(prefix="bfp-"))
    shutil.copytree(filled, state, dirs_exist_ok=True)
    started = []
    try:
        for listener in ("web", "console"):
            started.append(_serve(state, listener))
        yield Centre(started[0][1], started[1][1], dict(seeded), state)
    finally:
        for process, _ in started:
            process.terminate()
            process.wait(PATIENCE_S)
        shutil.rmtree(state, ignore_errors=True)


def _patient(make: Callable[..., Any]) -> Callable[..., Any]:
    """Playwright gives a page 30 s, which a busy machine may need."""

    def made(**options: Any) -> Any:
        context = make(**options)
        context.set_default_timeout(PATIENCE_MS)
        return context

    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # playwright runs a loop in this thread
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened.new_context = _patient(opened.new_context)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def agent(centre: Centre, browser: Any) -> Iterator[Any]:
    """A page of the signed-in secretary; signing in by the keyboard alone."""
    context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(centre.portal + "/")
    page.focus("#id_login")
    page.keyboard.type(centre.seeded["agent_email"])
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Bonjour Claire')")
    # The step-up, once: the pages behind it are looked at below.
    page.goto(centre.portal + "/acces/double-verification/")
    inspect(page, "confirmer-identite")
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Activer la double')")
    yield page
    context.close()


def sign_in(page: Any, email: str) -> None:
    """Where the page asks who it is."""
    page.fill("#id_login", email)
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")


@pytest.fixture
def visitor(browser: Any) -> Iterator[Any]:
    """A page in which nobody has signed in yet."""
    context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def referent(centre: Centre, visitor: Any) -> Any:
    """The home of the référent, who has just signed in."""
    visitor.goto(centre.portal + "/")
    sign_in(visitor, centre.seeded["referent_email"])
    visitor.wait_for_selector("h1:has-text('Bonjour')")
    return visitor


@pytest.fixture(scope="module")
def administrator(centre: Centre, browser: Any) -> Iterator[Any]:
    context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(centre.console + "/")
    page.fill("#id_email", centre.seeded["administrator_email"])
    page.fill("#id_password", PASSWORD)
    page.fill("#id_code", totp.code_at(centre.seeded["totp_secret"], time.time()))
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Vue d’ensemble')")
    yield page
    context.close()


def inspect(page: Any, name: str, *, status: int = 200) -> None:
    """It answered ``status``; no serious fault for axe, one h1, nothing wider than the window, at every width."""
    from axe_playwright_python.sync_playwright import Axe

    answered = page.evaluate("performance.getEntriesByType('navigation')[0].responseStatus")
    assert answered == status, f"{name}: {page.url} answered {answered}"
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name}: {wide} px too wide at {width} px"
        shots = os.environ.get("BEFFROI_SHOTS")
        if shots and width != 320:
            page.wait_for_timeout(300)  # a frame is drawn after its page
            page.screenshot(path=f"{shots}/{name}-{width}.png", full_page=True)
    assert page.locator("h1").count() == 1
    # axe is put in by the driver, past the page's own policy; it does not look into the sandboxed mail.
    only = {"iframes": False, "resultTypes": ["violations"]}  # the rest is megabytes, which nobody reads
    found = Axe().run(page, options=only).response["violations"]
    bad = [
        (v["id"], [n["html"] for n in v["nodes"]][:3])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert not bad, f"{name}: {bad}"
    page.set_viewport_size({"width": 1280, "height": 900})


def press(page: Any, wanted: str) -> None:
    """Go to the link or button of these words with the keyboard, and press it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == wanted:
            break
    else:
        raise AssertionError(f"{wanted} is not reached by the keyboard")
    with page.expect_navigation():
        page.keyboard.press("Enter")


def begins(page: Any, said: str, *, then: str) -> None:
    """The page put the keyboard on what it says of what was done, so that it is read aloud; one step on is ``then``."""
    page.wait_for_selector(f":focus:has-text('{said}')")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == then


def tab_to(page: Any, field: str) -> None:
    """Go to the field of this id with the keyboard, where the page did not put it there."""
    for _ in range(80):
        if page.evaluate("document.activeElement.id") == field:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"#{field} is not reached by the keyboard")
