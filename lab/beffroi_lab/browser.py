"""A person at a screen: a real Chromium in a place of the scenario, on the real pages.

Purpose: `python -m beffroi_lab.browser` reads one JSON request on stdin and writes one JSON answer: a secretary signs
         in, opens a mail and reports it; the Département signs in to its console, confirms or undoes a campaign,
         issues the code of a box and compares its fingerprint.
Process: in the namespace of a PC, so that every packet passes the box. Root in namespaces: Chromium runs without
         its own sandbox, and sees only the scenario.
Trust:   the centre's certificate is pinned by its public key; any other one ends in an error page.
Output:  BEFFROI_SHOTS=DIRECTORY keeps pictures of the mail, of the report and of the campaign that is undone.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beffroi.core.identity import totp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import BrowserContext, Error, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
WAIT_MS, STEP_S = 15_000, 30
Answer = dict[str, Any]


def report(page: Page, url: str, email: str, password: str) -> Answer:
    """Sign in, open the newest mail, press "Signaler un hameçonnage" and confirm."""
    page.goto(f"{url}courrier/")
    if page.locator("input[name=login]").count():
        page.fill("input[name=login]", email)
        page.fill("input[name=password]", password)
        page.click("main button.primary")
        page.goto(f"{url}courrier/")
    page.click("ul.mails a")
    _keep_picture(page, "mail")
    page.get_by_role("link", name="Signaler un hameçonnage").click()
    pressed_ms = int(time.time() * 1000)
    page.get_by_role("button", name="Signaler", exact=True).click()
    page.wait_for_selector("#report-state")
    _keep_picture(page, "report")
    return {"ok": True, "pressed_ms": pressed_ms, "title": page.title()}


def decide(page: Page, url: str, campaign_id: str, word: str, account: dict[str, str]) -> Answer:
    """Sign in to the console and press Confirmer or Annuler on a campaign (``word``: confirmer, annuler)."""
    _open_console(page, f"{url}decisions/{campaign_id}/", account)
    _keep_picture(page, f"campaign-{word}")
    page.click("#do-confirm" if word == "confirmer" else "#do-undo")
    page.wait_for_url(f"**/{word}/")
    pressed_ms = int(time.time() * 1000)
    page.locator("form.actions button").click()
    page.wait_for_url(f"**/decisions/{campaign_id}/")
    return {"ok": True, "pressed_ms": pressed_ms}


def box_code(page: Page, url: str, commune: str, account: dict[str, str]) -> Answer:
    """Issue the code for the box of a commune, and read it from the page."""
    _open_console(page, f"{url}boitiers/", account)
    page.get_by_role("link", name="Nouveau boîtier").click()
    page.select_option("select[name=collectivite_id]", label=commune)
    page.get_by_role("button", name="Émettre le code").click()
    code = page.locator("#code").inner_text()
    _keep_picture(page, "box-code")
    return {"ok": True, "code": code}


def confirm_box(page: Page, url: str, commune: str, fingerprint: str, account: dict[str, str]) -> Answer:
    """Wait until the commune's box stands in the list, compare its fingerprint with the label's, confirm it."""
    _open_console(page, f"{url}boitiers/", account)
    # The list renews itself when the box asks: nobody reloads the page.
    page.get_by_role("row", name=commune).get_by_role("link", name="Comparer").click()
    shown = page.locator("#fingerprint").inner_text()
    _keep_picture(page, "box-confirm")
    if "".join(shown.split()) != "".join(fingerprint.split()):
        return {"ok": False, "error": f"the page shows {shown}, the label says {fingerprint}"}
    page.get_by_role("button", name="L’empreinte est identique").click()
    page.wait_for_url("**/boitiers/")
    return {"ok": True}


def _open_console(page: Page, target: str, account: dict[str, str]) -> None:
    page.goto(target)
    for _ in range(2):
        if not page.locator("input[name=code]").count():
            return
        now = time.time()
        page.fill("input[name=email]", account["email"])
        page.fill("input[name=password]", account["password"])
        page.fill("input[name=code]", totp.code_at(account["totp_secret"], now))
        page.click("form button.primary")
        page.goto(target)
        if page.locator("input[name=code]").count():  # a code opens once: wait for the next one
            time.sleep(STEP_S - now % STEP_S)


def _keep_picture(page: Page, name: str) -> None:
    if directory := os.environ.get("BEFFROI_SHOTS"):
        page.set_viewport_size({"width": 1280, "height": 1700})  # a frame outside the window is not drawn
        page.wait_for_load_state("load")
        page.wait_for_timeout(500)
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)


def spki_pin(certificate: Path) -> str:
    """Return the pin of a certificate file as Chromium's switch wants it."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    public = found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


def _quiet_arguments(certificate: Path) -> list[str]:
    return [
        "--no-sandbox",
        f"--ignore-certificate-errors-spki-list={spki_pin(certificate)}",
        # Chromium asks its maker for many things by itself; nobody here would answer.
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-features=DialMediaRouteProvider,MediaRouter,OptimizationHints,AsyncDns",
        "--disable-sync",
        "--no-first-run",
        "--no-pings",
    ]


def main() -> None:
    request = json.load(sys.stdin)
    profile, cookies = Path(request["profile"]), Path(request["profile"] + ".cookies")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=CHROMIUM,
            args=_quiet_arguments(Path(request["certificate"])),
            locale="fr-FR",
        )
        context.set_default_timeout(WAIT_MS)
        if cookies.exists():
            context.add_cookies(json.loads(cookies.read_text("utf-8")))
        answer = _act(context, request)
        cookies.write_text(json.dumps(context.cookies()), "utf-8")
        context.close()
    json.dump(answer, sys.stdout)


def _act(context: BrowserContext, request: dict[str, Any]) -> Answer:
    page = context.pages[0]
    try:
        return _DEEDS[request["do"]](page, **request["arguments"])
    except Error as error:
        picture = request["profile"] + ".png"
        page.screenshot(path=picture)
        return {
            "ok": False,
            "error": str(error)[:600],
            "url": page.url,
            "title": page.title(),
            "picture": picture,
        }


_DEEDS: dict[str, Callable[..., Answer]] = {f.__name__: f for f in (report, decide, box_code, confirm_box)}

if __name__ == "__main__":
    main()
