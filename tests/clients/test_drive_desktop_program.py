"""The real Nextcloud desktop program, with its windows, behind the real front door: signed in on our page."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from beffroi.supervise import front

from tests import front_planes
from tests.conftest import PASSWORD
from tests.desk import needs_desk
from tests.desk_nextcloud import PROGRAMS, Program, Screen, screen
from tests.drive_server import basic
from tests.fixtures_browser import browser
from tests.mail_post import Engines
from tests.waiting import PATIENCE_S, until

__all__ = ["browser"]
pytestmark = [pytest.mark.browser, *needs_desk(*PROGRAMS)]
CLAIRE, JEAN = "claire@beaune.test", "jean@beaune.test"
SHARED = "Partagé avec moi"
_SEED = f"""
import django, json
django.setup()
from beffroi.core.communes import actions as communes
from beffroi.core.identity import actions as identity, sessions
from beffroi.core.identity.actor import Actor
system = Actor.system("tests")
owner = communes.enrol_commune(actor=system, insee="21054")
communes.add_domain(actor=system, collectivite=owner, name="beaune.test")
made = {{}}
for email in ("{CLAIRE}", "{JEAN}"):
    name = email.partition("@")[0].title()
    person = identity.create_person(actor=system, email=email, name=name, password="{PASSWORD}")
    one = identity.add_membership(actor=system, person=person, collectivite=owner, role="agent")
    actor = sessions.actor_of(one)
    made[email] = identity.issue_app_password(actor=actor, membership=one, protocol_set="dav").secret
print(json.dumps(made))
"""


@dataclass
class Centre:
    engines: Engines
    passwords: dict[str, str]
    """Of a second device of each of them."""
    front: subprocess.Popen[bytes] = field(init=False)

    def open(self) -> None:
        with (self.engines.config.log / "front.out").open("ab") as log:
            self.front = subprocess.Popen(
                ("haproxy", "-db", "-f", str(front.config_path(self.engines.config))), stdout=log, stderr=log
            )
        front_planes.until_up(self.engines.config, self.front)

    def close(self) -> None:
        self.front.terminate()
        self.front.wait(PATIENCE_S)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.engines.config.portal_port}"

    @property
    def authorities(self) -> Path:
        return self.engines.config.state / "tls" / "ca.pem"

    def ask(
        self, method: str, path: str, body: bytes = b"", login: str = CLAIRE, **headers: str
    ) -> tuple[int, bytes]:
        """(status, body). ``path``: below the person's files, unless it begins with a slash."""
        own = f"/remote.php/dav/files/{login}/{quote(path)}"
        context = ssl.create_default_context(cafile=str(self.authorities))
        line = HTTPSConnection(
            "localhost", self.engines.config.portal_port, timeout=PATIENCE_S, context=context
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            line.request(
                method,
                path if path.startswith("/") else own,
                body,
                {**basic(login, self.passwords[login]), **named},
            )
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()

    def has(self, path: str, body: bytes | None, login: str = CLAIRE) -> bool:
        """Whether the server has a file with this content; ``None``: whether it has nothing there."""
        status, found = self.ask("GET", path, login=login)
        return status == 404 if body is None else (status, found) == (200, body)


@pytest.fixture(scope="module")
def centre() -> Iterator[Centre]:
    with ExitStack() as stack:
        planes = stack.enter_context(front_planes.running("bfnc-", 23860, {}, "web", "worker", "drive"))
        config = planes.config
        environment = os.environ | {
            "BEFFROI_STATE": str(config.state),
            "DJANGO_SETTINGS_MODULE": "beffroi.settings.base",
        }
        seeded = subprocess.run(
            (sys.executable, "-c", _SEED),
            env=environment,
            capture_output=True,
            check=True,
            timeout=PATIENCE_S,
        )
        made = Centre(planes, json.loads(seeded.stdout.splitlines()[-1]))
        made.open()
        stack.callback(made.close)
        for login in made.passwords:
            until(lambda login=login: made.ask("PROPFIND", "", login=login, Depth="0")[0] == 207, "people")
        yield made


@pytest.fixture(scope="module")
def monitor(centre: Centre) -> Iterator[Screen]:
    with tempfile.TemporaryDirectory(prefix="bfnw-") as home, screen(Path(home), centre.authorities) as made:
        yield made


@pytest.fixture(scope="module")
def page(browser: Any, centre: Centre) -> Iterator[Any]:
    """Claire's browser."""
    context = browser.new_context(ignore_https_errors=True, locale="fr-FR", base_url=centre.url)
    yield context.new_page()
    context.close()


def allow(page: Any, monitor: Screen, number: int) -> None:
    """Go where the program sent the browser, sign in, and let it in."""
    until(lambda: len(monitor.opened()) > number, "a browser is opened")
    page.goto(monitor.opened()[number])
    if page.locator("#id_login").count():
        page.fill("#id_login", CLAIRE)
        page.fill("#id_password", PASSWORD)
        with page.expect_navigation():
            page.keyboard.press("Enter")
    confirm(page)
    assert "Desktop Client - Linux" in page.inner_text("main")
    with page.expect_navigation():
        page.click("button[value=allow]")
    assert page.inner_text("h1") == "Le logiciel est autorisé"


def confirm(page: Any) -> None:
    if "/confirmer/" in page.url:
        page.fill("input[type=password]", PASSWORD)
        with page.expect_navigation():
            page.keyboard.press("Enter")


@pytest.fixture(scope="module")
def program(centre: Centre, monitor: Screen, page: Any) -> Iterator[Program]:
    """Claire's, set up."""
    assert centre.ask("MKCOL", "Commune/Conseil")[0] == 201
    assert centre.ask("PUT", "Commune/Conseil/pv.txt", b"un proces-verbal", login=JEAN)[0] == 201
    assert centre.ask("PUT", "lettre.txt", b"bonjour")[0] == 201
    assert centre.ask("MKCOL", "Marchés", login=JEAN)[0] == 201
    assert centre.ask("PUT", "Marchés/plan.txt", b"un plan", login=JEAN)[0] == 201
    made = Program(monitor, centre.url, "claire")
    made.start()
    try:
        allow(page, monitor, 0)
        until(lambda: read(made, "lettre.txt") == b"bonjour", "its first sync")
        yield made
    finally:
        made.end()


def read(program: Program, path: str) -> bytes | None:
    """On the computer; None where nothing is."""
    try:
        return (program.folder / path).read_bytes()
    except FileNotFoundError:
        return None


def write(program: Program, path: str, data: bytes) -> None:
    file = program.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def menu(program: Program, path: str) -> list[str]:
    """What a file explorer shows for it, in the order of the program: COMMAND, with :d where it cannot be chosen."""
    said = program.menu(f"GET_MENU_ITEMS:{program.folder / path}", until_said="GET_MENU_ITEMS:END")
    lines = [one.removeprefix("MENU_ITEM:") for one in said if one.startswith("MENU_ITEM:")]
    return [one.split("::")[0] if "::" in one else one.split(":d:")[0] + ":d" for one in lines]


def test_the_folder_of_the_commune_and_what_colleagues_share_come_unasked(
    program: Program, centre: Centre
) -> None:
    """What says that it is mounted does not: a person would have to look for it in the settings."""
    until(lambda: read(program, "Commune/Conseil/pv.txt") == b"un proces-verbal", "the commune's")
    form = urlencode({"path": "/Marchés", "shareType": "0", "shareWith": CLAIRE, "permissions": "31"})
    kind = "application/x-www-form-urlencoded"
    shares = "/ocs/v2.php/apps/files_sharing/api/v1/shares"
    assert centre.ask("POST", shares, form.encode(), JEAN, Content_Type=kind, OCS_APIRequest="true")[0] == 200
    until(lambda: read(program, f"{SHARED}/Marchés/plan.txt") == b"un plan", "what is shared")


def test_what_changes_elsewhere_comes_by_push_and_what_changes_here_goes(
    program: Program, centre: Centre
) -> None:
    until(lambda: "Authenticated successful on websocket" in program.log, "push")
    told = program.log.count("Got files push notification")
    assert centre.ask("PUT", "lettre.txt", b"bonjour, encore")[0] == 204
    until(lambda: read(program, "lettre.txt") == b"bonjour, encore", "by push")
    assert program.log.count("Got files push notification") > told
    write(program, "Dossier/brouillon.txt", b"un plan")
    write(program, "Commune/Conseil/ordre.txt", b"ordre du jour")
    until(lambda: centre.has("Dossier/brouillon.txt", b"un plan"), "own")
    until(lambda: centre.has("Commune/Conseil/ordre.txt", b"ordre du jour", JEAN), "the commune's")
    (program.folder / "Dossier/brouillon.txt").rename(program.folder / "Dossier/plan.txt")
    until(lambda: centre.has("Dossier/plan.txt", b"un plan"), "renamed")
    assert centre.has("Dossier/brouillon.txt", None)
    (program.folder / "Commune/Conseil/ordre.txt").unlink()
    until(lambda: centre.has("Commune/Conseil/ordre.txt", None, JEAN), "deleted")


def test_of_two_changes_at_once_both_are_kept(program: Program, centre: Centre) -> None:
    write(program, "lettre.txt", b"de ce poste")
    assert centre.ask("PUT", "lettre.txt", b"d'un autre")[0] == 204
    found = lambda: [one.name for one in program.folder.glob("lettre (conflicted copy *).txt")]  # noqa: E731
    until(found, "a conflict")
    (name,) = found()
    assert (read(program, "lettre.txt"), read(program, name)) == (b"d'un autre", b"de ce poste")
    assert menu(program, name)[-1] == "RESOLVE_CONFLICT"
    assert centre.has(name, None), "it waits here for its person"
    (program.folder / name).unlink()


def test_menus_of_file_explorers_offer_what_is_here_and_their_links_lead_to_the_file(
    program: Program, centre: Centre, page: Any
) -> None:
    plan = program.folder / "Dossier" / "plan.txt"
    status = lambda: program.menu(f"RETRIEVE_FILE_STATUS:{plan}", until_said="STATUS:")[-1]  # noqa: E731
    until(lambda: status() == f"STATUS:OK:{plan}", "a sign of its state")
    every = ["OPEN_PRIVATE_LINK", "SHARE", "COPY_PRIVATE_LINK"]
    assert menu(program, "Dossier/plan.txt") == ["ACTIVITY", *every]
    assert menu(program, "Dossier") == every
    for path in ("Commune", SHARED):
        assert menu(program, path) == ["OPEN_PRIVATE_LINK", "DISABLED:d", "COPY_PRIVATE_LINK"], path
    assert "LEAVESHARE" in menu(program, f"{SHARED}/Marchés")
    number = len(program.screen.opened())
    for command in ("OPEN", "EMAIL", "COPY"):
        program.menu(f"{command}_PRIVATE_LINK:{plan}", "VERSION:", until_said="VERSION:")
    until(lambda: len(program.screen.opened()) == number + 2, "a browser and a mail program")
    link, mail = sorted(program.screen.opened()[number:])  # each by a process of its own
    assert mail.startswith("mailto:") and mail.endswith(link)
    until(lambda: program.screen.do("xclip", "-selection", "clipboard", "-o") == link, "the clipboard")
    page.goto(link)
    assert "plan.txt" in page.inner_text("h1")


def test_who_shares_a_folder_in_the_dialog_of_the_program_gives_reading(
    program: Program, centre: Centre
) -> None:
    program.menu(f"SHARE:{program.folder / 'Dossier'}", until_said="SHARE:OK")
    until(lambda: program.log.count("OcsShareJob finished") == 2, "the dialog")
    do = program.screen.do

    def look() -> bool:
        """Its window comes a moment after what it shows; it waits for a pause before it asks."""
        for window in do("xdotool", "search", "--onlyvisible", "--class", "").split():
            if "Geometry: 400x500" in do("xdotool", "getwindowgeometry", window):
                to_field = ("mousemove", "--window", window, "200", "176", "click", "1")
                do("xdotool", "windowraise", window, *to_field)
        do("xdotool", "key", "ctrl+a")
        do("xdotool", "type", "jean")
        with contextlib.suppress(AssertionError):
            until(lambda: "OcsShareeJob created" in program.log, "people", 3)
        return "OcsShareeJob created" in program.log

    until(look, "people are looked for")
    until(lambda: "OcsShareeJob finished" in program.log, "people are found")
    do("xdotool", "key", "--delay", "300", "Down", "Return")
    until(lambda: centre.has(f"{SHARED}/Dossier/plan.txt", b"un plan", JEAN), "it is shared")
    assert centre.ask("PUT", f"{SHARED}/Dossier/plan.txt", b"x", JEAN)[0] == 403


def test_what_it_asks_and_does_not_get_is_known(program: Program) -> None:
    """Signs of kinds, faces, and conditions of use that nobody has to accept: the windows are whole without."""
    refused = re.findall(
        r'Server replied \\"(\d+) [^"]*" to \\"([A-Z]+) https://[^/]+([^?"\\]*)', program.log
    )
    pattern = re.compile(
        r"/index.php/apps/theming/img/core/filetypes/[a-z-]+\.svg|/remote.php/dav/avatars/[^/]+/\d+\.png"
        r"|/ocs/v2.php/apps/terms_of_service/terms|/index.php/login/v2/poll|"
    )
    assert {one for one in refused if one[0] != "404" or not pattern.fullmatch(one[2])} == set()


def test_who_leaves_a_share_by_the_menu_leaves_it_alone(program: Program, centre: Centre) -> None:
    program.menu(f"LEAVESHARE:{program.folder / SHARED / 'Marchés'}", "VERSION:", until_said="VERSION:")
    until(lambda: not (program.folder / SHARED / "Marchés").exists(), "it is gone here")
    assert centre.has(f"{SHARED}/Marchés/plan.txt", None)
    assert centre.has("Marchés/plan.txt", b"un plan", JEAN)


def test_a_withdrawn_password_wipes_nothing_and_a_new_sign_in_goes_on(
    program: Program, centre: Centre, page: Any
) -> None:
    """It is started again for that, with files that may stay at the server: NAME.nextcloud, the kind that Linux has."""
    before = {one for one in program.folder.rglob("*") if not one.name.startswith(".")}
    page.goto("/acces/")
    page.click("li:has-text('Desktop Client - Linux') a:has-text('Retirer')")
    confirm(page)
    with page.expect_navigation():
        page.click("button:has-text('Retirer')")
    changes = itertools.count()

    def goes_on() -> bool:
        """A person, until the server no longer takes it (KEPT_S)."""
        write(program, "Dossier/pendant.txt", b"%d" % next(changes))
        with contextlib.suppress(AssertionError):
            until(lambda: "core/wipe/check" in program.log, "a refusal", 4)
        return "core/wipe/check" in program.log

    until(goes_on, "it asks whether it is to delete everything")
    last = read(program, "Dossier/pendant.txt")
    program.end()
    settings = program.home / ".config/Nextcloud/nextcloud.cfg"
    settings.write_text(settings.read_text().replace("virtualFilesMode=off", "virtualFilesMode=suffix"))
    number = len(program.screen.opened())
    program.start()
    until(lambda: '-> "Signed out"' in program.log, "it says so, and waits for its person")

    def log_in() -> bool:
        """The name, the three points behind it, Log in."""
        program.screen.do("xdotool", "key", "Escape", "Escape")
        for x, y in (("130", "28"), ("178", "88"), ("210", "102")):
            program.screen.do("xdotool", "mousemove", x, y, "click", "1", "sleep", "1")
        return len(program.screen.opened()) > number

    until(log_in, "a browser")
    allow(page, program.screen, number)
    until(lambda: centre.has("Dossier/pendant.txt", last), "it goes on")
    assert {one for one in program.folder.rglob("*") if not one.name.startswith(".")} >= before


def test_files_stay_at_the_server_where_the_menu_says_so(program: Program, centre: Centre) -> None:
    plan = program.folder / "Dossier" / "plan.txt"
    assert "MAKE_ONLINE_ONLY" in menu(program, "Dossier/plan.txt")
    program.menu(f"MAKE_ONLINE_ONLY:{plan.parent}", "VERSION:", until_said="VERSION:")
    until(lambda: read(program, "Dossier/plan.txt.nextcloud") is not None and not plan.exists(), "away")
    assert centre.has("Dossier/plan.txt", b"un plan")
    assert "COPY_PRIVATE_LINK" in menu(program, "Dossier/plan.txt.nextcloud")
    assert centre.ask("PUT", "Dossier/autre.txt", b"autre")[0] == 201
    until(lambda: read(program, "Dossier/autre.txt.nextcloud") is not None, "new ones come as that")
    program.menu(f"MAKE_AVAILABLE_LOCALLY:{plan.parent}", "VERSION:", until_said="VERSION:")
    for path, data in (("Dossier/plan.txt", b"un plan"), ("Dossier/autre.txt", b"autre")):
        until(lambda path=path, data=data: read(program, path) == data, "it is here again")


def test_a_file_arrives_although_the_server_is_gone_in_its_middle(program: Program, centre: Centre) -> None:
    data = random.Random(5).randbytes(30 << 20)
    write(program, "film.mp4", data)
    until(lambda: len(re.findall(r'PUT of "[^"]*/uploads/[^"]*" FINISHED', program.log)) > 2, "parts")
    before = len(program.log)
    centre.close()
    until(lambda: "Connection refused" in program.log[before:], "it sees that")
    program.end()  # by itself it goes on after a minute or two
    centre.open()
    program.start()
    until(lambda: centre.ask("HEAD", "film.mp4")[0] == 200, "it goes on")
    assert centre.has("film.mp4", data)
