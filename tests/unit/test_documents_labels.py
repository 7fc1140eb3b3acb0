"""What guides and runbooks call by its name stands on a page: each label between asterisks or guillemets."""

from __future__ import annotations

import html
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "fr").glob("*.md"))
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
SHOWN = ("centre/beffroi/**/*.html", "centre/beffroi/**/*.py", "centre/beffroi/**/*.js", "centre/beffroi/**/*.cf",
         "box/beffroi_box/*.py", "centre/beffroi/**/*.txt")  # fmt: skip
LABEL = re.compile(r"\*\*([^*]+)\*\*|(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])|«\s*([^»]+?)\s*»")
LABEL_IN_ENGLISH = re.compile(r"(?<![\w*])\*([A-ZÉÀ][^*\n]*)\*(?![\w*])")
# First cells of a table of what a page, a mail or a machine says.
MESSAGES = re.compile(r"^\| (?:message|la vérification dit|météo) \|.*\n\|[-|]+\n((?:\|.*\n)+)", re.MULTILINE)
# A paragraph's own heading, and what is said in bold.
HEADING = re.compile(r"(?:^(?:- |\d\. )?|\| )\*\*[^*]+\*\*", re.MULTILINE)

# What other programs call so, examples, and the subjects of Postfix's mails, which are encoded.
OF_OTHERS = {
    "Autres emplacements", "Utiliser des informations d'identification différentes", "Argument invalide", "WebClient",
    "KOrganizer, KAddressBook", "Nextcloud Desktop", "Options de partage", "conflicted copy", "Paramètres",
    "introuvable", "site introuvable", "réinitialisée", "QinQ", "Hors ligne", "desktop.ini", "~$", "ne-pas-répondre",
    "Fichiers de Prénom Nom", "Agenda de Prénom Nom", "Contacts de Prénom Nom",
    "Jeanne Petit (par Sophie Martin, en remplacement)", "si l'expéditeur contient…, alors ranger dans…",
    "Votre message n'est pas encore remis", "EACCES", "RequestTimeTooSkewed",
}  # fmt: skip


def plain(text: str) -> str:
    text = html.unescape(text).replace("\u202f", " ").replace("\u00a0", " ").replace("’", "'")
    return re.sub(r"\s+", " ", text)


@cache
def shown() -> str:
    """All texts of pages, programs and mails, without their marks."""
    found = []
    for pattern in SHOWN:
        for path in (ROOT / "packages").glob(pattern):
            text = path.read_text("utf-8")
            if path.suffix == ".py":
                text = re.sub(r"[\"']\s*\n\s*f?[\"']", "", text)
            found.append(plain(re.sub(r"<[^>]*>", "", text)))
            found.append(plain(text))
    return "\n".join(found)


@pytest.mark.parametrize("path", [*GUIDES, *RUNBOOKS], ids=lambda path: path.name)
def test_each_label_of_a_guide_or_runbook_stands_on_a_page(path: Path) -> None:
    text = HEADING.sub("", path.read_text("utf-8"))
    for found in (LABEL if path in GUIDES else LABEL_IN_ENGLISH).finditer(text):
        label = plain(next(one for one in found.groups() if one)).strip(" .:,")
        parts = [part for part in re.split(r"\s*…\s*", label) if part]
        # A page may write its first letter large.
        if (
            "@" not in label
            and label not in OF_OTHERS
            and not all(part in shown() or part[0].lower() + part[1:] in shown() for part in parts)
        ):
            raise AssertionError(f"line {text[: found.start()].count(chr(10)) + 1}: {label}")


def test_each_message_of_a_table_is_one_that_is_shown() -> None:
    found = 0
    for path in GUIDES:
        for table in MESSAGES.findall(path.read_text("utf-8")):
            for row in table.splitlines():
                for message in plain(row.split("|")[1]).replace("*", "").split(" ; "):
                    found += 1
                    assert re.sub(r"^ *\d{3} ", "", message).strip() in shown(), f"{path.name}: {message}"
    assert found >= 20
