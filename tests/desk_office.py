"""LibreOffice with documents on a server (its WebDAV client), without a window; runs on a desk."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import uno  # type: ignore[import-not-found]
import unohelper  # type: ignore[import-not-found]
from com.sun.star.beans import PropertyValue  # type: ignore[import-not-found]
from com.sun.star.connection import NoConnectException  # type: ignore[import-not-found]
from com.sun.star.task import XInteractionHandler2  # type: ignore[import-not-found]

from tests.desk_module import serve

_FILTERS = {
    ".docx": "MS Word 2007 XML",
    ".xlsx": "Calc MS Excel 2007 XML",
    ".odt": "writer8",
    ".ods": "calc8",
    ".txt": "Text",
}


class _Person(unohelper.Base, XInteractionHandler2):
    """Whoever sits there: signs in, and answers what else is asked by ``answer`` (Approve, Disapprove, Abort)."""

    def __init__(self, login: str, password: str) -> None:
        self.login, self.password, self.answer = login, password, "Abort"
        self.asked: list[str] = []

    def handle(self, request: Any) -> None:
        self.handleInteractionRequest(request)

    def handleInteractionRequest(self, request: Any) -> bool:  # noqa: N802 - LibreOffice's
        # By the answers that there are: PyUNO hands no request over that is an exception, as they all are.
        answers = request.getContinuations()
        for one in answers:
            if _is(one, "com.sun.star.ucb.XInteractionSupplyAuthentication"):
                one.setUserName(self.login)
                one.setPassword(self.password)
                one.select()
                return True
        of_task = {
            name: one
            for one in answers
            for name in ("Approve", "Disapprove", "Abort")
            if _is(one, f"com.sun.star.task.XInteraction{name}")
        }
        self.asked.append(" ".join(of_task))
        if self.answer in of_task:
            of_task[self.answer].select()
        return self.answer in of_task


def _is(one: Any, interface: str) -> bool:
    return one.queryInterface(uno.getTypeByName(interface)) is not None


class Office:
    """One program a person, each with a profile of its own."""

    def __init__(self) -> None:
        self.desktops: dict[str, Any] = {}
        self.people: dict[str, _Person] = {}
        self.documents: dict[tuple[str, str], Any] = {}

    def start(self, login: str, password: str) -> str:
        """Its version."""
        pipe = f"beffroi-{os.urandom(6).hex()}"
        profile = Path.home() / login
        command = (
            "soffice", "--headless", "--norestore", "--nologo", "--nodefault",
            f"-env:UserInstallation={profile.as_uri()}", f"--accept=pipe,name={pipe};urp",
        )  # fmt: skip
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        here = uno.getComponentContext()
        resolver = here.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", here)
        while True:
            try:
                there = resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
                break
            except NoConnectException:
                assert running.poll() is None
                time.sleep(0.1)
        make = there.ServiceManager.createInstanceWithContext
        self.desktops[login] = make("com.sun.star.frame.Desktop", there)
        self.people[login] = _Person(login, password)
        settings = make("com.sun.star.configuration.ConfigurationProvider", there)
        product = settings.createInstanceWithArguments(
            "com.sun.star.configuration.ConfigurationAccess",
            (_property("nodepath", "/org.openoffice.Setup/Product"),),
        )
        return str(product.ooSetupVersionAboutBox)

    def asked(self, login: str) -> list[str]:
        """What the program wanted to know since the last time."""
        asked, self.people[login].asked = self.people[login].asked, []
        return asked

    def open(self, login: str, url: str, answer: str = "Abort") -> bool:
        """Whether it can be written. ``url``: http, or private:factory/swriter."""
        self.people[login].answer = answer
        given = [_property("InteractionHandler", self.people[login]), _property("Hidden", True)]
        if Path(url).suffix:  # else it looks into the file first, and asks its own windows for the password
            given.append(_property("FilterName", _FILTERS[Path(url).suffix]))
        document = self.desktops[login].loadComponentFromURL(_there(url), "_blank", 0, tuple(given))
        assert document is not None, self.people[login].asked
        self.documents[login, url] = document
        return not document.isReadonly()

    def write(self, login: str, url: str, text: str) -> None:
        document = self.documents[login, url]
        if hasattr(document, "getText"):
            document.getText().setString(text)
        else:
            document.getSheets().getByIndex(0).getCellByPosition(0, 0).setString(text)

    def read(self, login: str, url: str) -> str:
        document = self.documents[login, url]
        if hasattr(document, "getText"):
            return str(document.getText().getString())
        return str(document.getSheets().getByIndex(0).getCellByPosition(0, 0).getString())

    def save(self, login: str, url: str) -> None:
        self.documents[login, url].store()

    def save_as(self, login: str, url: str, other: str) -> None:
        document = self.documents[login, other] = self.documents.pop((login, url))
        document.storeAsURL(
            _there(other),
            (
                _property("FilterName", _FILTERS[Path(other).suffix]),
                _property("InteractionHandler", self.people[login]),
            ),
        )

    def close(self, login: str, url: str) -> None:
        self.documents.pop((login, url)).close(True)


def _there(url: str) -> str:
    return url.replace("http://", "vnd.sun.star.webdav://", 1)


def _property(name: str, value: Any) -> Any:
    one = PropertyValue()
    one.Name, one.Value = name, value
    return one


def main() -> None:
    office = Office()
    serve({name: getattr(office, name) for name in dir(Office) if not name.startswith("_")})


if __name__ == "__main__":
    main()
