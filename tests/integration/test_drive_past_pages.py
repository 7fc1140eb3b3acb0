"""Coffre, a folder as it was: chosen, looked at, fetched, put back and put back again; and to whom it is not shown."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import findings, going_back, seals, shares, tree, ways
from beffroi.drive.store.findings import Result
from beffroi.drive.store.going_back import Going
from beffroi.drive.store.model import EMPTY, Act, Node
from beffroi.drive.store.shares import Wish
from beffroi.lib import clock
from django.test import Client
from django.utils import timezone

from tests.conftest import Commune, make_member
from tests.drive_browser import Browser, server
from tests.drive_pages import Drive, client, drive, shown
from tests.drive_seal_rows import a_seal
from tests.drive_server import Served
from tests.fixtures_portal import no_door, portal_client

__all__ = ["client", "drive", "no_door", "server"]
pytestmark = pytest.mark.django_db
AGO_S = 3 * 86400


class Aged:
    """A folder of the commune, filled three days ago, in which things changed two days ago."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.now_s = clock.epoch_s()
        drive.database.write(lambda w: w.run("UPDATE node SET created_s = created_s - ?", (10 * AGO_S,)))
        self.folder = self.make("Budget", drive.common)
        self.inner = self.make("Annexes", self.folder)
        self.kept, self.gone, self.changed = (
            self.put(name, 1) for name in ("kept.ods", "gone.ods", "changed.ods")
        )
        self.deep = self.put("deep.ods", 4, into=self.inner)

    def act(self, ago_s: int = AGO_S) -> Act:
        return replace(self.drive.act, now_s=self.now_s - ago_s)

    def make(self, name: str, into: Node, ago_s: int = AGO_S) -> Node:
        return self.drive.database.write(lambda w: tree.make_folder(w, self.act(ago_s), into.id, name))

    def put(self, name: str, size_bytes: int, ago_s: int = AGO_S, into: Node | None = None) -> Node:
        content, where = replace(EMPTY, size_bytes=size_bytes), (into or self.folder).id
        return self.drive.database.write(lambda w: tree.put(w, self.act(ago_s), where, name, content))[0]

    def delete(self, one: Node, ago_s: int = 2 * 86400) -> None:
        self.drive.database.write(lambda w: tree.delete(w, self.act(ago_s), one.id))

    def spoil(self) -> None:
        self.delete(self.gone)
        self.put("changed.ods", 77, 2 * 86400)
        self.put("new.ods", 5, 2 * 86400)

    def spoil_much(self) -> None:
        """Two portions and a half."""
        for one in [self.put(f"{number:03d}.ods", 1) for number in range(250)]:
            self.delete(one)

    def way(self) -> Going:
        with self.drive.database.reading() as reading:
            found = going_back.find(reading, self.folder.id)
        assert found is not None
        return found

    @property
    def page(self) -> str:
        return f"/coffre/{self.folder.id}/avant/"

    @property
    def then(self) -> str:
        return f"{self.page}?a={self.now_s - AGO_S + 60}"

    def back(self, client: Client, at_s: int | None = None, page: str = "") -> Any:
        data = {"what": "restore", "a": str(at_s or self.now_s - AGO_S + 60)}
        return client.post(page or self.page, data, follow=True)


@pytest.fixture
def aged(drive: Drive) -> Aged:
    return Aged(drive)


def text(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, (address, answer.status_code)
    return plain(answer.content.decode())


def plain(page: str) -> str:
    return page.replace("\u00a0", " ").replace("\u202f", " ")


def lines() -> list[dict[str, Any]]:
    rows = AuditEntry.objects.filter(verb="drive:folder:put_back").order_by("id")
    return [
        {"object": row.object_id, "owner": row.collectivite_id} | msgspec.json.decode(row.details)
        for row in rows
    ]


def test_a_folder_is_shown_as_it_was_put_back_and_put_back_again(aged: Aged, client: Client) -> None:
    aged.spoil()
    assert f'href="{aged.page}"' in text(client, f"/coffre/{aged.folder.id}/")
    assert "Hier soir" in text(client, aged.page)
    page = text(client, aged.then)
    assert shown(page) == ["Annexes", "changed.ods", "gone.ods", "kept.ods"]
    assert (
        "1 élément revient de la corbeille." in page and "1 fichier est remis à sa version d’alors." in page
    )
    assert "1 élément arrivé depuis part dans la corbeille." in page and "n’existent plus" not in page
    inside = text(client, f"{aged.then}&dans={aged.inner.id}")
    assert shown(inside) == ["deep.ods"] and 'name="what"' not in inside
    page = plain(aged.back(client).content.decode())
    assert "Dossier remis comme il était" in page
    assert aged.drive.names(aged.folder) == ["Annexes", "changed.ods", "gone.ods", "kept.ods"]
    assert lines() == [
        {
            "object": str(aged.folder.id),
            "owner": aged.drive.collectivite_id,
            "at_s": aged.now_s - AGO_S + 60,
            "removed": 1,
            "returned": 1,
            "copied": 0,
            "moved": 0,
            "rewritten": 1,
            "stayed": 0,
            "lost": 0,
        }
    ]
    undo = re.search(r'href="(/coffre/\d+/avant/\?a=\d+)"', page)
    assert undo is not None
    before = text(client, undo[1])
    assert shown(before) == ["Annexes", "changed.ods", "kept.ods", "new.ods"]
    aged.back(client, int(undo[1].partition("=")[2]))
    assert aged.drive.names(aged.folder) == ["Annexes", "changed.ods", "kept.ods", "new.ods"]
    assert len(lines()) == 2


def test_a_folder_that_is_as_it_was_has_nothing_to_do_and_no_line(aged: Aged, client: Client) -> None:
    assert "Il n’y a rien à remettre" in text(client, aged.then)
    assert "rien n’a changé" in plain(aged.back(client).content.decode()) and lines() == []


def test_days_and_hours_are_those_of_the_town_hall(aged: Aged, client: Client) -> None:
    aged.spoil()
    page = text(client, f"{aged.page}?jour=2026-07-01&heure=14:30", 404)
    assert "n’existait pas à ce moment-là" in page
    assert 'value="2026-07-01"' in page and 'value="14:30"' in page
    aged.drive.database.write(
        lambda w: w.run("UPDATE change SET at_s = 0 WHERE at_s < ?", (aged.now_s - 2 * 86400,))
    )
    for day, hour, offset in (("2026-07-01", "14:30", "+02:00"), ("2026-01-10", "08:05", "+01:00")):
        at_s = int(datetime.fromisoformat(f"{day}T{hour}{offset}").timestamp())
        aged.drive.database.write(lambda w, it=at_s: w.run("UPDATE node SET created_s = ?", (it,)))
        assert f"?a={at_s}&amp;dans=" in text(client, f"{aged.page}?jour={day}&heure={hour}")
    for choice in ("hier", "semaine"):
        assert client.get(f"{aged.page}?quand={choice}").status_code in (200, 404)


def test_earlier_today_is_chosen_at_a_press(drive: Drive, beaune: Commune) -> None:
    now = timezone.localtime(clock.now())
    tomorrow = now + timedelta(days=1)
    for hour, is_offered in ((7, False), (15, True)):
        with clock.shifted((tomorrow.replace(hour=hour, minute=30) - now).total_seconds()):
            aged, reader = Aged(drive), portal_client(beaune.agent_membership)
            aged.put("new.ods", 5, 600)
            page = text(reader, aged.page)
            assert "Il y a une heure" in page and ("?quand=matin" in page) is is_offered
            assert (
                "new.ods" not in (found := text(reader, f"{aged.page}?quand=heure")) and "kept.ods" in found
            )
            assert f", {hour - 1} h 30</h2>" in found
            found = text(reader, f"{aged.page}?quand=matin", 200 if is_offered else 400)
            assert (", 8 h 00</h2>" in found and "kept.ods" in found) is is_offered
            assert is_offered or "pas encore passé" in found
        aged.delete(aged.folder, 0)


def test_moments_that_cannot_be_shown_say_why(aged: Aged, client: Client) -> None:
    later = clock.epoch_s() + 3600
    for query, status, words in (
        (f"a={later}", 400, "pas encore passé"),
        (f"a={10**17}", 400, "pas encore passé"),
        (f"a={aged.now_s - 2 * AGO_S}", 404, "n’existait pas"),
        ("a=0", 404, "n’existait pas"),
        ("a=-5", 404, "n’existait pas"),
        ("jour=2026-13-45&heure=10:00", 400, "ne se comprend pas"),
        ("jour=0001-01-01&heure=00:00", 404, "n’existait pas"),
        ("jour=9999-12-31&heure=23:59", 400, "pas encore passé"),
        ("jour=2026-01-01", 400, "ne se comprend pas"),
        ("jour=%00&heure=%00", 400, "ne se comprend pas"),
        ("jour=2026-01-01&heure=" + "9" * 4000, 400, "ne se comprend pas"),
    ):
        page = text(client, f"{aged.page}?{query}", status)
        assert words in page and "deep.ods" not in page, query
    for query in (f"dans={aged.kept.id}", "dans=999999999999999999"):
        assert client.get(f"{aged.then}&{query}").status_code in (200, 400, 404)
    aged.drive.database.write(
        lambda w: w.run("INSERT INTO meta (name, value) VALUES ('changes_from_s', ?)", (str(aged.now_s),))
    )
    assert "C’est trop loin" in text(client, aged.then, 410)
    assert "C’est trop loin" in plain(aged.back(client).content.decode())


def test_hostile_addresses_and_forms_change_nothing(aged: Aged, client: Client, beaune: Commune) -> None:
    aged.spoil()
    before = aged.drive.names(aged.folder)
    for data, status in (({}, 400), ({"what": "burn"}, 400), ({"what": "restore", "a": "x"}, 302)):
        assert client.post(aged.page, data).status_code == status
    for number in (aged.kept.id, 0, 10**17):
        for method in (client.get, client.post):
            assert method(f"/coffre/{number}/avant/", {"what": "restore", "a": "1"}).status_code == 404
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(aged.page, {"what": "restore", "a": str(aged.now_s - AGO_S + 60)}).status_code == 403
    assert aged.drive.names(aged.folder) == before and lines() == []


def test_elus_look_and_fetch_and_cannot_put_back(aged: Aged, beaune: Commune, system: Actor) -> None:
    aged.spoil()
    elu = portal_client(make_member(system, beaune.collectivite, "elu@beaune.test", "elu"))
    page = text(elu, aged.then)
    assert "gone.ods" in page and 'name="what"' not in page and "seul qui peut écrire" in page
    assert "pas le modifier" in plain(aged.back(elu).content.decode())
    assert "gone.ods" not in aged.drive.names(aged.folder) and lines() == []


def test_what_was_taken_out_before_a_folder_was_moved_here_is_not_shown(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    aged = Aged(drive)
    mine = aged.make("Projet", drive.own)
    secret = aged.put("salaires.xlsx", 9, into=mine)
    drive.database.write(lambda w: tree.move(w, aged.act(86400), secret.id, drive.own.id, secret.name))
    assert "salaires.xlsx" in text(client, f"/coffre/{mine.id}/avant/?a={aged.now_s - AGO_S + 60}")
    drive.database.write(lambda w: tree.move(w, aged.act(80000), mine.id, drive.common.id, mine.name))
    for who in (client, portal_client(beaune.colleague_membership)):
        page = text(who, f"/coffre/{mine.id}/avant/?a={aged.now_s - AGO_S + 60}", 410)
        assert "rangé dans d’autres fichiers" in page and "salaires" not in page
        data = {"what": "restore", "a": str(aged.now_s - AGO_S + 60)}
        answer = who.post(f"/coffre/{mine.id}/avant/", data, follow=True)
        assert "rangé dans d’autres fichiers" in plain(answer.content.decode())
    assert drive.names(mine) == [] and lines() == []


def test_what_is_shared_has_no_past_for_who_receives_it(
    drive: Drive, client: Client, beaune: Commune
) -> None:
    aged = Aged(drive)
    mine = aged.make("Projet", drive.own)
    wish = Wish("person", beaune.colleague_membership.person_id, rights="write")
    drive.database.write(lambda w: shares.make(w, drive.act, mine.id, wish))
    receiver = portal_client(beaune.colleague_membership)
    assert "avant/" not in text(receiver, f"/coffre/{mine.id}/")
    assert "avant/" in text(client, f"/coffre/{mine.id}/")
    for method in (receiver.get, receiver.post):
        data = {"what": "restore", "a": str(aged.now_s - 60)}
        assert method(f"/coffre/{mine.id}/avant/", data).status_code == 404


def test_a_sealed_folder_is_looked_at_and_stays(aged: Aged, client: Client) -> None:
    aged.spoil()
    aged.drive.database.write(lambda w: seals.begin(w, a_seal(aged.folder)))
    page = text(client, aged.then)
    assert "gone.ods" in page and "C’est scellé" in page and 'name="what"' not in page
    assert "C’est scellé" in plain(aged.back(client).content.decode()) and lines() == []


def test_files_are_fetched_as_they_were_where_they_are_kept(
    drive: Drive, client: Client, server: Served, beaune: Commune
) -> None:
    at = Browser(server, client)
    folder = drive.folder("Budget", drive.common)
    replaced, deleted, moved = (
        at.send(name.encode(), folder=folder.id, name=f"{name}.txt")[1]["node"] for name in ("a", "b", "c")
    )
    drive.database.write(lambda w: w.run("UPDATE change SET at_s = at_s - 500"))
    drive.database.write(lambda w: w.run("UPDATE node SET created_s = created_s - 500"))
    at.send(b"later", folder=folder.id, name="a.txt", taken="replace")
    drive.database.write(lambda w: tree.delete(w, drive.act, deleted))
    drive.database.write(lambda w: tree.move(w, drive.act, moved, drive.own.id, "c.txt"))
    then = clock.epoch_s() - 100
    page = text(client, f"/coffre/{folder.id}/avant/?a={then}")
    colleague = Browser(server, portal_client(beaune.colleague_membership))
    for node, content in ((replaced, b"a"), (deleted, b"b"), (moved, b"c")):
        address = f"/coffre/octets/avant/{folder.id}/{then}/{node}"
        assert f'href="{address}"' in page
        for who in (at, colleague):
            status, headers, body = who.ask("GET", address)
            assert (status, body) == (200, content) and "sandbox" in headers["content-security-policy"]
    assert colleague.ask("GET", f"/coffre/octets/{moved}")[0] == 404, "where it is now, it is somebody's own"
    for odd in (
        f"{folder.id}/{then}/{folder.id}",
        f"{folder.id}/{then}/{drive.own.id}",
        f"{moved}/{then}/{moved}",
    ):
        assert colleague.ask("GET", f"/coffre/octets/avant/{odd}")[0] == 404, odd
    assert at.ask("GET", f"/coffre/octets/avant/{folder.id}/{clock.epoch_s() + 99}/{moved}")[0] == 400
    assert (
        client.get("/coffre/droit/", {"vers": f"/coffre/octets/avant/{folder.id}/{then}/{moved}"}).status_code
        == 302
    )


def test_what_is_held_is_listed_and_not_fetched_by_its_past(
    drive: Drive, client: Client, server: Served
) -> None:
    at = Browser(server, client)
    folder = drive.folder("Budget", drive.common)
    node = at.send(b"malware", folder=folder.id, name="a.txt")[1]["node"]
    drive.database.write(lambda w: w.run("UPDATE change SET at_s = at_s - 500"))
    drive.database.write(lambda w: w.run("UPDATE node SET created_s = created_s - 500"))
    with drive.database.reading() as reading:
        (sha256,) = reading.one("SELECT sha256 FROM node WHERE id = ?", (node,)) or ("",)
    at.send(b"harmless", folder=folder.id, name="a.txt", taken="replace")
    result = Result(sha256, "mark", {findings.VIRUS: ["rule"]}, True)
    drive.database.write(lambda w: findings.keep(w, [result], now_s=clock.epoch_s()))
    then = clock.epoch_s() - 100
    assert shown(text(client, f"/coffre/{folder.id}/avant/?a={then}")) == ["a.txt"]
    assert at.ask("GET", f"/coffre/octets/avant/{folder.id}/{then}/{node}")[0] == 403
    client.post(f"/coffre/{folder.id}/avant/", {"what": "restore", "a": str(then)})
    assert at.ask("GET", f"/coffre/octets/{node}")[0] == 403, "it is there again, and opens for nobody"


def test_both_roots_have_a_past(aged: Aged, client: Client) -> None:
    for root, name in ((aged.drive.common, "Budget"), (aged.drive.own, "lettre.odt")):
        if root == aged.drive.own:
            aged.delete(aged.put(name, 1, into=root))
        page = text(client, f"/coffre/{root.id}/avant/?a={aged.now_s - AGO_S + 60}")
        assert shown(page) == [name]
    aged.back(client, page=f"/coffre/{aged.drive.own.id}/avant/")
    assert aged.drive.names() == ["lettre.odt"]


def test_a_folder_of_too_many_files_is_looked_at_and_not_put_back_whole(
    aged: Aged, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged.spoil()
    monkeypatch.setattr(ways, "MOST_PLANNED", 5)
    page = text(client, aged.then)
    assert "gone.ods" in page and "dossier par dossier" in page and 'name="what"' not in page
    assert "dossier par dossier" in plain(aged.back(client).content.decode()) and lines() == []


def test_a_long_folder_is_listed_by_parts(aged: Aged, client: Client) -> None:
    for number in range(205):
        aged.put(f"{number:03d}.ods", 1, into=aged.inner)
    first = text(client, f"{aged.then}&dans={aged.inner.id}")
    assert len(shown(first)) == 200 and "rang=200" in first
    rest = text(client, f"{aged.then}&dans={aged.inner.id}&rang=200")
    assert len(shown(rest)) == 6 and ">La suite<" not in rest and "Revenir au début" in rest
    assert shown(text(client, f"{aged.then}&dans={aged.inner.id}&rang={10**17}")) == []


def test_a_neighbour_fetches_nothing_of_then(drive: Drive, server: Served, nuits: Commune) -> None:
    folder = drive.folder("Budget", drive.common)
    file = drive.file("x.txt", folder)
    other = Browser(server, portal_client(nuits.agent_membership))
    assert other.ask("GET", f"/coffre/octets/avant/{folder.id}/{clock.epoch_s() - 1}/{file.id}")[0] == 404
