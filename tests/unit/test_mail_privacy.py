"""What is personal in a professional mailbox, as a table: folder, subject, header."""

from __future__ import annotations

import unicodedata

import pytest
from beffroi.mail.privacy import is_private, is_private_folder, is_private_subject

PRIVATE_SUBJECTS = [
    "Personnel",
    "PERSONNEL",
    "personnel : rendez-vous",
    "Personnel\u00a0: rendez-vous chez le médecin",
    "Personnel - vacances",
    "Personnel et confidentiel",
    "Privé",
    "PRIVE",
    "privé: ma fille",
    "Privée",
    "Privé rendez-vous notaire",
    "perso",
    "Perso : samedi",
    "Samedi, c'est perso ?",
    "Private",
    "private: dinner",
    "Personal",
    "Personal: dinner",
    "Re: Perso : samedi",
    "RE: TR: Fwd: privé : samedi",
    "Re[2]: Personnel",
    "Rép : personnel",
    "[perso] samedi",
    "[Mairie] Perso : samedi",
    "Samedi [privé]",
    "Samedi (personnel)",
    "Samedi - perso",
    "Dîner de samedi – privé",
    "**PERSONNEL** samedi",
    "Message personnel de Paul",
    "Courrier privé",
    "Je vous écris à titre personnel",
    "Strictement personnel",
    "Strictement privé et confidentiel",
    unicodedata.normalize("NFD", "Privé : samedi"),
    "P\u200berso : samedi",
    "\u202ePersonnel : x",
    "Priv\ufffd : samedi",  # the last sign was lost on the way
    "ｐｅｒｓｏ : samedi",  # full width
]
OPEN_SUBJECTS = [
    "",
    "Conseil municipal du 3 décembre",
    "Personnel communal : planning de décembre",
    "Personnel technique : astreintes",
    "Personnel des écoles",
    "Réunion du personnel",
    "Frais de personnel 2026",
    "Re: Gestion du personnel",
    "RGPD : données personnelles des administrés",
    "Travaux sur le domaine privé de la commune",
    "École privée Sainte-Anne : forfait communal",
    "Partenariat public-privé : avis",
    "Privés d'eau depuis hier, rue des Tonneliers",
    "Location de la salle par un privé demain",
    "Personnalisation du site",
    "Une personne est venue",
    "Privilège de vendeur",
    "Apprivoiser les pigeons",
]


@pytest.mark.parametrize("subject", PRIVATE_SUBJECTS)
def test_a_subject_that_says_personal_is_private(subject: str) -> None:
    assert is_private_subject(subject)


@pytest.mark.parametrize("subject", OPEN_SUBJECTS)
def test_a_subject_of_the_town_halls_business_is_not(subject: str) -> None:
    assert not is_private_subject(subject)


@pytest.mark.parametrize(
    "folder",
    [
        "Personnel",
        "personnel",
        "Perso",
        "PRIVÉ",
        "prive",
        "Privée",
        "Private",
        "Personal",
        "Mes mails perso",
        "Dossier personnel",
        "Personnel/Vacances",
        "Archives/Perso/2025",
        "Ecole/Privé",
        unicodedata.normalize("NFD", "Privé"),
    ],
)
def test_a_folder_or_a_parent_that_says_so_is_private(folder: str) -> None:
    assert is_private_folder(folder)


@pytest.mark.parametrize(
    "folder",
    ["INBOX", "Sent", "État civil", "Personnel communal", "Gestion du personnel", "Écoles privées", "Personnes âgées",
     "Domaine privé", "RGPD/Données personnelles"],
)  # fmt: skip
def test_a_folder_of_the_town_halls_business_is_not(folder: str) -> None:
    assert not is_private_folder(folder)


def test_the_separator_of_the_server_divides_folders() -> None:
    assert is_private_folder("Archives.Perso", ".")
    assert not is_private_folder("Paul/Perso".replace("/", "x"), "/")


@pytest.mark.parametrize(
    ("value", "private"),
    [("Personal", True), ("private", True), (" Private ", True), ("PERSONAL (x)", True), ("", False),
     ("Company-Confidential", False), ("Impersonal", False)],
)  # fmt: skip
def test_the_header_sensitivity_counts(value: str, private: bool) -> None:
    assert is_private(folder="INBOX", subjects=["Conseil"], sensitivities=[value]) is private


def test_one_of_several_headers_is_enough() -> None:
    assert is_private(folder="INBOX", subjects=["Conseil", "Perso"])
    assert is_private(folder="INBOX", sensitivities=["Normal", "Private"])
    assert is_private(folder="Perso", subjects=["Conseil"])
    assert not is_private(folder="INBOX")
