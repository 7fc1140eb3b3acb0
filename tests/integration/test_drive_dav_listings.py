"""Listings that are made straight from rows say the same as those that go through every property."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from beffroi.drive.web.dav import plain, properties
from beffroi.drive.web.dav.owners import Owner
from lxml import etree

from tests.drive_asking import BODIES, HOME, NS, listing
from tests.drive_server import Served

pytest_plugins = ["tests.fixtures_drive_dav"]
NAMES = [local for _, local in plain.COLUMNS]
FILES = ("100 % sûr & <vrai>.pdf", "%s%d.txt", "a", "vide", "日本語.txt", "un'deux\"trois.odt")


def wish(names: list[str], more: str = "") -> bytes:
    asked = "".join(f"<d:{name}/>" for name in names)
    return f'<d:propfind xmlns:d="DAV:" xmlns:oc="{NS["oc"]}"><d:prop>{asked}{more}</d:prop></d:propfind>'.encode()


def said(response: etree._Element) -> list[tuple[str, str, str | None, list[str]]]:
    """(status, name, text, names inside) of all DAV properties."""
    return sorted(
        (stat.findtext("d:status", namespaces=NS), one.tag, one.text, [inner.tag for inner in one])
        for stat in response.findall("d:propstat", NS)
        for one in stat.find("d:prop", NS)
        if one.tag.startswith("{DAV:}")
    )


@pytest.fixture
def filled(drive: Served, folder: str) -> str:
    for name in FILES:
        assert drive.ask("PUT", f"{folder}/{quote(name)}", b"" if name == "vide" else b"x" * 300)[0] == 201
    assert drive.ask("MKCOL", f"{folder}/dossier%20%25s")[0] == 201
    assert drive.ask("PROPPATCH", f"{folder}/a", BODIES["PROPPATCH"])[0] == 207
    return folder


@pytest.mark.parametrize("names", [NAMES, ["getcontentlength"], ["getetag", "resourcetype"], NAMES[::-1]])
def test_both_ways_of_listing_say_the_same(drive: Served, filled: str, names: list[str]) -> None:
    assert plain.Listing.of(tuple(("DAV:", name) for name in names)) is not None
    straight = listing(drive, filled, body=wish(names))
    general = listing(drive, filled, body=wish(names, "<oc:size/>"))
    assert next(iter(straight)) == next(iter(general)) == f"{filled}/"
    assert len(straight) == len(FILES) + 2
    assert {href: said(one) for href, one in straight.items()} == {
        href: said(one) for href, one in general.items()
    }


def test_whose_a_folder_is_is_said_straight_of_each_row() -> None:
    names = (("DAV:", "getcontentlength"), properties.OWNER_NAME)
    straight = plain.Listing.of(names)
    assert straight is not None and [one.name for one in straight.columns] == ["size_bytes"]
    rows = [("a.txt", 0, 7), ("b", 1, 0)]
    file, folder = straight.elements("/x/", Owner("zoe", "50 % & <Zoé>"), rows)
    for element in (file, folder):
        assert "<oc:owner-display-name>50 % &amp; &lt;Zoé&gt;</oc:owner-display-name>" in element
    assert "<d:getcontentlength>7</d:getcontentlength>" in file and "404" in folder and "404" not in file


def test_a_folder_without_files_and_one_that_shows_others_are_listed_whole(
    drive: Served, folder: str
) -> None:
    assert list(listing(drive, folder, body=wish(NAMES))) == [f"{folder}/"]
    assert f"{HOME}/Commune/" in listing(drive, HOME, body=wish(NAMES))


def test_what_nobody_knows_is_absent_whatever_signs_its_name_has(drive: Served, filled: str) -> None:
    body = wish(["getetag"], '<x:a xmlns:x="urn:100%25s"/>')
    for href, one in listing(drive, filled, body=body).items():
        stats = {stat.findtext("d:status", namespaces=NS): stat for stat in one.findall("d:propstat", NS)}
        assert set(stats) == {"HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"}, href
        assert stats["HTTP/1.1 404 Not Found"].find("d:prop/{urn:100%25s}a", NS) is not None


def test_a_listing_goes_as_deep_as_it_is_asked(drive: Served, folder: str) -> None:
    for path in ("b", "b/c", "b/c/d", "b/c/d/e", "é"):
        assert drive.ask("MKCOL", f"{folder}/{quote(path)}")[0] == 201
    for path in ("a.txt", "b/c/f.txt"):
        assert drive.ask("PUT", f"{folder}/{path}", b"x")[0] == 201
    found = {depth: listing(drive, folder, depth) for depth in ("0", "1", "2", "3", "4", "100", "infinity")}
    assert [len(one) for one in found.values()] == [1, 4, 5, 7, 8, 8, 8]
    assert next(iter(found["infinity"])) == f"{folder}/" and f"{folder}/b/c/d/e/" in found["4"]
    every = list(found["infinity"])
    assert all(
        every.index(above) <= every.index(one) for one in every for above in every if one.startswith(above)
    )
    for href, one in found["infinity"].items():
        assert said(one) == said(next(iter(listing(drive, href, "0").values()))), "as each says it by itself"
    whole = listing(drive, HOME, "infinity")
    assert {f"{HOME}/Commune/", f"{folder}/b/c/f.txt"} <= set(whole)
