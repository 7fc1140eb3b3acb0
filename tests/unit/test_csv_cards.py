"""Tables of contacts, as Outlook and Google write them: nothing that a town hall would miss is left behind."""

from __future__ import annotations

import csv
import io

import pytest
from beffroi.drive.calendars import brought, csv_cards

OUTLOOK = {
    "Titre": "Mme", "Prénom": "Zoé", "Deuxième prénom": "Marie", "Nom": "Léger", "Suffixe": "",
    "Société": "Mairie, Beaune", "Service": "Urbanisme", "Titre ": "Responsable",
    "Rue (bureau)": "1, rue Haute", "Rue (bureau) 2": "Bât. B", "Rue (bureau) 3": "", "Ville (bureau)": "Beaune",
    "Dép/Région (bureau)": "Côte-d'Or", "Code postal (bureau)": "21200", "Pays/Région (bureau)": "France",
    "Rue (domicile)": "2 rue Basse", "Ville (domicile)": "Nuits", "Dép/Région (domicile)": "",
    "Code postal (domicile)": "21700", "Pays/Région (domicile)": "", "Rue (autre)": "",
    "Téléphone de l'assistant(e)": "0380000009", "Télécopie (bureau)": "0380000001",
    "Téléphone (bureau)": "0380000002", "Téléphone 2 (bureau)": "", "Téléphone société": "0380000003",
    "Téléphone (domicile)": "0380000004", "Tél. mobile": "0601020304", "Télex": "1",
    "Adresse de courrier": "zoe@beaune.test", "Type de courrier": "SMTP",
    "Nom complet de l'adresse de courrier": "Zoé (zoe@beaune.test)", "Anniversaire": "14/05/1980",
    "Catégories": "Élus;Voirie", "Critère de diffusion": "Privé", "Notes": "Une\r\nnote; là", "Page Web": "https://x.test/a,b",
}  # fmt: skip
GOOGLE = {
    "First Name": "Paul", "Last Name": "Petit", "Organization Name": "Nuits", "Organization Title": "Maire",
    "Birthday": "1970-01-02", "Labels": "* myContacts ::: Élus", "E-mail 1 - Label": "* Work",
    "E-mail 1 - Value": "p@x.test ::: q@x.test", "Phone 1 - Label": "Work Fax", "Phone 1 - Value": "0300",
    "Phone 2 - Label": "Mobile", "Phone 2 - Value": "0600", "Address 1 - Label": "Home",
    "Address 1 - Formatted": "1 rue A, Nuits", "Address 1 - Street": "1 rue A", "Address 1 - City": "Nuits",
    "Address 1 - PO Box": "BP 3", "Address 1 - Region": "BFC", "Address 1 - Postal Code": "21700",
    "Address 1 - Country": "FR", "Address 1 - Extended Address": "appt 3", "Website 1 - Value": "https://y.test",
}  # fmt: skip
ENGLISH = {
    "Title": "Dr", "First Name": "Ann", "Last Name": "Lee", "Company": "Ets", "Job Title": "CEO",
    "Business Street": "1 High St", "Business City": "Dijon", "Business Postal Code": "21000",
    "Business Country/Region": "France", "Business Address PO Box": "BP 1", "Business Fax": "0301",
    "Business Phone": "0302", "Mobile Phone": "0601", "E-mail Address": "ann@x.test", "E-mail Type": "SMTP",
    "E-mail Display Name": "Ann", "Birthday": "5/6/1980", "Categories": "", "Sensitivity": "Normal",
}  # fmt: skip


def table(cells: dict[str, str], delimiter: str = ",") -> str:
    out = io.StringIO()
    written = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    written.writerow([head.strip() for head in cells])
    written.writerow(cells.values())
    return out.getvalue()


def lines(data: bytes) -> list[str]:
    ((_, piece),) = brought.pieces("contacts", data)
    assert isinstance(piece, brought.Piece), piece
    return [one for one in piece.text.splitlines() if not one.startswith(("BEGIN", "END", "VERSION", "UID"))]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_of_outlook_in_french_comes_whole(encoding: str, delimiter: str) -> None:
    assert lines(table(OUTLOOK, delimiter).encode(encoding)) == [
        "N:Léger;Zoé;Marie;Mme;",
        "FN:Zoé Léger",
        "TITLE:Responsable",
        "NOTE:Une\\nnote\\; là",
        "BDAY:1980-05-14",
        "ORG:Mairie\\, Beaune;Urbanisme",
        "URL:https://x.test/a,b",
        "CATEGORIES:Élus,Voirie",
        "CLASS:PRIVATE",
        "EMAIL:zoe@beaune.test",
        "TEL;TYPE=WORK:0380000002",
        "TEL;TYPE=WORK:0380000003",
        "TEL;TYPE=HOME:0380000004",
        "TEL;TYPE=CELL:0601020304",
        "TEL;TYPE=FAX,WORK:0380000001",
        "ADR;TYPE=WORK:;;1\\, rue Haute\\nBât. B;Beaune;Côte-d'Or;21200;France",
        "ADR;TYPE=HOME:;;2 rue Basse;Nuits;;21700;",
    ]


def test_so_do_those_of_google_and_of_outlook_in_english() -> None:
    assert lines(table(GOOGLE).encode()) == [
        "N:Petit;Paul;;;",
        "FN:Paul Petit",
        "TITLE:Maire",
        "BDAY:1970-01-02",
        "ORG:Nuits",
        "URL:https://y.test",
        "CATEGORIES:Élus",
        "EMAIL:p@x.test",
        "EMAIL:q@x.test",
        "TEL;TYPE=FAX,WORK:0300",
        "TEL;TYPE=CELL:0600",
        "ADR;TYPE=HOME:BP 3;appt 3;1 rue A;Nuits;BFC;21700;FR",
    ]
    assert lines(table(ENGLISH).encode()) == [
        "N:Lee;Ann;;Dr;",
        "FN:Ann Lee",
        "TITLE:CEO",
        "ORG:Ets",
        "EMAIL:ann@x.test",
        "TEL;TYPE=WORK:0302",
        "TEL;TYPE=CELL:0601",
        "TEL;TYPE=FAX,WORK:0301",
        "ADR;TYPE=WORK:BP 1;;1 High St;Dijon;;21000;France",
    ], "a day that may be the fifth of June or the sixth of May is left out"


@pytest.mark.parametrize(
    "head",
    [
        "Titre,Prénom,Deuxième prénom,Nom,Société,Téléphone (bureau),Télécopie (bureau),Tél. mobile,"
        "Adresse de messagerie,Type de messagerie,Nom complet de l'adresse de messagerie,Notes",
        "Title,First Name,Middle Name,Last Name,Company,Business Phone,Business Fax,Mobile Phone,E-mail Address,"
        "E-mail Type,E-mail Display Name,Notes",
        "Name Prefix,First Name,Phonetic First Name,Last Name,Organization Name,Phone 1 - Value,Phone 1 - Label,"
        "Phone 2 - Value,E-mail 1 - Value,E-mail 1 - Label,Labels,Notes",
        "Name,Given Name,Additional Name,Family Name,Organization 1 - Name,Phone 1 - Value,Phone 1 - Type,"
        "Phone 2 - Value,E-mail 1 - Value,E-mail 1 - Type,Group Membership,Notes",
    ],
)
def test_tables_of_all_their_versions_are_read(head: str) -> None:
    cells = ["", "Zoé", "", "Léger", "Mairie", "0380", "", "0601", "z@x.test", "SMTP", "", "Oui"]
    text = f"{head}\r\n{','.join(cells)}\r\n{',' * 11}\r\n"
    found = lines(text.encode("cp1252"))
    assert {"N:Léger;Zoé;;;", "FN:Zoé Léger", "ORG:Mairie", "EMAIL:z@x.test", "NOTE:Oui"} <= {*found}
    assert [one.rpartition(":")[2] for one in found if one.startswith("TEL")] == ["0380", "0601"]


def test_a_title_alone_is_what_somebody_does() -> None:
    for head in ("Titre", "Title", "Fonction"):
        found = lines(table({head: "Maire", "Nom": "Petit", "Téléphone": "0380"}).encode())
        assert {"TITLE:Maire", "N:Petit;;;;"} <= {*found}


def test_a_table_tells_where_it_breaks_and_several_in_a_cell_are_several() -> None:
    text = 'Name,E-mail 1 - Value\nPaul,a@x.test ::: b@x.test\n,\n,"",\n"Sans\nfin'
    assert [(one.line, bool(one.card)) for one in csv_cards.rows(text)] == [(2, True), (5, False)]
    assert next(csv_cards.rows(text)).card.count("EMAIL:") == 2


def test_what_is_no_table_of_contacts_is_none() -> None:
    for head in ("Titre,Adresse de courrier", "Nom,Rue (bureau)", "Commune,Montant", ""):
        assert list(csv_cards.rows(f"{head}\r\na,b\r\n")) == []
