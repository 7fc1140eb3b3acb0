"""Debian's Thunderbird without a screen, led through Marionette: scripts in its own context, as its windows run them.

One program, on a desk of its own. What it asks for goes to loopback alone.
Source: Marionette's protocol 3 (packets ``length:JSON``); the sources of Thunderbird 153.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from tests.desk import Desk, desk, needs_desk
from tests.waiting import until

needs_thunderbird = needs_desk("thunderbird")
LONGEST_S = 120
SETTINGS: dict[str, bool | int | str] = {
    "marionette.port": 0,  # any; it writes which into its profile
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "browser.dom.window.dump.enabled": True,
    "calendar.timezone.local": "Europe/Paris",
    "calendar.timezone.useSystemTimezone": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "devtools.console.stdout.chrome": True,
    "extensions.update.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.version": 1,
    "mail.spotlight.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.manage-offline-status": False,  # or a namespace with loopback alone counts as no network
    "network.proxy.type": 0,
    "offline.autoDetect": False,
    "remote.prefs.recommended": False,  # or passwords are not kept
}


class Thunderbird:
    """``do`` runs a script that ends with ``return`` in the program, where ``await`` and its modules are at hand."""

    def __init__(self, own: Desk, settings: dict[str, bool | int | str]) -> None:
        self._desk, self.profile = own, own.home / "profile"
        self.profile.mkdir()
        lines = [
            f"user_pref({json.dumps(name)}, {json.dumps(value)});"
            for name, value in (SETTINGS | settings).items()
        ]
        (self.profile / "user.js").write_text("\n".join(lines))
        options = ("--headless", "--no-remote", "--marionette", "-remote-allow-system-access")
        self._process = own.start("thunderbird", *options, "--profile", self.profile)
        self._last = 0

    @property
    def said(self) -> str:
        lines = self._desk.log.splitlines()
        return "\n".join(line for line in lines if line and "Gtk" not in line and "gtk_" not in line)

    def connect(self) -> None:
        port = self.profile / "MarionetteActivePort"
        until(
            lambda: self._process.poll() is not None or (port.exists() and port.read_text()), "its port", 60
        )
        assert self._process.poll() is None, self.said
        self._socket = socket.create_connection(("127.0.0.1", int(port.read_text())), LONGEST_S)
        self._socket.settimeout(LONGEST_S)
        self._file = self._socket.makefile("rb")
        self._read()  # who it is
        wanted = {"unhandledPromptBehavior": "ignore", "timeouts": {"script": LONGEST_S * 1000}}
        self._command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": wanted}})
        self._command("Marionette:SetContext", {"value": "chrome"})

    def do(self, script: str, *arguments: object) -> Any:
        """What it returns, as JSON; ``arguments`` by their number. Errors: AssertionError with the program's own."""
        head = (
            'const { cal } = ChromeUtils.importESModule("resource:///modules/calendar/calUtils.sys.mjs");'
            'const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");'
            "const later = (action, own = window) => void own.setTimeout(action, 0);"
        )
        script = f"return (async (...given) => {{ {head}{script} }})(...arguments);"
        asked = {"script": script, "args": list(arguments), "newSandbox": True, "sandbox": "system"}
        return self._command("WebDriver:ExecuteScript", asked)["value"]

    def within(self, address: str, script: str, *arguments: object) -> Any:
        """The same in that window or dialog, once it is there: ``opened``, its ``document``, ``by`` an id."""
        there = """const address = given.shift();
            const opened = [...Services.wm.getEnumerator(null)].find(one => one.location.href == address);"""
        ready = f"{there} return opened?.performance.timing.loadEventEnd > 0;"
        until(lambda: self.do(ready, address), f"the window {address}", LONGEST_S)
        names = "const document = opened.document; const by = id => document.getElementById(id);"
        return self.do(there + names + script, address, *arguments)

    def closed(self, address: str) -> None:
        """Wait until no such window is there: one that closes would else be taken for the next."""
        any_left = "return [...Services.wm.getEnumerator(null)].some(one => one.location.href == given[0]);"
        until(lambda: not self.do(any_left, address), f"the window {address} is gone", LONGEST_S)

    def trust(self, authority: Path) -> None:
        """As an administrator of the town hall does with the certificate of the centre's authority."""
        text = "".join(authority.read_text().splitlines()[1:-1])
        database = 'Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)'
        self.do(f'{database}.addCertFromBase64(given[0], "C,,");', text)

    def trust_at(self, host: str, port: int, certificate: Path) -> None:
        """As a person does who makes an exception for a server."""
        text = certificate.read_text().partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]
        script = """
            const database = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
            const one = database.constructX509FromBase64(given[2]);
            const exceptions = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
            exceptions.rememberValidityOverride(given[0], given[1], {}, one, true);
        """
        self.do(script, host, port, "".join(text.split()))

    def stop(self) -> None:
        """As it quits by itself, so that it writes what it keeps; or with the desk, where it does not answer."""
        with contextlib.suppress(AttributeError, OSError, AssertionError):
            self._command("Marionette:Quit", {"flags": ["eForceQuit"]})
        with contextlib.suppress(TimeoutExpired):
            self._process.wait(20)

    def _command(self, name: str, parameters: dict[str, object]) -> Any:
        self._last += 1
        packet = json.dumps([0, self._last, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(packet), packet))
        _, number, error, result = self._read()
        assert (number, error) == (self._last, None), f"{error}\n{self.said[-3000:]}"
        return result

    def _read(self) -> Any:
        length = b""
        while (one := self._file.read(1)) != b":":
            assert one, self.said[-3000:]
            length += one
        return json.loads(self._file.read(int(length)))


@contextmanager
def thunderbird(home: Path, **settings: bool | int | str) -> Iterator[Thunderbird]:
    """``settings``: by their names, with ``__`` for each dot."""
    with desk(home) as own:
        program = Thunderbird(own, {name.replace("__", "."): value for name, value in settings.items()})
        try:
            program.connect()
            yield program
        finally:
            program.stop()
