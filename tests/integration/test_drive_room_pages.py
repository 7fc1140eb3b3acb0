"""Coffre, Espace: the référent sees who takes how much and gives people room; nobody else does."""

from __future__ import annotations

import html
from dataclasses import replace
from decimal import Decimal

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.drive import audited, quotas
from beffroi.drive.store import keys, look, room, schema, tree
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.store.model import EMPTY, StoreFull
from beffroi.lib.errors import Invalid, NotAllowed, NotFound
from beffroi.portal import room_words
from django.conf import settings
from django.test import Client
from django.utils import translation

from tests.conftest import Commune
from tests.drive_meanwhile import meanwhile, told
from tests.drive_pages import Drive, drive
from tests.fixtures_portal import no_door, portal_client

__all__ = ["drive", "no_door"]
pytestmark = pytest.mark.django_db
PAGE = "/coffre/espace/"
GB = 10**9


@pytest.fixture
def referent(beaune: Commune) -> Client:
    return portal_client(beaune.referent_membership)


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("gigabytes", ["0.5", "1.234", "1000", "2000.5", "999999"])
def test_what_a_form_shows_is_read_as_the_same(language: str, gigabytes: str) -> None:
    with translation.override(language):
        shown = room_words.typed(Decimal(gigabytes))
        assert room_words.limit(shown) == (int(Decimal(gigabytes) * GB), "")


def fill(drive: Drive, size_bytes: int, name: str = "gros") -> None:
    content = replace(EMPTY, size_bytes=size_bytes)
    drive.database.write(lambda w: tree.put(w, drive.act, drive.own.id, name, content))


def test_the_referent_sees_who_takes_how_much(drive: Drive, referent: Client, beaune: Commune) -> None:
    fill(drive, 3 * GB)
    fill(drive, GB)
    gone = drive.folder("jeté")
    drive.database.write(lambda w: tree.delete(w, drive.act, gone.id))
    page = referent.get(PAGE).content.decode()
    assert beaune.agent_membership.person.name in page
    assert "4\u00a0Go utilisés sur 20\u00a0Go (20" in page
    assert "Fichiers 1\u00a0Go · versions 3\u00a0Go" in page
    assert "3 sur 2\u202f000\u202f000" in page or "3 sur 2\u00a0000\u00a0000" in page, (
        "file, version and what was thrown away, of two million"
    )


def test_the_referent_sees_calendars_of_who_never_opened_the_coffre(
    drive: Drive, referent: Client, beaune: Commune
) -> None:
    sizes = {beaune.colleague.id: GB, beaune.agent.id: 2 * GB, room.SHARED_CALENDARS: 3 * GB}
    drive.database.write(lambda w: room.keep_calendars(w, sizes))
    with drive.database.reading() as reading:
        assert look.root(reading, schema.HOME + beaune.colleague.id) is None
    page = referent.get(PAGE).content.decode()
    assert "1\u00a0Go utilisés sur 20\u00a0Go" in page and "2\u00a0Go utilisés sur 20\u00a0Go" in page
    assert "6\u00a0Go" in page.partition("Agendas et contacts")[2][:200]
    assert "Les agendas et contacts comptent dès qu’ils changent." in page
    english = referent.get(PAGE, headers={"Accept-Language": "en"}).content.decode()
    assert "Calendars and contacts count as soon as they change." in english
    assert referent.post(PAGE, {"person": beaune.colleague.id, "limit": "7"}).status_code == 302
    assert "1\u00a0Go utilisés sur 7\u00a0Go" in referent.get(PAGE).content.decode()


def test_the_referent_gives_a_person_room_and_takes_it_back(
    drive: Drive, referent: Client, beaune: Commune
) -> None:
    person = beaune.agent_membership.person_id
    assert referent.post(PAGE, {"person": person, "limit": " 7 "}).status_code == 302
    with drive.database.reading() as reading:
        assert room.limit(reading, drive.own.id) == 7 * GB
    assert 'value="7"' in referent.get(PAGE).content.decode()
    assert referent.post(PAGE, {"person": person, "limit": "0,5"}).status_code == 302
    page = referent.get(PAGE).content.decode()
    assert 'value="0,5"' in page and "sur 500\u00a0Mo" in page
    assert referent.post(PAGE, {"person": person, "limit": ""}).status_code == 302
    with drive.database.reading() as reading:
        assert (room.limit(reading, drive.own.id), room.has_own_limit(reading, drive.own.id)) == (
            20 * GB,
            False,
        )
    told = AuditEntry.objects.filter(verb="drive:quota:person", object_id=person).order_by("id")
    assert [one.details for one in told] and told.count() == 3


@pytest.mark.parametrize("typed", ["0", "-1", "1,2345", "9999999", "x" * 50])
def test_what_is_no_room_is_told_beside_the_field(
    drive: Drive, referent: Client, beaune: Commune, typed: str
) -> None:
    answer = referent.post(PAGE, {"person": beaune.agent_membership.person_id, "limit": typed})
    assert (answer.status_code, "Donnez un nombre de Go" in answer.content.decode()) == (400, True)
    with drive.database.reading() as reading:
        assert not room.has_own_limit(reading, drive.own.id)


def test_a_comma_parts_decimals_in_french_and_is_asked_about_in_english(
    drive: Drive, referent: Client, beaune: Commune
) -> None:
    person = beaune.agent_membership.person_id

    def give(typed: str, language: str) -> tuple[int, str, int]:
        answer = referent.post(
            PAGE, {"person": person, "limit": typed}, headers={"Accept-Language": language}
        )
        with drive.database.reading() as reading:
            limit_bytes = room.limit(reading, drive.own.id)
        return answer.status_code, html.unescape(answer.content.decode()), limit_bytes

    assert give("1,500", "fr")[::2] == (302, 3 * GB // 2)
    status, page, limit_bytes = give("1,000", "en")
    assert (status, limit_bytes) == (400, 3 * GB // 2)
    assert "“1,000” can be read in two ways: write 1000 or 1." in page and 'value="1,000"' in page
    status, page, _ = give("2.500", "fr")
    assert status == 400 and "se lit de deux façons : écrivez 2500 ou 2,5." in page.replace(
        "\u00a0", " "
    ).replace("\u202f", " ")
    assert give("2,5", "en")[::2] == (302, 5 * GB // 2)
    # What is shown in a language can be sent again in it.
    assert give("1.234", "en")[0] == 302
    for language, shown in (("en", "1.234"), ("fr", "1,234")):
        page = referent.get(PAGE, headers={"Accept-Language": language}).content.decode()
        assert f'value="{shown}"' in page and give(shown, language)[::2] == (302, 1_234_000_000)


def test_nobody_else_sees_or_gives_anything(drive: Drive, beaune: Commune, nuits: Commune) -> None:
    person = beaune.agent_membership.person_id
    agent = portal_client(beaune.agent_membership)
    assert (
        agent.get(PAGE).status_code == agent.post(PAGE, {"person": person, "limit": "9"}).status_code == 403
    )
    stranger = portal_client(nuits.referent_membership)
    assert stranger.post(PAGE, {"person": person, "limit": "9"}).status_code == 404
    given = {"database": drive.database, "collectivite_id": beaune.id, "limit_bytes": 9 * GB}
    foreign = Actor("person", nuits.referent_membership.person_id, nuits.id, "referent")
    with pytest.raises(NotFound):
        quotas.limit_person(actor=foreign, person_id=person, **given)  # type: ignore[arg-type]
    for actor in (foreign, beaune.referent):
        with pytest.raises(NotAllowed):
            quotas.limit_collectivite(actor=actor, **given)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        quotas.limit_collectivite(actor=Actor.system("x"), **given | {"limit_bytes": 0})  # type: ignore[arg-type]
    with drive.database.reading() as reading:
        assert room.limit(reading, drive.own.id) == 20 * GB
        assert room.limit(reading, room.WHOLE) == 500 * GB


def test_a_limit_or_a_key_that_was_told_and_is_not_set_is_told_too(
    drive: Drive, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full after the entry was written; a key is destroyed between both."""

    def full(*_: object, **__: object) -> None:
        raise StoreFull

    given = {"database": drive.database, "collectivite_id": beaune.id, "limit_bytes": GB}
    everybody = Actor.system("x")
    with monkeypatch.context() as at_once:
        at_once.setattr(tree, "set_limit", full)
        with pytest.raises(StoreFull):
            quotas.limit_person(actor=beaune.referent, person_id=beaune.agent.id, **given)  # type: ignore[arg-type]
        with pytest.raises(StoreFull):
            quotas.limit_collectivite(actor=everybody, **given)  # type: ignore[arg-type]
    keys.make(settings.BEFFROI, beaune.id)
    held = keys.Keys(settings.BEFFROI, beaune.id)
    meanwhile(monkeypatch, lambda: held.erase("x"))
    with pytest.raises(KeysErased):
        quotas.replace_key(actor=everybody, keys=held)
    assert told() == [
        "drive:quota:person",
        "not drive:quota:person: drive.store_full",
        "drive:quota:collectivite",
        "not drive:quota:collectivite: drive.store_full",
        "drive:key:asked",
        "not drive:key:asked: drive.keys_erased",
    ]
    failed = AuditEntry.objects.filter(verb=audited.FAILED).order_by("id").values_list("object_id", flat=True)
    assert list(failed) == [beaune.agent.id, beaune.id, beaune.id]


@pytest.mark.parametrize(
    ("used_gb", "said"), [(17, ""), (18, "Votre place est presque"), (20, "Votre place est épuisée")]
)
def test_each_is_warned_in_time(drive: Drive, beaune: Commune, used_gb: int, said: str) -> None:
    fill(drive, used_gb * GB)
    page = portal_client(beaune.agent_membership).get("/coffre/").content.decode()
    assert (said in page) if said else ("Votre place" not in page)
    assert "Espace, par personne" not in page
    assert (
        "Espace, par personne" in portal_client(beaune.referent_membership).get("/coffre/").content.decode()
    )
