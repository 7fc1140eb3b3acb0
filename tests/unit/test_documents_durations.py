"""What the French documents promise about durations is what the code does."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from beffroi.lib import clock
from beffroi.lib.config import Config

FRENCH = Path(__file__).parents[2] / "docs" / "fr"
UNITS_S = {"heure": 3600, "heures": 3600, "jour": 86400, "jours": 86400}
_LENGTH = re.compile(r"(\d+) (heures?|jours?)")


def rows() -> list[tuple[str, str, str]]:
    """(what, duration, setting) of the table of durations."""
    found = []
    for line in (FRENCH / "durees.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and not set(cells[0]) <= {"-"} and cells[0] != "donnée":
            found.append((cells[0], cells[2], cells[3].strip("`")))
    return found


def places() -> list[tuple[list[str], str]]:
    """(tables, duration) of each row that names a duration."""
    found = []
    for line in (FRENCH / "durees.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and _LENGTH.fullmatch(cells[2]) and not cells[3].startswith("`decision_ttl"):
            found.append((re.findall(r"`([a-z_/]+)`", cells[1]), cells[2]))
    return found


def length_s(text: str) -> int:
    found = _LENGTH.fullmatch(text)
    assert found is not None, text
    return int(found[1]) * UNITS_S[found[2]]


def setting_s(name: str) -> int:
    """Seconds of a constant, by its dotted name, or of a setting of the centre."""
    module, _, last = name.rpartition(".")
    value: object = getattr(import_module(module), last) if module else getattr(Config(), name)
    assert isinstance(value, int), name
    return value * 86400 if last.upper().endswith("DAYS") else value


MEASURED = [row for row in rows() if row[2]]


def test_the_table_names_a_setting_for_every_duration_that_it_promises() -> None:
    assert len(MEASURED) >= 24
    for what, duration, setting in rows():
        assert bool(_LENGTH.fullmatch(duration)) == bool(setting), what


@pytest.mark.parametrize(("what", "duration", "setting"), MEASURED, ids=[row[2] for row in MEASURED])
def test_a_duration_is_that_of_the_code(what: str, duration: str, setting: str) -> None:
    assert setting_s(setting) == length_s(duration), what


@pytest.mark.usefixtures("database")
def test_every_category_of_the_purge_stands_in_the_table() -> None:
    """Its table is named there, with the same duration, or with its own end."""
    from beffroi.core.retention import registry

    told: dict[str, set[int]] = {}
    for where, duration in places():
        for name in where:
            told.setdefault(name, set()).add(length_s(duration))
    for one in registry.categories():
        table = one.due(clock.now()).model._meta.db_table
        assert table in told, f"{one.name}: {table}"
        if one.kept:
            days = getattr(Config(), one.kept) if isinstance(one.kept, str) else one.kept
            assert days * 86400 in told[table], one.name


NAMES_SOMEBODY = {"person_id", "person", "membership", "email", "address", "username"}


@pytest.mark.usefixtures("database")
def test_every_table_that_names_somebody_stands_in_the_table_of_the_dpo() -> None:
    from django.apps import apps

    text = (FRENCH / "dpo.md").read_text("utf-8")
    told = {one.rstrip("*") for one in re.findall(r"`([a-z_]+\*?)`", text)}
    for model in apps.get_models():
        table, names = model._meta.db_table, {one.name for one in model._meta.get_fields()}
        if names & NAMES_SOMEBODY and table not in NOBODY:
            assert table in told or any(table.startswith(one) for one in told if one.endswith("_")), table


def test_the_dpo_reads_when_counts_of_tries_go() -> None:
    from django.conf import settings

    most = f"{settings.CACHES['default']['OPTIONS']['MAX_ENTRIES']:,}".replace(",", " ")
    assert f"part quand il y en a {most} |" in (FRENCH / "dpo.md").read_text("utf-8")


NOBODY = {
    "feed_source",  # of a list
    "mail_address_listing",  # of our own servers
    "mail_address_name",
    "shared_address",  # of sites
}
PROMISED = {
    "modeles/information-agents.md": (
        ("pendant {} jours, sans dire quel poste", "beffroi.boxes.retention.KEEP_COUNTS_DAYS"),
        ("a parlé, {} jours, sous forme", "beffroi_box.diary.DAYS"),
        ("adresse et jour, {} jours", "beffroi.core.identity.sign_ins.KEEP_DAYS"),
        ("un fichier et quand, {} jours", "drive_version_days"),
        ("ce qui est supprimé, {} jours", "drive_trash_days"),
    ),
    "modeles/registre.md": (
        ("comptes {} jours", "beffroi.boxes.retention.KEEP_COUNTS_DAYS"),
        ("carnet du boîtier {} jours", "beffroi_box.diary.DAYS"),
        ("événements {} jours", "beffroi.core.events.retention.KEEP_DAYS"),
        ("connexions ({} jours)", "beffroi.core.identity.sign_ins.KEEP_DAYS"),
        ("corbeille {} jours", "drive_trash_days"),
        ("versions {} jours", "drive_version_days"),
        ("sauvegardes {} jours", "backup_keep_days"),
    ),
    "responsabilites.md": (
        ("adresse réseau de connexion : {} jours", "beffroi.core.identity.sign_ins.KEEP_DAYS"),
        ("adresses distantes ({} jours)", "beffroi_box.diary.DAYS"),
    ),
    "modeles/aipd.md": (
        ("Le carnet de {} jours", "beffroi_box.diary.DAYS"),
        ("{} jours pour les connexions", "beffroi.core.identity.sign_ins.KEEP_DAYS"),
        ("{} pour les comptes", "beffroi.boxes.retention.KEEP_COUNTS_DAYS"),
    ),
}


@pytest.mark.parametrize("name", PROMISED)
def test_the_models_repeat_the_same_durations(name: str) -> None:
    text = " ".join((FRENCH / name).read_text("utf-8").split())
    for phrase, setting in PROMISED[name]:
        assert phrase.format(setting_s(setting) // 86400) in text, phrase


GUIDES = (
    ("secretaire.md", "rend le message pendant {} secondes", "beffroi.mail.sendings.UNDO_S", 1),
    (
        "secretaire.md",
        "se choisissent ou se déposent, {} Mo au plus",
        "beffroi.mail.compose.MAX_FILES_BYTES",
        10**6,
    ),
    ("secretaire.md", "se retrouve pendant {} jours : cherchez", "beffroi.mail.deleted.KEEP_DAYS", 1),
    (
        "secretaire.md",
        "elle s'arrête au bout de {} jours",
        "beffroi.mail.importing.retention.ABANDONED_DAYS",
        1,
    ),
    ("secretaire.md", "coche les boîtes ({} au plus)", "beffroi.mail.aliases.actions.MAX_TARGETS", 1),
    ("secretaire.md", "les jours ({} au plus)", "delegation_days", 1),
    ("secretaire.md", "vers une autre adresse, pour {} jours", "forwarding_days", 1),
    (
        "secretaire.md",
        "Pendant {} jours, le départ peut être annulé",
        "beffroi.mail.people.leaving.UNDO_DAYS",
        1,
    ),
    (
        "referent.md",
        "tout recevoir dans une boîte, {} jours au plus",
        "beffroi.mail.aliases.actions.CATCH_ALL_DAYS",
        1,
    ),
    ("referent.md", "se télécharge pendant {} jours", "beffroi.mail.closing.actions.EXPORT_DAYS", 1),
    ("referent.md", "il reste alors {} heures", "beffroi.mail.closing.erasures.CALL_BACK_H", 1),
    ("agenda.md", "Un fichier compte {} Mo", "beffroi.drive.calendars.wire_bringing.MAX_FILE_BYTES", 10**6),
    ("partager.md", "d'au moins {} caractères", "beffroi.drive.store.link_passwords.MIN_PASSWORD_CHARS", 1),
    (
        "recevoir-des-fichiers.md",
        "peut faire jusqu’à {} Go",
        "beffroi.drive.store.drops.MOST_FILE_BYTES",
        10**9,
    ),
)


@pytest.mark.parametrize(("name", "phrase", "constant", "unit"), GUIDES, ids=[row[2] for row in GUIDES])
def test_a_number_of_a_guide_is_that_of_the_code(name: str, phrase: str, constant: str, unit: int) -> None:
    module, _, last = constant.rpartition(".")
    value = getattr(import_module(module), last) if module else getattr(Config(), constant)
    assert phrase.format(value // unit) in " ".join((FRENCH / name).read_text("utf-8").split())
