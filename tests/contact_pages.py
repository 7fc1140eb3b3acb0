"""What tests of the page Contacts share: a contact of a form, one of a telephone, and what the page shows."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

from django.test import Client

from tests.markup import flat

NOTARY = {
    "given": "Élise",
    "family": "Charton",
    "organisation": "Étude Charton, notaires",
    "emails": "elise@charton.test, accueil@charton.test",
    "phones": "03 80 22 22 22, +33 6 11 22 33 44",
    "note": "Le matin.\nDemander Paul",
    "calendar": "commun",
}
CARD = """BEGIN:VCARD
VERSION:3.0
UID:phone-1
FN:M. le maire Paul Dupont
N:Dupont;Paul;Henri;M. le maire;
ORG:Ville de Nuits;Mairie
item1.EMAIL;TYPE=INTERNET,WORK:paul@nuits.test
item1.X-ABLabel:Bureau
EMAIL;TYPE=HOME:paul@maison.test
TEL;TYPE=CELL:06 01 02 03 04
ADR;TYPE=WORK:;;1 place de la Mairie;Nuits;;21700;France
BDAY:1970-01-02
NOTE:Ligne une\\nLigne deux\\, suite
END:VCARD
"""


def shown(client: Client, words: str = "") -> str:
    answer = client.get(f"/contacts/?q={quote(words)}")
    assert answer.status_code == 200
    return html.unescape(flat(answer.content.decode()))


def names(client: Client, words: str = "") -> list[str]:
    return re.findall(r"<p><strong>(.*?)</strong>", shown(client, words))


def add(client: Client, **more: str) -> None:
    answer = client.post("/contacts/ajouter/", {**NOTARY, **more})
    assert answer.status_code == 302, answer.content.decode()


def path_of(client: Client, words: str = "") -> str:
    """The address of the first contact that may be changed."""
    found = re.search(r'href="(/contacts/(?:commun|prive)/[^"]+?/)"', shown(client, words))
    assert found is not None
    return found[1]
