"""What somebody deleted in another commune's share: they take it back themselves, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.drive.store import shares, trash, tree
from beffroi.drive.store.model import Act, Node
from beffroi.drive.store.shares import Share
from beffroi.lib import clock
from beffroi.portal.web import drive_undo
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import make, text, there
from tests.fixtures_drive_visit import folder, inside, share
from tests.fixtures_portal import no_door, portal_client

__all__ = ["client", "drive", "folder", "no_door", "share", "there"]
pytestmark = pytest.mark.django_db
NAME = "Plan de la piste.odt"
DELETED, GONE = "C’est dans la corbeille de la commune qui partage", "n’est plus là"


@pytest.fixture
def press(folder: Node, share: Share, there: Client) -> Callable[..., str]:
    """``press("undo")``: a button of what is shared, by another commune's référent; the page that follows."""

    def pressed(what: str, node: int = folder.id, by: Client = there, at: str = share.id, **more: str) -> str:
        answer = by.post(f"/coffre/chez/{at}/{node}/", {"what": what, **more}, follow=True)
        return answer.content.decode()

    return pressed


def trashed(drive: Drive) -> list[str]:
    with drive.database.reading() as reading:
        return [one.name for one in trash.page(reading, drive.own.id)]


def test_a_visitor_s_deletion_is_taken_back_where_it_was_and_told(
    drive: Drive, folder: Node, share: Share, there: Client, press: Callable[..., str]
) -> None:
    page = press("delete", inside(drive, folder))
    assert DELETED in page and 'name="what" value="undo"' in page and drive.names(folder) == []
    assert 'value="undo"' not in text(there, "/coffre/"), "of another tree"
    assert "C’est annulé" in press("undo")
    assert drive.names(folder) == [NAME] and trashed(drive) == []
    assert DELETED not in text(there, f"/coffre/chez/{share.id}/{folder.id}/")
    told = AuditEntry.objects.filter(verb="drive:share:crossed", details__contains='"change"')
    assert told.count() == 2, "the deletion, and its way back"
    press("undo")
    assert drive.names(folder) == [NAME]


def test_a_folder_comes_back_with_what_lies_in_it_beside_what_has_its_name_now(
    drive: Drive, folder: Node, press: Callable[..., str]
) -> None:
    plans = drive.folder("Plans", folder)
    drive.file("a.pdf", plans)
    press("delete", plans.id)
    drive.folder("Plans", folder)
    press("undo")
    assert drive.names(folder) == [NAME, "Plans", "Plans (2)"] and drive.names(plans) == ["a.pdf"]


def another_share(drive: Drive, client: Client, there: Client, nuits: Commune) -> tuple[Node, Share]:
    """A second folder that the same commune may write, and accepted."""
    second = drive.folder("Voirie")
    make(client, second.id, f"collectivite:{nuits.id}", "write")
    with drive.database.reading() as reading:
        found = shares.made_by(reading, drive.act.person_id, now_s=clock.epoch_s())
    (made,) = [one for one in found if one.node == second.id]
    there.post("/coffre/partages-avec-moi/", {"partage": made.id, "what": "accept"})
    return second, made


def owner_ends_it(drive: Drive, share: Share, there: Client) -> None:
    drive.database.write(lambda writing: shares.end(writing, share.id, now_s=clock.epoch_s()))


def receiver_gives_it_up(drive: Drive, share: Share, there: Client) -> None:
    there.post("/coffre/partages-avec-moi/", {"partage": share.id, "what": "refuse"})


def owner_deletes_the_folder(drive: Drive, share: Share, there: Client) -> None:
    drive.database.write(lambda writing: tree.delete(writing, drive.act, share.node))


def owner_lets_read_alone(drive: Drive, share: Share, there: Client) -> None:
    drive.database.write(
        lambda writing: writing.run("UPDATE share SET rights = 'read' WHERE id = ?", (share.id,))
    )


def time_passes(drive: Drive, share: Share, there: Client) -> None:
    session = there.session
    session[drive_undo.DONE_KEY] |= {"at_s": clock.epoch_s() - drive_undo.UNDO_S - 1}
    session.save()


@pytest.mark.parametrize(
    "ends",
    [owner_ends_it, receiver_gives_it_up, owner_deletes_the_folder, owner_lets_read_alone, time_passes],
)
def test_nothing_comes_back_once(
    drive: Drive,
    folder: Node,
    share: Share,
    there: Client,
    press: Callable[..., str],
    *,
    ends: Callable[[Drive, Share, Client], None],
) -> None:
    press("delete", inside(drive, folder))
    ends(drive, share, there)
    press("undo")
    assert drive.names(folder) == [] and NAME in trashed(drive)


def test_what_lay_in_a_folder_that_left_the_share_does_not_come_back(
    drive: Drive, folder: Node, press: Callable[..., str]
) -> None:
    plans = drive.folder("Plans", folder)
    one = drive.file("a.pdf", plans)
    press("delete", one.id)
    drive.database.write(lambda w: tree.move(w, drive.act, plans.id, drive.own.id, "Plans"))
    press("undo", plans.id)
    press("undo")
    assert drive.names(plans) == [] and "a.pdf" in trashed(drive)


def test_what_is_shared_comes_back_where_it_is_shared_now_and_nowhere_else(
    drive: Drive, folder: Node, press: Callable[..., str]
) -> None:
    """Its owner moved the shared folder to *Commune* meanwhile: nothing is made in the owner's own files."""
    press("delete", inside(drive, folder))
    drive.database.write(lambda w: tree.move(w, drive.act, folder.id, drive.common.id, folder.name))
    before = drive.names()
    assert "C’est annulé" in press("undo")
    assert drive.names(folder) == [NAME] and drive.names() == before


def test_nobody_takes_back_what_somebody_else_deleted(
    drive: Drive, folder: Node, share: Share, client: Client, press: Callable[..., str], *, nuits: Commune
) -> None:
    node, other = inside(drive, folder), portal_client(nuits.agent_membership)
    press("delete", node)
    # A colleague of the receiver has nothing to take back, whatever their own page says last.
    assert 'value="undo"' not in text(other, f"/coffre/chez/{share.id}/{folder.id}/")
    press("undo", by=other)
    assert drive.names(folder) == []
    # Its owner took it back and deleted it: now it is the owner's deletion.
    taken = client.post("/coffre/corbeille/", {"what": "restore", "n": node}, follow=True)
    assert "rendu à sa place" in taken.content.decode()
    drive.database.write(lambda writing: tree.delete(writing, drive.act, node))
    assert GONE in press("undo")
    assert drive.names(folder) == []


def test_another_commune_has_no_way_to_it(
    drive: Drive, folder: Node, share: Share, make_commune: Any, press: Callable[..., str], *, nuits: Commune
) -> None:
    press("delete", inside(drive, folder))
    third = portal_client(make_commune("Seurre", "seurre.test").referent_membership)
    assert third.post(f"/coffre/chez/{share.id}/{folder.id}/", {"what": "undo"}).status_code == 404
    assert drive.names(folder) == []


def test_a_deletion_by_one_share_is_not_taken_back_by_another_nor_at_home(
    drive: Drive,
    folder: Node,
    share: Share,
    client: Client,
    there: Client,
    *,
    press: Callable[..., str],
    nuits: Commune,
) -> None:
    second, other = another_share(drive, client, there, nuits)
    press("delete", inside(drive, folder))
    press("undo", second.id, at=other.id)
    own = Drive(nuits.referent_membership)
    there.post("/coffre/agir/", {"what": "undo", "dossier": str(own.own.id)})
    assert drive.names(folder) == [] and drive.names(second) == [] and own.names() == []
    press("undo")
    assert drive.names(folder) == [NAME]


def test_what_the_session_says_is_judged_again(
    drive: Drive, folder: Node, share: Share, there: Client, press: Callable[..., str], *, nuits: Commune
) -> None:
    """Even if it named what the person deleted elsewhere, or what another one did, the share decides."""
    secret = drive.file("Secret.odt")
    mine = Act(nuits.referent.id, "", clock.epoch_s())
    press("delete", inside(drive, folder))
    drive.database.write(lambda writing: tree.delete(writing, mine, secret.id))
    session = there.session
    session[drive_undo.DONE_KEY] |= {"rows": [[secret.id, folder.id, secret.name]]}
    session.save()
    assert GONE in press("undo")
    assert "Secret.odt" in trashed(drive) and drive.names(folder) == []
