"""`up` as a person types it, with an office editor: previews in their sandbox, a document made, written and kept.

Whoever runs this suite must be root, as for `test_up_centre`.
"""

from __future__ import annotations

import grp
import hashlib
import http.client
import os
import pwd
import re
import secrets
import signal
import ssl
import subprocess
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from beffroi.core.planes.sessions import Session, mark_of
from beffroi.core.planes.tokens import make_grant
from beffroi.drive import projections
from beffroi.drive.office import blank, tokens
from beffroi.drive.web import granted
from beffroi.drive.who import Who
from beffroi.lib import clock, ids
from beffroi.lib.config import Config
from beffroi.previews import server as previews
from beffroi.previews import wire

from tests import office_editor, office_samples
from tests.office_editor import Office
from tests.scenarios.test_up_centre import PORTS, USER, Centre, rows, running, until
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.root, pytest.mark.slow]
LOCK = "cool-lock1"


def test_documents_are_shown_and_written_in_an_editor() -> None:
    with office_editor.serving() as office, running(f'office_editor = "{office.origin}"') as centre:
        previews_have_no_network_and_are_asked_by_the_drive_alone(centre)
        an_editor_writes_behind_the_front_door(centre, office)


def previews_have_no_network_and_are_asked_by_the_drive_alone(centre: Centre) -> None:
    row = rows(centre)["previews"]
    lines = Path(f"/proc/{row['pid']}/status").read_text().splitlines()
    values = {name: found.split() for name, _, found in (line.partition(":") for line in lines)}
    assert values["NoNewPrivs"] == ["1"]
    assert {int(values[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {0}
    assert pwd.getpwuid(int(values["Uid"][1])).pw_name == f"{USER}-previews"
    path = previews.socket_path(centre.state)
    assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o660, grp.getgrnam(USER).gr_gid)
    assert path.parent.stat().st_mode & 0o7777 == 0o2750
    if subprocess.run(("unshare", "--net", "true"), check=False).returncode == 0:
        theirs = Path(f"/proc/{row['pid']}/ns/net").readlink()
        assert theirs != Path("/proc/self/ns/net").readlink()
    assert wire.ask(path, "odt", office_samples.text("Bonjour"), timeout_s=60).pictures
    os.kill(row["pid"], signal.SIGKILL)
    until(
        lambda: (found := rows(centre)["previews"])["state"] == "healthy" and found["pid"] != row["pid"],
        "the maker of previews is healthy again",
    )
    assert wire.ask(path, "odt", office_samples.text("Bonjour"), timeout_s=60).pictures


def a_session(centre: Centre, person_id: str) -> Session:
    """Of the portal, of somebody who signed in."""
    ((password,),) = centre.plane.execute("SELECT password FROM person WHERE id = ?", (person_id,))
    expires = clock.now() + timedelta(hours=12)
    centre.plane.execute(
        "INSERT INTO django_session (session_key, session_data, expire_date) VALUES (?, ?, ?)",
        ("k" * 32, "", expires),
    )
    return Session("k" * 32, mark_of(password, None))


def own_folder(centre: Centre, office: Office, who: Who) -> int:
    """Its number, which a sync client is told, as a page is; the first look makes it."""
    password = secrets.token_hex(16)
    row = projections.Row(
        sha256=hashlib.sha256(password.encode()).hexdigest(),
        app_password_id=who.app_password_id,
        person_id=who.person_id,
        membership_id=who.membership_id,
        collectivite_id=who.collectivite_id,
        role=who.role,
        login=who.login,
        display_name=who.display_name,
    )
    projections.put(Config(state=centre.state), [row.app_password_id], lambda ids: [row])
    token = b64encode(f"{who.login}:{password}".encode()).decode()
    wish = b'<d:propfind xmlns:d="DAV:" xmlns:o="http://owncloud.org/ns"><d:prop><o:fileid/></d:prop></d:propfind>'
    line = http.client.HTTPSConnection(
        "localhost", PORTS["portal_port"], timeout=PATIENCE_S, context=office.tls
    )
    line.request("PROPFIND", "/remote.php/webdav/", wish, {"Authorization": f"Basic {token}", "Depth": "0"})
    found = re.search(rb"fileid>(\d+)<", line.getresponse().read())
    assert found is not None
    return int(found[1])


def an_editor_writes_behind_the_front_door(centre: Centre, office: Office) -> None:
    key = (centre.state / "secrets" / "drive-grant.key").read_bytes().strip()
    ((membership_id, person_id, owner),) = centre.plane.execute(
        "SELECT id, person_id, collectivite_id FROM membership WHERE role = ? AND until IS NULL LIMIT 1",
        ("agent",),
    )
    port = PORTS["portal_port"]
    office.base_url = f"https://localhost:{port}"
    office.tls = ssl.create_default_context(cafile=str(centre.state / "tls" / "ca.pem"))

    def ask(method: str, path: str, body: bytes = b"") -> tuple[int, http.client.HTTPMessage, bytes]:
        cookies = "; ".join(
            f"{name}={make_grant(key, subject_id=person_id, collectivite_id=owner, paths=(of,), role='agent')}"
            for of, name in granted.COOKIES.items()
        )
        line = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE_S, context=office.tls)
        line.request(method, path, body, {"Cookie": cookies, "Origin": office.base_url})
        answer = line.getresponse()
        return answer.status, answer.headers, answer.read()

    def new(folder: int) -> bytes:
        return urlencode({"dossier": folder, "genre": "texte", "nom": "Procès-verbal"}).encode()

    home = own_folder(
        centre, office, Who(person_id, membership_id, owner, "agent", "a@b.test", "A", ids.new_id("apw"))
    )
    status, headers, _ = ask("POST", "/coffre/envoi/nouveau", new(home))
    found = re.fullmatch(r"/coffre/(\d+)/editer/", headers["location"])
    assert status == 303 and found, headers["location"]
    node = int(found[1])
    who = Who(person_id, membership_id, owner, "agent", "", "", "")
    file, session = tokens.File(owner, node), a_session(centre, person_id).sealed(key)
    token, path = tokens.make(key, who, file, may_write=True, session=session), file.path
    info = office.ask(port, "GET", path, token)
    assert info.status == 200 and info.json["BaseFileName"] == "Procès-verbal.odt", info
    assert info.json["UserFriendlyName"] and info.json["UserCanWrite"]
    assert office.ask(port, "GET", f"{path}/contents", token).body == blank.document("texte")
    assert office.ask(port, "POST", path, token, X_WOPI_Override="LOCK", X_WOPI_Lock=LOCK).status == 200
    written = office_samples.text("Le conseil s’est réuni.")
    saved = office.ask(
        port,
        "POST",
        f"{path}/contents",
        token,
        written,
        X_WOPI_Override="PUT",
        X_WOPI_Lock=LOCK,
        X_COOL_WOPI_Timestamp=info.json["LastModifiedTime"],
    )
    assert saved.status == 200, saved
    assert office.ask(port, "POST", path, token, X_WOPI_Override="UNLOCK", X_WOPI_Lock=LOCK).status == 200
    assert ask("GET", f"/coffre/octets/{node}")[2] == written
    assert ask("GET", f"/coffre/octets/bureau/{node}/page/1")[2].startswith(b"\x89PNG")
    assert office.ask(port, "GET", path, token, signed=False).status == 500
    other = tokens.make(key, who, file, may_write=True, session=Session("none", "").sealed(key))
    assert office.ask(port, "GET", path, other).status == 401
    centre.plane.execute("UPDATE membership SET until = since WHERE id = ?", (membership_id,))
    assert office.ask(port, "GET", path, token).status == 401
    log = "".join(one.read_text("utf-8", "replace") for one in (centre.state / "log").glob("*.log"))
    assert token not in log and "Procès-verbal" not in log
