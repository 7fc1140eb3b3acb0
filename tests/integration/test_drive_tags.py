"""Tags over HTTP, as sync clients and phones ask for them: each commune's own, on files that one sees."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME
from lxml import etree

from tests.drive_server import B, Served
from tests.drive_sharing import answer, share
from tests.drive_sync import FILES, SPACES, found, hrefs

pytest_plugins = ["tests.fixtures_drive_sync"]
LIST, RELATIONS = "/remote.php/dav/systemtags", "/remote.php/dav/systemtags-relations/files"
OC = 'xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"'
ASKED = f"<d:propfind {OC}><d:prop><oc:id/><oc:display-name/><oc:can-assign/></d:prop></d:propfind>".encode()


def made(drive: Served, name: str, path: str = LIST, login: str = "alice", **more: object) -> str:
    """Its identifier."""
    status, headers, body = drive.ask("POST", path, json.dumps({"name": name, **more}).encode(), login)
    assert status == 201, body
    return re.fullmatch(rf"{LIST}/(\d+)", headers["content-location"])[1]


def file(drive: Served, name: str, login: str = "alice") -> str:
    """Its number."""
    headers = drive.ask("PUT", f"/remote.php/dav/files/{login}/{name}", b"x", login)[1]
    return str(int(re.match(r"\d+", headers["oc-fileid"])[0]))


def on(drive: Served, number: str, login: str = "alice") -> list[str]:
    status, _, body = drive.ask("PROPFIND", f"{RELATIONS}/{number}", ASKED, login, Depth="1")
    assert status == 207
    return found(body, "d:response/d:propstat[d:status='HTTP/1.1 200 OK']/d:prop/oc:display-name")


def filtered(drive: Served, login: str, *rules: str, at: str = "") -> tuple[int, list[str]]:
    body = (
        f"<oc:filter-files {OC}><d:prop><oc:fileid/></d:prop><oc:filter-rules>{''.join(rules)}</oc:filter-rules>"
        "</oc:filter-files>"
    )
    status, _, said = drive.ask("REPORT", f"/remote.php/dav/files/{login}{at}", body.encode(), login)
    return status, hrefs(said) if status == 207 else []


def tag(number: str) -> str:
    return f"<oc:systemtag>{number}</oc:systemtag>"


def test_a_commune_has_its_list_and_its_people_put_them_on_files(drive: Served, name: str) -> None:
    name = name[:30]
    number = file(drive, f"Commune/{name}")
    one = made(drive, f"{name} <à signer>")
    two = made(drive, f"{name} 2", f"{RELATIONS}/{number}")
    listed = drive.ask("PROPFIND", LIST, ASKED, "amir")[2]
    assert {f"{LIST}/{one}", f"{LIST}/{two}"} <= set(hrefs(listed)) and hrefs(listed)[0] == f"{LIST}/"
    assert drive.ask("PUT", f"{RELATIONS}/{number}/{one}", login="amir")[0] == 201
    assert drive.ask("PUT", f"{RELATIONS}/{number}/{one}")[0] == 409
    assert on(drive, number, "elise") == [f"{name} 2", f"{name} <à signer>"]
    assert hrefs(drive.ask("PROPFIND", f"{RELATIONS}/{number}/")[2]) == [
        f"{RELATIONS}/{number}/{end}" for end in ("", two, one)
    ]
    path = f"{FILES}/Commune/{name}"
    asked = f"<d:propfind {OC}><d:prop><nc:system-tags/></d:prop></d:propfind>".encode()
    for at, depth in ((path, "0"), (f"{FILES}/Commune", "1")):
        said = etree.fromstring(drive.ask("PROPFIND", at, asked, Depth=depth)[2])
        shown = said.findall(".//nc:system-tag", SPACES)
        assert [(word.text, word.get(f"{{{SPACES['oc']}}}id")) for word in shown] == [
            (f"{name} 2", two),
            (f"{name} <à signer>", one),
        ]
    assert filtered(drive, "alice", tag(one), tag(two)) == (207, [path])
    assert filtered(drive, "alice", tag(one), "<oc:favorite>1</oc:favorite>") == (207, [])
    assert drive.ask("DELETE", f"{RELATIONS}/{number}/{two}")[0] == 204
    assert drive.ask("DELETE", f"{RELATIONS}/{number}/{two}")[0] == 404
    assert filtered(drive, "alice", tag(one), tag(two)) == (207, [])
    assert drive.ask("DELETE", f"{LIST}/{one}", login="amir")[0] == 403, "who made it, and référents"
    change = (
        f"<d:propertyupdate {OC}><d:set><d:prop><oc:display-name>{name} 3</oc:display-name>"
        "<oc:user-visible>false</oc:user-visible></d:prop></d:set></d:propertyupdate>"
    ).encode()
    assert drive.ask("PROPPATCH", f"{LIST}/{one}", change, "amir")[0] == 403
    assert drive.ask("PROPPATCH", f"{LIST}/{one}", change)[0] == 207
    assert on(drive, number) == [f"{name} 3"] and on(drive, number, "elise") == []
    assert drive.ask("DELETE", f"{LIST}/{one}")[0] == 204
    assert on(drive, number) == [] and drive.ask("PROPFIND", f"{LIST}/{one}")[0] == 404


def test_who_only_reads_puts_no_tag_on_it_and_makes_none(drive: Served, name: str) -> None:
    number, word = file(drive, f"Commune/{name}"), made(drive, name)
    assert drive.ask("PUT", f"{RELATIONS}/{number}/{word}", login="elise")[0] == 403
    assert drive.ask("POST", LIST, json.dumps({"name": "x"}).encode(), "elise")[0] == 403
    own = file(drive, name, "elise")
    assert drive.ask("PUT", f"{RELATIONS}/{own}/{word}", login="elise")[0] == 201
    assert filtered(drive, "elise", tag(word)) == (207, [f"/remote.php/dav/files/elise/{name}"])
    assert filtered(drive, "alice", tag(word)) == (207, []), "it is on a file that she does not see"


def test_nobody_sees_or_uses_another_communes_tags_and_files(drive: Served, name: str) -> None:
    number, word = file(drive, name), made(drive, name)
    assert drive.ask("PUT", f"{RELATIONS}/{number}/{word}")[0] == 201
    own = file(drive, name, "bruno")
    assert name not in found(drive.ask("PROPFIND", LIST, ASKED, "bruno")[2], ".//oc:display-name")
    for method, path in (
        ("PROPFIND", f"{LIST}/{word}"),
        ("DELETE", f"{LIST}/{word}"),
        ("PUT", f"{RELATIONS}/{own}/{word}"),
    ):
        assert drive.ask(method, path, login="bruno")[0] == 404, (method, path)
    assert filtered(drive, "bruno", tag(word))[0] == 404
    for login in ("bruno", "amir"):
        assert drive.ask("PROPFIND", f"{RELATIONS}/{number}", login=login)[0] == 404
        assert drive.ask("PUT", f"{RELATIONS}/{number}/{word}", login=login)[0] == 404
        assert drive.ask("POST", f"{RELATIONS}/{number}", b'{"name": "y"}', login)[0] == 404
    assert made(drive, name, login="bruno"), "the same word of another commune is another tag"
    assert "y" not in found(drive.ask("PROPFIND", LIST, ASKED, "bruno")[2], ".//oc:display-name")


def test_the_tags_of_what_another_commune_shares_stay_with_it(drive: Served, name: str) -> None:
    assert drive.ask("MKCOL", f"{FILES}/{name}")[0] == 201
    number, word = file(drive, f"{name}/a"), made(drive, name)
    assert drive.ask("PUT", f"{RELATIONS}/{number}/{word}")[0] == 201
    drive.ask("PROPFIND", "/remote.php/dav/files/bruno/", login="bruno")
    answer(drive, share(drive, name, Wish("collectivite", B)))
    at = f"/{quote(SHARED_NAME)}/{name}"
    asked = f"<d:propfind {OC}><d:prop><nc:system-tags/></d:prop></d:propfind>".encode()
    status, _, said = drive.ask("PROPFIND", f"/remote.php/dav/files/bruno{at}", asked, "bruno", Depth="1")
    assert status == 207 and len(hrefs(said)) == 2 and name not in found(said, ".//nc:system-tag")
    assert filtered(drive, "bruno", tag(word), at=at)[0] == 404


def test_what_is_wrong_has_an_answer(drive: Served, name: str) -> None:
    number, word = file(drive, name), made(drive, name)
    for body in (
        b"",
        b"x",
        b"[]",
        b'{"name": 3}',
        b'{"name": ""}',
        b'{"name": "a", "userVisible": "yes"}',
        b"[" * 4000,
    ):
        assert drive.ask("POST", LIST, body)[0] == 400, body[:30]
    assert drive.ask("POST", LIST, b'{"name": "%s"}' % (b"x" * 65))[0] == 400
    assert drive.ask("POST", LIST, json.dumps({"name": name.upper()}).encode())[0] == 409
    assert drive.ask("POST", LIST, b" " * 5000)[0] == 413
    assert drive.ask("PROPFIND", LIST, Depth="deep")[0] == 400
    for method, path, status in (
        ("GET", LIST, 405),
        ("DELETE", LIST, 405),
        ("PROPFIND", f"{LIST}/x", 404),
        ("DELETE", f"{LIST}/{'9' * 30}", 404),
        ("PROPPATCH", f"{LIST}/{word}", 400),
        ("GET", f"{RELATIONS}/{number}", 405),
        ("PUT", f"{RELATIONS}/{number}/999999999", 404),
        ("PUT", f"{RELATIONS}/x/{word}", 404),
        ("PUT", f"{RELATIONS}/{number}/{word}/1", 404),
        ("PROPFIND", f"{RELATIONS.removesuffix('files')}other/1", 404),
    ):
        assert drive.ask(method, path)[0] == status, (method, path)
    odd = f"<d:propertyupdate {OC}><d:set><d:prop><oc:color>x</oc:color></d:prop></d:set></d:propertyupdate>".encode()
    assert drive.ask("PROPPATCH", f"{LIST}/{word}", odd)[0] == 400
    for rules in (("",), (tag("x"),), ("<oc:odd/>",), (tag(word), "<oc:odd/>")):
        assert filtered(drive, "alice", *rules)[0] == 422
