"""Which words mark what they name as somebody's own: a folder, a file, a subject. Pure.

Purpose: one judgement wherever somebody else than its owner comes to what is called *personnel* or *privé*.
Hostile: names and subjects.
Fails:   closed: where the words may mean either, it is personal. Only what names staff, training, schools or public
         property, where the same words are everyday words of a town hall, is left open.
Source:  Cass. soc., 2 October 2001, 99-42.942 (Nikon); 17 May 2005, 03-40.017; 18 October 2011, 10-25.706; 10 May 2012,
         11-13.884 (what is not *identified* as personal is professional).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from beffroi.lib.unseen import DIRECTION, LINE_ENDS, TURNING, ZERO_WIDTH


def words_in(text: str) -> frozenset[str]:
    """With spaces between."""
    return frozenset(text.split())


ALWAYS = frozenset({"perso", "persos", "private"})
_PRIVATE = frozenset({"prive", "privee", "prives", "privees", "priv"})
"""``priv``: what is left of *privé* when its last sign was lost on the way."""
_PERSONAL = frozenset({"personnel", "personnelle", "personnels", "personnelles", "personal"})
MARKS = ALWAYS | _PRIVATE | _PERSONAL
_STAFF_AFTER = words_in(
    "data administratif administratifs communal communaux contractuel de des du enseignant intercommunal municipal"
    " municipaux navigant politique remplacant saisonnier soignant technique techniques territorial territoriaux"
    " titulaire titulaires titularise"
)
"""*Personnel communal*: the staff; *personal data*: the law."""
_STAFF_BEFORE = words_in(
    "au aux de delegue delegues des donnees du d l la le les donnee formation gestion representant representants"
    " representation service"
)
"""*Gestion du personnel*: the staff; *données personnelles*: the law."""
_PROPERTY_BEFORE = words_in(
    "acces bien biens chemin copropriete creche domaine droit ecole ecoles enseignement etablissement foret parking"
    " parcelle propriete secteur terrain travaux voie voies voirie"
)
"""*Domaine privé*, *école privée*: not the private life of anybody."""
_DEPRIVED = words_in("chauffage courant eau electricite fibre gaz internet lumiere telephone")
"""*Privés d'eau depuis hier*: deprived."""
UNSEEN = re.compile(f"[{ZERO_WIDTH}{DIRECTION}{TURNING}{LINE_ENDS}]")
MAX_CHARS = 2000
"""Of a text, what is looked at."""


def is_personal_name(name: str) -> bool:
    """Whether the name of one folder or file says so, anywhere in it. ``name``: without the folders above."""
    return says(words_of(name), anywhere=True)


def says(words: Sequence[str], *, anywhere: bool = False) -> bool:
    """Whether the first word, or any, marks what follows as personal."""
    for at, word in enumerate(words if anywhere else words[:1]):
        before = words[at - 1] if at else ""
        after = words[at + 1] if at + 1 < len(words) else ""
        if word in ALWAYS:
            return True
        if word in _PERSONAL and after not in _STAFF_AFTER and before not in _STAFF_BEFORE:
            return True
        deprived = after in ("d", "de") and set(words[at + 2 : at + 3]) <= _DEPRIVED
        if word in _PRIVATE and before not in _PROPERTY_BEFORE and not deprived:
            return True
    # « Strictement personnel », « à titre privé ».
    return bool(words) and words[0] in ("strictement", "strictly") and says(words[1:])


def words_of(text: str) -> list[str]:
    """Without accents, case and signs, in their order."""
    plain = unicodedata.normalize("NFKD", UNSEEN.sub("", text[:MAX_CHARS])).casefold()
    bare = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.findall(r"[^\W_]+", bare)
