"""Words as a person looks for them: near forms are one, numbers of words need the key, names are found from inside."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from beffroi.drive.words import terms, texts
from beffroi.lib import accents
from beffroi.lib.errors import Unavailable
from beffroi.scan import server, wire, worker

KEY, OTHER = terms.key_of(b"a" * 32), terms.key_of(b"b" * 32)


@pytest.mark.parametrize(
    "forms",
    [
        ("délibération", "deliberation", "DÉLIBÉRATIONS", "délibérer", "délibéré"),
        ("municipal", "municipaux", "municipale", "municipales"),
        ("arrêté", "arretes", "Arrêtés"),
        ("école", "écoles", "ECOLE"),
        ("marché", "marchés", "marche"),
        ("loi", "lois"),
        ("œuvre", "oeuvres"),
        ("Straße", "STRASSE"),
        ("année", "annees"),
        ("adresse", "adresses"),
        ("allée", "allées"),
        ("bijou", "bijoux"),
        ("bureau", "bureaux"),
        ("chantier", "chantiers"),
        ("clé", "clés"),
        ("conseiller", "conseillers"),
        ("dossier", "dossiers"),
        ("eau", "eaux"),
        ("élue", "élues"),
        ("établissement", "établissements"),
        ("famille", "familles"),
        ("foncière", "foncières"),
        ("journal", "journaux"),
        ("noyau", "noyaux"),
        ("parcelle", "parcelles"),
        ("personnel", "personnelle", "personnels", "personnelles"),
        ("préau", "préaux"),
        ("recette", "recettes"),
        ("réseau", "réseaux"),
        ("rue", "rues"),
        ("voeu", "vœux"),
    ],
)
def test_near_forms_are_one_word(forms: tuple[str, ...]) -> None:
    found = [tuple(terms.words(one)) for one in forms]
    assert len(set(found)) == 1 and len(found[0]) == 1


@pytest.mark.parametrize("one, other", [("budget", "budgétaire"), ("mairie", "maire"), ("2024", "2025")])
def test_other_words_stay_others(one: str, other: str) -> None:
    assert list(terms.words(one)) != list(terms.words(other))


def test_words_that_every_text_has_are_left_out() -> None:
    assert list(terms.words("Le conseil de l’école et la mairie")) == ["conseil", "ecol", "mairi"]


def test_a_number_of_a_word_tells_nothing_without_the_key() -> None:
    assert terms.terms("budget voirie", KEY) != terms.terms("budget voirie", OTHER)
    assert set(terms.terms("voirie, voirie et budget", KEY)) == set(terms.terms("Budget voiries", KEY))
    assert all(0 <= one < 1 << 63 for one in terms.terms("a1 b2 c3", KEY))


def test_a_text_of_any_length_gives_a_bounded_number_of_words() -> None:
    text = " ".join(f"mot{number}" for number in range(20_000))
    assert len(terms.terms(text, KEY)) == terms.MOST_TERMS


@pytest.mark.parametrize(
    "name, asked, is_found",
    [
        ("PVConseil_2024-06.pdf", "conseil", True),
        ("PVConseil_2024-06.pdf", "pv 2024", True),
        ("Délibération n° 12.odt", "deliber 12", True),
        ("Délibération n° 12.odt", "bération", True),
        ("Délibération n° 12.odt", "on", False),
        ("Budget.ods", "budget 2024", False),
        ("photo123.jpg", "123", True),
        ("photo123.jpg", "23", False),
        ("Facture 12.pdf", "factures", True),
        ("Plan du bourg.pdf", "plans", True),
        ("Planning mars.ods", "plans", False),
        ("Marché.odt", "mars", False),
        ("Journaux.zip", "journal", True),
        ("Journal officiel.pdf", "journaux", True),
        ("Réseau d'eau.pdf", "reseaux EAUX", True),
        ("Facture eau.pdf", "factures d’eau", True),
        ("Ecole.pdf", "l'école", True),
        ("Plan D.pdf", "plan d", True),
        ("Annexe B.pdf", "annexe c", False),
        ("Ti c'hoar.pdf", "c'hoar", True),
    ],
)
def test_names_are_found_by_beginnings_and_insides_of_their_words(
    name: str, asked: str, is_found: bool
) -> None:
    assert terms.is_named(name, terms.wanted_in_names(asked)) is is_found


def test_a_ligature_is_its_letters_for_every_search() -> None:
    assert accents.bare("Œuvre, ŒUVRES d’ÆGIR, Straße d’été") == "oeuvre, oeuvres d’aegir, strasse d’ete"
    assert {"oeuvre", "euvre"} <= set(terms.ends("Œuvre.odt"))


def test_a_name_has_a_bounded_number_of_parts() -> None:
    assert len(terms.name_parts("a" * 255)) <= terms.MOST_PARTS
    assert len(terms.name_parts(" ".join(["abcdefghijkl"] * 19 + ["z" * 8]))) <= terms.MOST_PARTS


def test_a_passage_shows_the_word_as_it_was_written_and_what_stands_around_it() -> None:
    text = "Le maire ouvre la séance.\nLes délibérations, adoptées à l’unanimité, sont affichées."
    found = terms.passage(text, frozenset(terms.words("deliberation")))
    assert found is not None
    assert found.words == "délibérations"
    assert found.before == "Le maire ouvre la séance. Les " and found.after.startswith(", adoptées")
    assert terms.passage(text, frozenset({"absent"})) is None


@pytest.mark.parametrize(
    "text, shown",
    [
        ("la déli\xadbé\xadration du 3", "délibération"),
        ("la délibé-\nration du 3", "délibé- ration"),
        ("la délibé\xad \r\n  ration du 3", "délibé\xad ration"),
        (unicodedata.normalize("NFD", "la délibération du 3"), "délibération"),
        ("la délibération-\nprogramme du 3", "délibération- programme"),
    ],
)
def test_a_word_is_found_and_shown_however_it_is_written(text: str, shown: str) -> None:
    wanted = frozenset(terms.words("deliberation"))
    assert wanted <= set(terms.words(text))
    found = terms.passage(text, wanted)
    assert found == ("la ", shown, " du 3")


def test_a_passage_of_a_long_text_is_short() -> None:
    text = "mot " * 500 + "budget " + "mot " * 500
    found = terms.passage(text, frozenset({"budget"}))
    assert found is not None and found.before.startswith("… ") and found.after.endswith(" …")
    assert len("".join(found)) < 220


@pytest.mark.parametrize(
    "name", ["pvConseil3.odt", "IMG_20240612_101112.JPG", "Œuvre d’été", "B" * 60, "a", "日本語の資料.pdf"]
)
def test_whatever_piece_of_a_name_is_looked_for_is_the_beginning_of_an_end(name: str) -> None:
    bare, ends = accents.bare(name), terms.ends(name)
    for start in range(len(bare)):
        for stop in range(start + 1, len(bare) + 1):
            piece = terms.piece([bare[start:stop]])
            assert not piece or any(end.startswith(piece) for end in ends)
    assert terms.piece(["%", "x-", "conseil_3"]) == "conseil" and terms.piece(["pv"]) == ""


@pytest.mark.parametrize("text", ["Café", "été", "Compte rendu validé", "à", "déjà là"])
def test_a_text_of_windows_is_read_to_its_last_sign(text: str) -> None:
    assert texts.decoded(text.encode("cp1252")) == text


def test_a_text_that_is_cut_within_a_sign_is_of_the_code_that_it_was_in() -> None:
    whole, left = divmod(texts.MOST_TEXT_BYTES, len("€".encode()))
    assert left and texts.decoded(("€" * (whole + 1)).encode()[: texts.MOST_TEXT_BYTES]) == "€" * whole


def test_who_asks_scan_waits_for_its_word_about_a_file_that_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []

    def ask(path: Path, command: str, data: bytes, *, timeout_s: float = 30.0) -> bytes:
        waited.append(timeout_s)
        raise TimeoutError

    monkeypatch.setattr(wire, "ask", ask)
    with pytest.raises(Unavailable):
        texts.by_scan(Path("scan.sock"))(b"%PDF")
    assert waited[0] > worker.READING_S + server.FILES_LOOKING_S
