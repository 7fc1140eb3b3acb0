"""Rows of an export of a collectivité, in a world with something in most tables: no neighbour, no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, Membership, Person
from beffroi.mail.domains.models import DkimKey
from beffroi.mail.filters.models import FilterRule
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.models import CommuneKey, Mailbox
from beffroi.portal.commune_export import mails, work
from beffroi.portal.commune_export.folder import ExportFolder

from tests.fixtures_portal import no_door
from tests.refusals_world import World, world

__all__ = ["no_door", "world"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_door")]


@pytest.fixture
def export(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mails, "_write", lambda work, mailbox: None)
    return tmp_path


def made(world: World, path: Path) -> dict[str, str]:
    path.mkdir(exist_ok=True)
    work.run(
        actor=world.administrator,
        collectivite=world.beaune.collectivite,
        path=path,
        reason="Courrier du maire",
        account="root",
        leave_out=True,  # files of this world have no content
    )
    return {one.name: one.read_text() for one in sorted(path.rglob("*")) if one.is_file()}


def test_rows_name_nothing_of_the_neighbour(world: World, export: Path) -> None:
    found = made(world, export / "x")
    filled = {name for name, text in found.items() if name.endswith(".json") and "{" in text}
    assert len(filled) > 30, filled
    nuits = world.nuits
    members = Membership.objects.filter(collectivite_id=nuits.id).values("person_id")
    people = Person.objects.filter(pk__in=members)
    foreign = {nuits.id, nuits.domain, nuits.collectivite.name, *people.values_list("email", flat=True)}
    foreign |= set(Mailbox.objects.filter(collectivite_id=nuits.id).values_list("id", flat=True))
    for name, text in found.items():
        assert not [word for word in foreign if word in text], name


def test_no_secret_is_in_it(world: World, export: Path) -> None:
    secrets = set(AppPassword.objects.values_list("sha256", flat=True))
    secrets |= set(Person.objects.values_list("password", flat=True))
    secrets |= set(Mailbox.objects.values_list("crypt_key", flat=True))
    secrets |= set(DkimKey.objects.values_list("wrapped", flat=True))
    secrets |= set(CommuneKey.objects.values_list("wrapped", flat=True))
    secrets |= set(ImportJob.objects.values_list("password", flat=True))
    known = {one for one in secrets if one and len(one) > 8}
    assert len(known) > 5
    for name, text in made(world, export / "x").items():
        assert not [one for one in known if one in text], name


def test_who_went_to_a_neighbour_keeps_their_address_there_to_themselves(world: World, export: Path) -> None:
    moved = Membership.objects.get(person_id=world.beaune.colleague.id)
    identity.end_access(actor=Actor.system("tests"), membership=moved)
    Person.objects.filter(pk=moved.person_id).update(email=f"ici@{world.nuits.domain}")
    rows = json.loads(made(world, export / "x")["person.json"])
    (one,) = [row for row in rows if row["id"] == moved.person_id]
    assert one["email"] == "" and one["name"] and "last_login" not in one


def test_a_filter_into_a_personal_folder_is_its_owners_alone(world: World, export: Path) -> None:
    rule = FilterRule.objects.filter(collectivite_id=world.beaune.id).first()
    assert rule is not None
    rule.folder, rule.act = "Privé/Famille", "folder"
    rule.save()
    found = made(world, export / "x")
    assert "Famille" not in "".join(found.values())


def test_a_kill_between_the_last_word_and_the_end_leaves_it_whole(
    world: World, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export / "x"

    def killed(folder: ExportFolder) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ExportFolder, "settle", killed)
        made(world, path)
    assert (path / "INCOMPLET.txt").exists()
    before = (path / "manifest-sha256.txt").read_bytes()
    made(world, path)
    assert (path / "manifest-sha256.txt").read_bytes() == before
    assert not (path / "INCOMPLET.txt").exists() and not (path / ".etat.sqlite").exists()
    assert CommuneExport.objects.filter(state="done").count() == 1
