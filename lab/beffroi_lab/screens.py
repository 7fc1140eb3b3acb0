"""People at their screens: each request is one visit of a real Chromium in a place of the scenario.

Purpose: the pages of the portal and of the console as their users press them, and the desk at which the
         Département enrols a box: the code read from the page, the fingerprint compared on the page.
Process: the laboratory's own; a browser is a child in the place's namespace (``beffroi_lab.browser``).
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from beffroi_lab.centre import CONSOLE, CONSOLE_PORT, PORTAL, Account, Centre
from beffroi_lab.plan import CommunePlan
from beffroi_lab.topology import LabFailed, Network

VISIT_S = 90
_PORTAL_URL, _CONSOLE_URL = f"https://{PORTAL}/", f"https://{CONSOLE}:{CONSOLE_PORT}/"
Answer = dict[str, Any]


class Screens:
    """A browser profile a place, kept between visits: who signed in once stays signed in."""

    def __init__(self, network: Network, centre: Centre, directory: Path) -> None:
        self._network = network
        self._centre = centre
        self._directory = directory

    def report(self, commune: CommunePlan, account: Account) -> Answer:
        """A person of the commune reports the newest mail of their inbox."""
        return self._visit(
            f"lan{commune.letter}",
            "report",
            url=_PORTAL_URL,
            email=account.email,
            password=account.password,
        )

    def decide(self, campaign_id: str, word: str) -> Answer:
        """The Département presses ``word`` (confirmer, annuler) on a campaign."""
        return self._console("decide", campaign_id=campaign_id, word=word)

    def box_code(self, commune: str) -> Answer:
        """The Département reads a code for the box of ``commune`` (its name) from the page: ``code``."""
        return self._console("box_code", commune=commune)

    def confirm_box(self, commune: str, fingerprint: str) -> Answer:
        """The Département compares the fingerprint on the page with the label's, and confirms."""
        return self._console("confirm_box", commune=commune, fingerprint=fingerprint)

    def _console(self, do: str, **arguments: Any) -> Answer:
        who = self._centre.accounts["departement"]
        account = {"email": who.email, "password": who.password, "totp_secret": who.totp_secret}
        return self._visit("dept", do, url=_CONSOLE_URL, account=account, **arguments)

    def _visit(self, place: str, do: str, **arguments: Any) -> Answer:
        request = {
            "do": do,
            "arguments": arguments,
            "profile": str(self._directory / f"browser-{place}"),
            "certificate": str(self._centre.state / "tls" / "portal.pem"),
        }
        try:
            done = subprocess.run(
                self._network[place].command([sys.executable, "-m", "beffroi_lab.browser"]),
                input=json.dumps(request),
                capture_output=True,
                text=True,
                timeout=VISIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"ok": False, "error": f"the browser took more than {VISIT_S} s"}
        if done.returncode != 0:
            return {"ok": False, "error": done.stderr.strip()[-400:]}
        answer: Answer = json.loads(done.stdout)
        return answer


class ConsoleDesk:
    """Enrols a box as the Département does, on the console's pages. Errors: LabFailed."""

    def __init__(self, screens: Screens) -> None:
        self._screens = screens

    def code(self, commune: CommunePlan) -> str:
        return str(_done(self._screens.box_code(commune.name), "the code of a box")["code"])

    def confirm(self, commune: CommunePlan, fingerprint: str) -> bool:
        """Wait until the box has asked, compare, confirm."""
        return bool(_done(self._screens.confirm_box(commune.name, fingerprint), "the confirmation")["ok"])


def _done(answer: Answer, what: str) -> Answer:
    if not answer["ok"]:
        raise LabFailed(f"{what} in the console: {json.dumps(answer)[:600]}")
    return answer
