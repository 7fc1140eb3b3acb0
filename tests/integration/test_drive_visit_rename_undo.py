"""What somebody renamed in another commune's share: they take the name back while it is theirs to, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.drive.store import tree, versions
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import Share
from beffroi.portal.web import drive_undo
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import text, there
from tests.fixtures_drive_visit import folder, inside, share
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_visit_undo import (
    GONE,
    NAME,
    another_share,
    owner_ends_it,
    owner_lets_read_alone,
    press,
    receiver_gives_it_up,
    time_passes,
)

__all__ = ["client", "drive", "folder", "no_door", "press", "share", "there"]
pytestmark = pytest.mark.django_db
NEW = "Plan 2027.odt"
RENAMED, CHANGED, OFFER = "C’est renommé, chez la commune qui partage.", "entre-temps", 'value="undo"'
Press = Callable[..., str]


@pytest.fixture
def node(drive: Drive, folder: Node, share: Share, press: Press) -> int:
    """The document of the share, which the visitor just renamed."""
    found = inside(drive, folder)
    page = press("rename", found, name=NEW)
    assert RENAMED in page and OFFER in page and drive.names(folder) == [NEW]
    return found


def test_a_visitor_s_new_name_is_taken_back_and_told(
    drive: Drive, folder: Node, share: Share, there: Client, node: int, *, press: Press
) -> None:
    for elsewhere in ("/coffre/", f"/coffre/chez/{share.id}/{folder.id}/"):
        assert OFFER not in text(there, elsewhere), "of another tree, or of another page"
    page = press("undo", node)
    assert "C’est annulé" in page and OFFER not in page and f"<h1>{NAME}</h1>" in page
    assert drive.names(folder) == [NAME]
    told = AuditEntry.objects.filter(verb="drive:share:crossed", details__contains='"change"')
    assert told.count() == 2, "the new name, and its way back"
    press("undo", node)
    assert drive.names(folder) == [NAME]


def test_a_folder_has_its_name_again_whatever_was_written_in_it_since(
    drive: Drive, folder: Node, press: Press
) -> None:
    plans = drive.folder("Plans", folder)
    assert RENAMED in press("rename", plans.id, name="Relevés")
    drive.file("a.pdf", plans)
    assert "C’est annulé" in press("undo", plans.id)
    assert drive.names(folder) == [NAME, "Plans"] and drive.names(plans) == ["a.pdf"]


def test_of_two_names_the_last_one_is_taken_back_and_of_the_same_name_none(
    drive: Drive, folder: Node, node: int, press: Press
) -> None:
    press("rename", node, name="Plan 2028.odt")
    press("undo", node)
    assert drive.names(folder) == [NEW]
    page = press("rename", node, name=NEW)
    assert "C’est fait" in page and OFFER not in page


def test_after_a_version_was_brought_back_the_name_is_no_longer_what_was_done_last(
    drive: Drive, folder: Node, node: int, press: Press
) -> None:
    drive.file(NEW, folder)
    with drive.database.reading() as reading:
        (old,) = versions.of(reading, node)
    assert OFFER in press("version", node, etag="1"), "nothing was done"
    page = press("version", node, etag=str(old.etag))
    assert "C’est fait" in page and OFFER not in page


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (owner_ends_it, "Ce n’est plus là"),
        (receiver_gives_it_up, "Ce n’est plus là"),
        (owner_lets_read_alone, "Vous pouvez le lire, pas le modifier"),
        (time_passes, CHANGED),
    ],
)
def test_the_new_name_stays_once(
    drive: Drive,
    folder: Node,
    share: Share,
    there: Client,
    node: int,
    *,
    press: Press,
    ends: Callable[[Drive, Share, Client], None],
    words: str,
) -> None:
    ends(drive, share, there)
    assert words in press("undo", node)
    assert drive.names(folder) == [NEW]


def written(drive: Drive, folder: Node, node: int) -> list[str]:
    drive.file(NEW, folder)
    return [NEW]


def renamed(drive: Drive, folder: Node, node: int) -> list[str]:
    drive.database.write(lambda writing: tree.move(writing, drive.act, node, folder.id, "Autre.odt"))
    return ["Autre.odt"]


def moved_below(drive: Drive, folder: Node, node: int) -> list[str]:
    into = drive.folder("Archives", folder)
    drive.database.write(lambda writing: tree.move(writing, drive.act, node, into.id, NEW))
    return ["Archives"]


def moved_out(drive: Drive, folder: Node, node: int) -> list[str]:
    drive.database.write(lambda writing: tree.move(writing, drive.act, node, drive.own.id, NEW))
    return []


def deleted(drive: Drive, folder: Node, node: int) -> list[str]:
    drive.database.write(lambda writing: tree.delete(writing, drive.act, node))
    return []


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [(written, CHANGED), (renamed, CHANGED), (moved_below, CHANGED), (moved_out, GONE), (deleted, GONE)],
)
def test_what_its_owner_changed_meanwhile_stays_as_they_left_it(
    drive: Drive,
    folder: Node,
    node: int,
    press: Press,
    *,
    meanwhile: Callable[[Drive, Node, int], list[str]],
    words: str,
) -> None:
    left = meanwhile(drive, folder, node)
    assert words in press("undo", node)
    assert drive.names(folder) == left and NAME not in drive.names()


def test_a_folder_that_its_owner_renamed_meanwhile_keeps_that_name(
    drive: Drive, folder: Node, press: Press
) -> None:
    plans = drive.folder("Plans", folder)
    press("rename", plans.id, name="Relevés")
    drive.database.write(lambda writing: tree.move(writing, drive.act, plans.id, folder.id, "Archives"))
    assert CHANGED in press("undo", plans.id)
    assert drive.names(folder) == ["Archives", NAME]


def test_a_name_that_is_taken_meanwhile_is_said_and_free_again_is_given(
    drive: Drive, folder: Node, node: int, press: Press
) -> None:
    other = drive.file(NAME, folder)
    page = press("undo", node)
    assert "Ce nom est déjà pris" in page and OFFER in page
    assert drive.names(folder) == [NEW, NAME]
    drive.database.write(lambda writing: tree.delete(writing, drive.act, other.id))
    assert "C’est annulé" in press("undo", node)
    assert drive.names(folder) == [NAME]


def test_nobody_takes_back_what_somebody_else_renamed(
    drive: Drive, folder: Node, share: Share, node: int, press: Press, *, nuits: Commune
) -> None:
    other = portal_client(nuits.agent_membership)
    assert OFFER not in text(other, f"/coffre/chez/{share.id}/{node}/")
    assert CHANGED in press("undo", node, by=other)
    assert drive.names(folder) == [NEW]


def test_another_commune_has_no_way_to_it(
    drive: Drive, folder: Node, share: Share, node: int, make_commune: Any
) -> None:
    third = portal_client(make_commune("Seurre", "seurre.test").referent_membership)
    for page in (node, folder.id, 0):
        at = f"/coffre/chez/{share.id}/{page}/"
        assert third.post(at, {"what": "undo"}).status_code == 404
    assert drive.names(folder) == [NEW]


def test_a_name_given_by_one_share_is_not_taken_back_by_another_nor_at_home(
    drive: Drive, folder: Node, client: Client, there: Client, node: int, *, press: Press, nuits: Commune
) -> None:
    second, other = another_share(drive, client, there, nuits)
    press("undo", second.id, at=other.id)
    press("undo", node, at=other.id)
    there.post("/coffre/agir/", {"what": "undo", "dossier": str(Drive(nuits.referent_membership).own.id)})
    assert drive.names(folder) == [NEW]
    press("undo", node)
    assert drive.names(folder) == [NAME]


def test_what_the_session_says_is_judged_again(
    drive: Drive, folder: Node, there: Client, node: int, press: Press
) -> None:
    """Even if it named a file outside of the share, the share decides."""
    secret = drive.file("Secret.odt")
    session = there.session
    session[drive_undo.DONE_KEY] |= {"rows": [[secret.id, drive.own.id, "Pris.odt", secret.name, 0]]}
    session.save()
    assert GONE in press("undo", node)
    assert "Secret.odt" in drive.names() and drive.names(folder) == [NEW]
