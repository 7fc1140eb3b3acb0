"""Whose files are, as sync clients read it: ``oc:owner-id`` and ``oc:owner-display-name``."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME

from tests.drive_asking import HOME, NS, listing, value
from tests.drive_server import COMMUNES, A, B, Served
from tests.drive_sharing import answer, share

pytest_plugins = ["tests.fixtures_drive_dav"]
OWNER = f'<oc:owner-id xmlns:oc="{NS["oc"]}"/><oc:owner-display-name xmlns:oc="{NS["oc"]}"/>'
ASKED = f'<d:propfind xmlns:d="DAV:"><d:prop><d:getetag/>{OWNER}</d:prop></d:propfind>'.encode()
ALICE, COMMUNE = ("alice", "Alice"), (A, "Commune")


def owners(
    drive: Served, path: str, login: str = "alice", depth: str = "1"
) -> dict[str, tuple[str | None, str | None]]:
    """(identifier, name) by href."""
    found = listing(drive, path, depth, ASKED, login)
    return {
        href: (value(one, "oc:owner-id"), value(one, "oc:owner-display-name")) for href, one in found.items()
    }


@pytest.fixture
def name(drive: Served, folder: str) -> str:
    """Of a folder of alice's with a file in it."""
    assert drive.ask("PUT", f"{folder}/plan.txt", b"un plan")[0] == 201
    for login in ("amir", "bruno"):
        assert drive.ask("PROPFIND", f"/remote.php/dav/files/{login}/", login=login, Depth="0")[0] == 207
    return folder.removeprefix(f"{HOME}/")


@pytest.mark.parametrize("depth", ["1", "2"])  # straight from rows, and by every property
def test_own_things_are_the_person_s_and_the_commune_s_are_its(
    drive: Served, folder: str, name: str, depth: str
) -> None:
    assert owners(drive, folder, depth=depth) == {f"{folder}/": ALICE, f"{folder}/plan.txt": ALICE}
    assert drive.ask("MKCOL", f"{HOME}/Commune/{name}")[0] == 201
    assert drive.ask("PUT", f"{HOME}/Commune/{name}/avis.txt", b"x")[0] == 201
    at = f"{HOME}/Commune/{name}"
    assert owners(drive, at, depth=depth) == {f"{at}/": COMMUNE, f"{at}/avis.txt": COMMUNE}
    root = owners(drive, f"{HOME}/")
    assert root[f"{HOME}/"] == root[f"{folder}/"] == ALICE and root[f"{HOME}/Commune/"] == COMMUNE


def test_what_a_colleague_shares_is_the_colleague_s(drive: Served, name: str) -> None:
    share(drive, name, Wish("person", "per_amir"))
    home = "/remote.php/dav/files/amir"
    shared = f"{home}/{quote(SHARED_NAME)}"
    assert owners(drive, f"{home}/", "amir")[f"{shared}/"] == ("amir", "Amir")
    assert owners(drive, f"{shared}/", "amir")[f"{shared}/{name}/"] == ALICE
    inside = owners(drive, f"{shared}/{name}", "amir")
    assert inside == {f"{shared}/{name}/": ALICE, f"{shared}/{name}/plan.txt": ALICE}


def test_what_another_commune_shares_has_its_name(drive: Served, name: str) -> None:
    answer(drive, share(drive, name, Wish("collectivite", B)))
    shared = f"/remote.php/dav/files/bruno/{quote(SHARED_NAME)}"
    theirs = (A, COMMUNES[A])
    assert owners(drive, f"{shared}/", "bruno")[f"{shared}/{name}/"] == theirs
    inside = owners(drive, f"{shared}/{name}", "bruno")
    assert inside == {f"{shared}/{name}/": theirs, f"{shared}/{name}/plan.txt": theirs}


def test_a_search_says_whose_it_is(drive: Served, name: str) -> None:
    share(drive, name, Wish("person", "per_amir"))
    where = f"<d:eq><d:prop><d:displayname/></d:prop><d:literal>{name}</d:literal></d:eq>"
    body = (
        '<d:searchrequest xmlns:d="DAV:"><d:basicsearch>'
        f"<d:select><d:prop>{OWNER}</d:prop></d:select><d:from><d:scope><d:href>/files/amir</d:href>"
        f"<d:depth>infinity</d:depth></d:scope></d:from><d:where>{where}</d:where></d:basicsearch></d:searchrequest>"
    )
    found = drive.ask("SEARCH", "/remote.php/dav/", body.encode(), login="amir")[2].decode()
    assert "<oc:owner-id>alice</oc:owner-id><oc:owner-display-name>Alice</oc:owner-display-name>" in found
