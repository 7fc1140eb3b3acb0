"""Links in the portal: who makes, sees and ends them; on record before they open, and before they end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import drops, sent_files, shares, tree
from beffroi.drive.store.model import Changed, StoreFull
from beffroi.lib import clock
from django.test import Client

from tests.conftest import Commune, make_member
from tests.drive_dropping import FORM
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import only_share
from tests.drive_visitors import make, verbs
from tests.fixtures_portal import no_door, own_mailbox, portal_client

__all__ = ["client", "drive", "no_door"]
pytestmark = pytest.mark.django_db
PASSWORD = "un mot de passe"


def test_making_and_ending_are_on_record(drive: Drive, client: Client) -> None:
    make(client, drive.file("x").id, downloads="3", password=PASSWORD)
    share = only_share(drive)
    entry = AuditEntry.objects.get(verb="drive:link:made", object_id=share.id)
    assert PASSWORD not in entry.details and json.loads(entry.details)["downloads"] == 3
    for _ in range(2):
        client.post(f"/coffre/liens/{share.id}/arreter/")
    assert verbs() == ["made", "ended"]
    kinds = (
        OutboxEvent.objects.filter(kind__startswith="drive:link")
        .order_by("id")
        .values_list("kind", flat=True)
    )
    assert list(kinds) == ["drive:link_made", "drive:link_ended"]


def test_a_link_is_on_record_before_it_is_open(
    drive: Drive, beaune: Commune, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = drive.file("x")

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(shares, "make", dies)
    with pytest.raises(RuntimeError):
        client.post(f"/coffre/{node.id}/liens/", {"days": "7"})
    assert verbs() == ["made"]
    with drive.database.reading() as reading:
        assert shares.of_node(reading, node.id, now_s=clock.epoch_s()) == []


def test_a_link_that_could_not_be_made_is_on_record_as_such(
    drive: Drive, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise Changed("file")

    monkeypatch.setattr(shares, "make", refuses)
    client.post(f"/coffre/{drive.file('x').id}/liens/", {"days": "7"})
    assert verbs() == ["made", "failed"]


def test_the_end_of_a_link_is_on_record_before_it_ends(
    drive: Drive, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(client, drive.file("x").id)
    share = only_share(drive)

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(shares, "end", dies)
    with pytest.raises(RuntimeError):
        client.post(f"/coffre/liens/{share.id}/arreter/")
    assert verbs() == ["made", "ended"]
    assert only_share(drive) == share, "open as before"


def test_a_link_that_could_not_be_ended_is_on_record_as_such(
    drive: Drive, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(client, drive.file("x").id)
    share = only_share(drive)

    def refuses(*_: object, **__: object) -> None:
        raise StoreFull

    monkeypatch.setattr(shares, "end", refuses)
    assert client.post(f"/coffre/liens/{share.id}/arreter/").status_code == 507
    assert verbs() == ["made", "ended", "failed"]
    failed = AuditEntry.objects.get(verb="drive:link:failed", object_id=share.id)
    assert json.loads(failed.details) == {"what": "ended", "code": "drive.store_full"}
    assert only_share(drive) == share


def test_a_link_that_somebody_else_ended_meanwhile_has_ended(
    drive: Drive, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(client, drive.file("x").id)
    share, end = only_share(drive), shares.end

    def later(*given: Any, **more: Any) -> bool:
        return end(*given, **more) and end(*given, **more)

    monkeypatch.setattr(shares, "end", later)
    assert client.post(f"/coffre/liens/{share.id}/arreter/").status_code == 302
    assert verbs() == ["made", "ended", "failed"]


@pytest.mark.parametrize("what", ["limits of a drop link", "which mail a link is for"])
def test_a_link_opens_with_all_that_is_kept_of_it_or_not_at_all(
    drive: Drive, beaune: Commune, client: Client, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    node = drive.folder(sent_files.FOLDER)
    path, form = f"/coffre/{node.id}/depots/", FORM
    if what == "which mail a link is for":
        node = drive.file("plan.pdf", node)
        path = f"/courrier/{own_mailbox(beaune).id}/coffre/lien/"
        form = {"node": str(node.id), "days": "30", "message_id": "<1@beaune.test>"}

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError

    def made() -> list[shares.Share]:
        with drive.database.reading() as reading:
            return shares.of_node(reading, node.id, now_s=clock.epoch_s())

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(drops, "set_limits", dies)
        patch.setattr(sent_files, "note", dies)
        client.post(path, form)
    assert made() == [] and verbs() == ["made"]
    assert client.post(path, form).status_code == 200
    (one,) = made()
    with drive.database.reading() as reading:
        is_for_a_mail = sent_files.find(reading, beaune.agent.id, one.id) is not None
        most = drops.of(reading, one.id)
    if what == "which mail a link is for":
        assert is_for_a_mail
    else:
        assert (most.most_total_bytes, most.most_files) == (100_000_000, 10) and not is_for_a_mail


# -- who may ---------------------------------------------------------------------------------------------------


def test_roots_are_not_shared(drive: Drive, client: Client) -> None:
    for root in (drive.own, drive.common):
        assert client.post(f"/coffre/{root.id}/liens/", {"days": "7"}).status_code == 404
        assert "Partager ce dossier par un lien" not in client.get(f"/coffre/{root.id}/").content.decode()


def test_an_elu_reads_the_folder_of_the_commune_and_gives_no_links_to_it(
    drive: Drive, client: Client, system: Actor, beaune: Commune
) -> None:
    node = drive.file("x.pdf", drive.common)
    elu = portal_client(make_member(system, beaune.collectivite, "elu@beaune.test", "elu"))
    assert "Partager par un lien" not in elu.get(f"/coffre/{node.id}/").content.decode()
    assert elu.post(f"/coffre/{node.id}/liens/", {"days": "7"}).status_code == 403
    make(client, node.id)
    share = only_share(drive)
    assert elu.post(f"/coffre/liens/{share.id}/arreter/").status_code == 404
    assert only_share(drive).ended_s == shares.NEVER


def test_a_colleague_ends_links_of_the_commune_and_none_of_a_persons_own(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    colleague = portal_client(beaune.colleague_membership)
    make(client, drive.file("mien.pdf").id)
    own = only_share(drive)
    for method in (colleague.get, colleague.post):
        assert method(f"/coffre/liens/{own.id}/arreter/").status_code == 404
    assert only_share(drive).ended_s == shares.NEVER
    client.post(f"/coffre/liens/{own.id}/arreter/")
    common = drive.file("commun.pdf", drive.common)
    make(client, common.id)
    page = colleague.get(f"/coffre/{common.id}/liens/").content.decode()
    assert "créé par" in page
    assert "commun.pdf" not in colleague.get("/coffre/liens/").content.decode()
    assert "commun.pdf" in client.get("/coffre/liens/").content.decode()
    assert colleague.post(f"/coffre/liens/{only_share(drive).id}/arreter/").status_code == 302
    page = client.get("/coffre/liens/").content.decode()
    assert "commun.pdf" not in page.partition('id="h-ended"')[0] and "commun.pdf" in page


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"days": "8"}, "id_days_error"),
        ({"days": ""}, "id_days_error"),
        ({"password": "court"}, "id_password_error"),
        ({"password": " " * 8}, "id_password_error"),
        ({"password": "x" * 201}, "id_password_error"),
        ({"downloads": "0"}, "id_downloads_error"),
        ({"downloads": "-1"}, "id_downloads_error"),
        ({"downloads": "10001"}, "id_downloads_error"),
        ({"downloads": "²"}, "id_downloads_error"),
    ],
)
def test_a_form_with_an_error_says_where(
    drive: Drive, client: Client, form: dict[str, str], field: str
) -> None:
    node = drive.file("x")
    answer = client.post(f"/coffre/{node.id}/liens/", {"days": "30", **form})
    assert answer.status_code == 400 and field in answer.content.decode()
    assert verbs() == []


def test_the_address_is_shown_once(drive: Drive, client: Client) -> None:
    node = drive.file("x")
    token = make(client, node.id).rstrip("/").rpartition("/")[2]
    for page in (f"/coffre/{node.id}/liens/", "/coffre/liens/", f"/coffre/{node.id}/"):
        assert token not in client.get(page).content.decode()


def test_links_to_the_own_files_of_who_left_are_closed_and_those_of_the_commune_stay(
    drive: Drive, client: Client, system: Actor, beaune: Commune
) -> None:
    own, common = (make(client, drive.file("x", root).id) for root in (drive.own, drive.common))
    assert [Client().get(path).status_code for path in (own, common)] == [200, 200]
    actions.end_access(actor=system, membership=beaune.agent_membership)
    assert [Client().get(path).status_code for path in (own, common)] == [404, 200]


def test_a_link_whose_file_is_in_the_trash_says_so_and_can_be_ended(drive: Drive, client: Client) -> None:
    node = drive.file("x.pdf")
    make(client, node.id)
    share = only_share(drive)
    drive.database.write(lambda writing: tree.delete(writing, drive.act, node.id))
    page = client.get("/coffre/liens/").content.decode()
    assert "Dans la corbeille" in page and f"/coffre/{node.id}/liens/" not in page
    assert client.get(f"/coffre/liens/{share.id}/arreter/").status_code == 200
    assert client.post(f"/coffre/liens/{share.id}/arreter/")["Location"] == "/coffre/liens/"
    page = client.get("/coffre/liens/").content.decode()
    assert "x.pdf" not in page.partition('id="h-ended"')[0] and f"/coffre/{node.id}/" not in page
