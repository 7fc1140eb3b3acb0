"""Coffre, *Mes liens*: what ended lately says how and since when, to whoever made it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from beffroi.core.events.registry import Event
from beffroi.drive import consumers
from beffroi.drive.store import shares, trash, tree
from beffroi.drive.store.model import Node
from beffroi.lib import clock
from django.test import Client

from tests.conftest import Commune
from tests.drive_browser import server
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served
from tests.drive_share_pages import only_share
from tests.drive_visitors import Visitor, make
from tests.fixtures_portal import no_door, portal_client
from tests.integration.test_drive_links import put
from tests.markup import text_of

__all__ = ["client", "drive", "no_door", "put", "server"]
pytestmark = pytest.mark.django_db
PAGE = "/coffre/liens/"


def over(client: Client) -> list[tuple[str, str, bool]]:
    """(name, how, whether the name leads to the file) of each link that ended."""
    page = text_of(client.get(PAGE))
    _, _, section = page.partition('id="h-ended"')
    section = section.partition("</section>")[0]
    assert "<button" not in section and "Arrêter" not in section
    return [
        (re.sub(r"<[^>]+>", "", name).strip(), how, "<a " in name)
        for name, how in re.findall(r'<div class="grow"><p>(.*?)</p><p class="note">(.*?)</p>', section)
    ]


def destroy(drive: Drive, node: Node, *, now_s: int) -> None:
    act = replace(drive.act, now_s=now_s)
    drive.database.write(lambda w: tree.delete(w, act, node.id))
    drive.database.write(lambda w: trash.forget(w, act, drive.own.id, node.id))
    trash.destroy_all(drive.database, act)


def test_each_way_to_end_says_itself_and_when(drive: Drive, client: Client, beaune: Commune) -> None:
    stopped, expired, gone, open_ = (drive.file(name) for name in ("a.pdf", "b.pdf", "c.pdf", "d.pdf"))
    for one in (stopped, expired, gone, open_):
        make(client, one.id)
    assert over(client) == []
    with drive.database.reading() as reading:
        (share,) = shares.of_node(reading, stopped.id, now_s=clock.epoch_s())
    client.post(f"{PAGE}{share.id}/arreter/")
    ago_s = clock.epoch_s() - 86400
    drive.database.write(
        lambda w: w.run("UPDATE share SET expires_s = ? WHERE node = ?", (ago_s, expired.id))
    )
    destroy(drive, gone, now_s=ago_s - 86400)
    names, hows, linked = zip(*over(client), strict=True)
    assert (names, linked) == (("a.pdf", "b.pdf", "c.pdf"), (True, True, False)), "the last one first"
    assert [one.partition(" le ")[0] for one in hows] == [
        "Arrêté",
        "Arrivé à son terme",
        "Ce qu’il ouvrait a été supprimé pour de bon",
    ]
    page = client.get(PAGE).content.decode()
    assert page.count("Arrêter") == 1, "the open one, and no row of the one whose file is gone"
    with clock.shifted(30 * 86400 + 60):
        ((name, how, _),) = over(portal_client(beaune.agent_membership))
        assert name == "d.pdf" and how.startswith("Arrivé à son terme"), "of the last 30 days"


def test_one_that_was_used_up_says_so_once_the_audit_log_does(
    drive: Drive, client: Client, server: Served, put: Callable[..., int], beaune: Commune
) -> None:
    node = put(drive.own, "x.txt")
    visitor = Visitor(server, make(client, node, downloads="1"))
    share = only_share(drive)
    visitor.page()
    assert visitor.fetch(str(node))[0] == 200
    assert over(client) == [], "nothing says when yet"
    payload = {"share_id": share.id, "what": "file", "node_id": node, "bytes": 7, "address": ""}
    consumers.record_download(Event(1, "drive:link_used", beaune.id, payload, clock.now()))
    ((name, how, is_linked),) = over(client)
    assert (name, is_linked) == ("x.txt", True) and how.startswith("Tous les téléchargements sont pris")
    part = client.get(PAGE, {"part": "left"}, headers={"HX-Request": "true"})
    assert share.id in part.content.decode(), "a list that is open hears it"


def test_nobody_sees_those_of_others_and_no_new_name_of_what_they_lost(
    drive: Drive, client: Client, beaune: Commune, nuits: Commune
) -> None:
    node = drive.file("avant.pdf", drive.common)
    make(client, node.id)
    drive.database.write(lambda w: shares.end(w, only_share(drive).id, now_s=clock.epoch_s()))
    assert [one[0] for one in over(client)] == ["avant.pdf"]
    for other in (beaune.referent_membership, nuits.agent_membership):
        assert over(portal_client(other)) == []
    referent = Drive(beaune.referent_membership)
    drive.database.write(lambda w: tree.move(w, drive.act, node.id, referent.own.id, "secret.pdf"))
    assert [one[::2] for one in over(client)] == [("avant.pdf", False)]
