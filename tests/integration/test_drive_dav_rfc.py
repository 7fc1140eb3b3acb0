"""What RFC 4918 and RFC 9110 say of cases that are rare."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME

from tests.drive_asking import BODIES, HOME, etag, listing, value
from tests.drive_server import PEOPLE, Served
from tests.drive_sharing import share

pytest_plugins = ["tests.fixtures_drive_dav"]
DATED = (
    '<d:propertyupdate xmlns:d="DAV:" xmlns:z="urn:schemas-microsoft-com:"><d:set><d:prop>'
    "<z:Win32LastModifiedTime>{}</z:Win32LastModifiedTime></d:prop></d:set></d:propertyupdate>"
)


@pytest.mark.parametrize(
    "said",
    ["Fri, 31 Dec 9999 23:59:59 -1200", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 1601 00:00:00 GMT"],
)
def test_a_time_that_no_calendar_has_leaves_the_folder_readable(
    drive: Served, folder: str, said: str
) -> None:
    path = f"{folder}/plan.txt"
    assert drive.ask("PUT", path, b"un plan", X_OC_Mtime="1500000000")[0] == 201
    assert drive.ask("PROPPATCH", path, DATED.format(said).encode())[0] == 207
    found = listing(drive, f"{folder}/")
    assert value(found[path], "d:getlastmodified") == "Fri, 14 Jul 2017 02:40:00 GMT"
    assert drive.ask("GET", path)[2] == b"un plan"


@pytest.mark.parametrize("said", ["hier", "", "Mon, 01 Jan 1601 00:00:00 GMT"])
def test_a_time_that_is_not_set_is_not_said_to_be(drive: Served, folder: str, said: str) -> None:
    """And what came with it is not set either (RFC 4918, section 9.2)."""
    path = f"{folder}/plan.txt"
    assert drive.ask("PUT", path, b"un plan", X_OC_Mtime="1500000000")[0] == 201
    body = (
        '<d:propertyupdate xmlns:d="DAV:" xmlns:x="u:"><d:set><d:prop>'
        f"<d:lastmodified>{said}</d:lastmodified><x:a>1</x:a></d:prop></d:set></d:propertyupdate>"
    )
    status, _, answer = drive.ask("PROPPATCH", path, body.encode())
    assert status == 207
    assert re.findall(rb"HTTP/1.1 \d+", answer) == [b"HTTP/1.1 409", b"HTTP/1.1 424"]
    asked = (
        b'<d:propfind xmlns:d="DAV:" xmlns:x="u:"><d:prop><d:getlastmodified/><x:a/></d:prop></d:propfind>'
    )
    found = drive.ask("PROPFIND", path, asked, Depth="0")[2]
    assert b"Fri, 14 Jul 2017 02:40:00 GMT" in found and b">1<" not in found


@pytest.mark.parametrize("sign", ["\ufffe", "\uffff"])
def test_a_name_that_no_xml_may_hold_is_refused(drive: Served, folder: str, sign: str) -> None:
    """The list of its folder would be no XML, for everybody who sees it."""
    assert drive.ask("PUT", f"{folder}/{quote(f'a{sign}.txt')}", b"x")[0] == 400
    assert list(listing(drive, f"{folder}/")) == [f"{folder}/"]


def test_a_token_of_somebody_else_opens_no_lock_below_a_folder(drive: Served) -> None:
    """Whoever reads a file sees the tokens of its locks."""
    alice, amir = (f"/remote.php/dav/files/{login}/Commune/verrous" for login in ("alice", "amir"))
    assert drive.ask("MKCOL", alice)[0] == 201
    assert drive.ask("PUT", f"{alice}/budget.ods", b"1")[0] == 201
    status, headers, _ = drive.ask("LOCK", f"{alice}/budget.ods", BODIES["LOCK"])
    assert status == 200
    shown = f"({headers['lock-token']})"
    for method, more in (("DELETE", {}), ("MOVE", {"Destination": f"{amir}-2"})):
        shows = {"If": f"<{amir}/budget.ods> {shown}", **more}
        assert drive.ask(method, amir, b"", "amir", **shows)[0] == 423, method
    assert drive.ask("DELETE", alice)[0] == 423
    assert drive.ask("DELETE", alice, If=f"<{alice}/budget.ods> {shown}")[0] == 204


def test_the_folder_of_what_is_shared_is_not_copied_as_an_empty_one(drive: Served, folder: str) -> None:
    theirs = "/remote.php/dav/files/amir/prêté"
    assert drive.ask("MKCOL", quote(theirs), login="amir")[0] == 201
    assert drive.ask("PUT", quote(f"{theirs}/plan.txt"), b"un plan", "amir")[0] == 201
    share(drive, "prêté", Wish("person", PEOPLE["alice"].person_id), "amir")
    shared = f"{HOME}/{quote(SHARED_NAME)}"
    status, _, said = drive.ask("COPY", shared, Destination=f"{folder}/copie")
    assert (status, "un dossier après l’autre" in said.decode()) == (403, True)
    assert list(listing(drive, f"{folder}/")) == [f"{folder}/"]
    assert drive.ask("COPY", f"{shared}/{quote('prêté')}", Destination=f"{folder}/copie")[0] == 201
    assert drive.ask("GET", f"{folder}/copie/plan.txt")[2] == b"un plan"


def test_a_property_keeps_the_language_that_is_said_above_it(drive: Served, folder: str) -> None:
    said = (
        b'<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop xml:lang="oc"><u:title xmlns:u="u:">Lo plan</u:title>'
        b'<u:own xml:lang="br" xmlns:u="u:">Ar steuun</u:own></d:prop></d:set></d:propertyupdate>'
    )
    assert drive.ask("PROPPATCH", folder, said)[0] == 207
    (found,) = listing(drive, folder, "0", b"").values()
    lang = "{http://www.w3.org/XML/1998/namespace}lang"
    titles = [found.find(f".//{{u:}}{name}") for name in ("title", "own")]
    assert [(one.text, one.get(lang)) for one in titles] == [("Lo plan", "oc"), ("Ar steuun", "br")]


@pytest.mark.parametrize("name", ["voilà", "été à Å"])
def test_an_address_in_a_header_may_come_as_bytes_of_utf_8(drive: Served, folder: str, name: str) -> None:
    """Scripts with curl write it so; no address may hold a space, which is quoted."""
    said = f"{folder}/{name.replace(' ', '%20')}".encode().decode("latin-1")
    assert drive.ask("PUT", f"{folder}/plan.txt", b"un plan")[0] == 201
    _, headers, _ = drive.ask("COPY", f"{folder}/plan.txt", Destination=said)
    assert drive.ask("GET", f"{folder}/{quote(name)}")[2] == b"un plan"
    assert drive.ask("GET", f"{folder}/plan.txt", If=f"<{said}> ([{headers['etag']}])")[0] == 200


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_the_etag_of_a_copied_folder_is_the_one_that_it_has(drive: Served, folder: str, method: str) -> None:
    assert drive.ask("MKCOL", f"{folder}/a")[0] == 201
    assert drive.ask("PUT", f"{folder}/a/plan.txt", b"un plan")[0] == 201
    _, headers, _ = drive.ask(method, f"{folder}/a", Destination=f"{folder}/b")
    assert headers["etag"] == headers["oc-etag"] == etag(drive, f"{folder}/b")


def test_a_depth_of_a_file_and_a_range_of_a_head_mean_nothing(drive: Served, folder: str) -> None:
    path = f"{folder}/plan.txt"
    assert drive.ask("PUT", path, b"un plan")[0] == 201
    status, headers, _ = drive.ask("HEAD", path, Range="bytes=0-1")
    assert (status, headers["content-length"], "content-range" in headers) == (200, "7", False)
    assert drive.ask("DELETE", folder, Depth="0")[0] == 400
    assert drive.ask("DELETE", path, Depth="0")[0] == 204
    assert drive.ask("DELETE", f"{folder}/absent", Depth="0")[0] == 404
