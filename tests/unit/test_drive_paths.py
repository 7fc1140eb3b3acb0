"""From URLs to names: whose tree, which names, and which tricks are refused."""

from __future__ import annotations

import pytest
from beffroi.drive.store import names
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.names import NameRefused, TooDeep
from beffroi.drive.web.dav.paths import (
    DestinationMissing,
    ForeignDestination,
    PathRefused,
    Target,
    decoded,
    local,
    target,
)
from beffroi.drive.who import Who

ALICE = Who("per_1", "mem_1", "col_1", "agent", "alice@commune.fr", "Alice", "app_1")
HOME = "/remote.php/dav/files/alice@commune.fr"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (HOME, Target(HOME, ())),
        (f"{HOME}/", Target(HOME, ())),
        (f"{HOME}/a/b", Target(HOME, ("a", "b"))),
        (f"{HOME}//a///b/", Target(HOME, ("a", "b"))),
        (
            "/remote.php/dav/files/Alice@Commune.fr/a",
            Target("/remote.php/dav/files/Alice@Commune.fr", ("a",)),
        ),
        ("/remote.php/webdav/a", Target("/remote.php/webdav", ("a",))),
        ("/dav/été", Target("/dav", ("été",))),
        ("/dav/e\u0301te\u0301", Target("/dav", ("été",))),
    ],
)
def test_a_path_leads_into_the_own_tree(path: str, expected: Target) -> None:
    assert target(path, ALICE) == expected


@pytest.mark.parametrize(
    "path",
    ["/remote.php/dav/files/bruno/a", "/remote.php/dav/files", "/remote.php/dav/filesalice", "/davos", "/"],
)
def test_every_other_path_leads_nowhere(path: str) -> None:
    with pytest.raises(AbsentNode):
        target(path, ALICE)


@pytest.mark.parametrize(
    "path",
    [
        "/dav/..",
        "/dav/a/../b",
        "/dav/.",
        "/dav/a\0",
        "/dav/a\\b",
        "/dav/a\nb",
        "/dav/   /a",
        "/dav/" + "é" * 128,
    ],
)
def test_a_name_that_no_client_may_send_is_refused(path: str) -> None:
    with pytest.raises(NameRefused):
        target(path, ALICE)


def test_a_path_is_a_hundred_names_deep_at_most() -> None:
    assert len(target("/dav" + "/a" * 100, ALICE).path) == 100
    with pytest.raises(TooDeep):
        target("/dav" + "/a" * 101, ALICE)


@pytest.mark.parametrize("raw", [b"/dav/a%2fb", b"/dav/..%2F..%2Fb", b"/dav/%ff", b"/dav/%c3%28"])
def test_a_hidden_slash_and_what_is_no_utf8_are_refused(raw: bytes) -> None:
    with pytest.raises(PathRefused):
        decoded(raw)


@pytest.mark.parametrize(
    ("url", "host", "expected"),
    [
        ("https://h/dav/a%20b", "h", "/dav/a b"),
        ("http://H:8443/dav/a", "h:8443", "/dav/a"),
        ("https://h/dav/a", "h:8443", "/dav/a"),
        ("/dav/%C3%A9", "h", "/dav/é"),
        ("http://[::1]:80/dav/a", "[::1]:80", "/dav/a"),
        ("webdavs://alice%40h.test@h:8443/dav/a", "h:8443", "/dav/a"),
    ],
)
def test_a_destination_of_this_server_is_read(url: str, host: str, expected: str) -> None:
    assert local(url, host) == expected


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://other/dav/a", ForeignDestination),
        ("https://h:99/dav/a", ForeignDestination),
        ("//other/dav/a", ForeignDestination),
        ("dav/a", DestinationMissing),
        ("http://[::1/dav/a", DestinationMissing),
        ("https://h:port/dav/a", DestinationMissing),
        ("https://h:8443/dav/a%2Fb", PathRefused),
    ],
)
def test_every_other_destination_is_refused(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        local(url, "h:8443")


def test_a_href_is_quoted_and_says_that_it_is_a_folder() -> None:
    assert (
        Target("/dav", ()).href(("été & <1>", "100 %"), is_folder=True)
        == "/dav/%C3%A9t%C3%A9%20%26%20%3C1%3E/100%20%25/"
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Plan.PDF", "application/pdf"),
        ("archives.tar.gz", "application/x-tar"),
        ("data:plan,photo.png", "image/png"),
        ("data:text/html,photo.png", "image/png"),
        ("http:page.html?photo.png", "image/png"),
        ("LISEZMOI", "application/octet-stream"),
    ],
)
def test_what_a_file_is_its_ending_says_also_where_its_name_looks_like_an_address(
    name: str, kind: str
) -> None:
    assert names.content_type(name) == kind
