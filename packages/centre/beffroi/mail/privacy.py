"""What is personal in a professional mailbox, and so not for whoever reads it in its owner's stead. Pure.

Purpose: one answer for lists, search, counts and single mails, wherever somebody else than the owner opens a mailbox.
Hostile: folder names, subjects, headers. A sender who marks a mail hides it from the delegate, as a sender may.
Fails:   closed: where the words may mean either, the mail is personal. Only what names staff, training, schools or
         public property, where the same words are everyday words of a town hall, is left open.
Source:  Cass. soc., 2 October 2001, 99-42.942 (Nikon); 17 May 2005, 03-40.017; 18 October 2011, 10-25.706; 10 May 2012,
         11-13.884 (what is not *identified* as personal is professional). RFC 2156, 5.3.4 (Sensitivity).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence


def _of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ALWAYS = frozenset({"perso", "persos", "private"})
_PRIVATE = frozenset({"prive", "privee", "prives", "privees", "priv"})
"""``priv``: what is left of *privé* when its last sign was lost on the way."""
_PERSONAL = frozenset({"personnel", "personnelle", "personnels", "personnelles", "personal"})
_MARKS = _ALWAYS | _PRIVATE | _PERSONAL
_STAFF_AFTER = _of(
    "data administratif administratifs communal communaux contractuel de des du enseignant intercommunal municipal"
    " municipaux navigant politique remplacant saisonnier soignant technique techniques territorial territoriaux"
    " titulaire titulaires titularise"
)
"""*Personnel communal*: the staff; *personal data*: the law."""
_STAFF_BEFORE = _of(
    "au aux de delegue delegues des donnees du d l la le les donnee formation gestion representant representants"
    " representation service"
)
"""*Gestion du personnel*: the staff; *données personnelles*: the law."""
_PROPERTY_BEFORE = _of(
    "acces bien biens chemin copropriete creche domaine droit ecole ecoles enseignement etablissement foret parking"
    " parcelle propriete secteur terrain travaux voie voies voirie"
)
"""*Domaine privé*, *école privée*: not the private life of anybody."""
_DEPRIVED = _of("chauffage courant eau electricite fibre gaz internet lumiere telephone")
"""*Privés d'eau depuis hier*: deprived."""
_LETTERS = _of("courriel courrier lettre mail message mails messages courriels courriers")
_ANSWER = re.compile(
    r"\s*(?:re|ré|rép|rep|réf|tr|fw|fwd|aw|wg|sv|vs|antw|inoltra|rv|res)\s*(?:\[\d+\])?\s*[:：]", re.I
)
_BRACKETS = re.compile(r"[\[(<{«*_#]+([^\])>}»*_#]{1,40})[\])>}»*_#]+")
_END = re.compile(r"[-–—:|/,;.!]\s*([^-–—:|/,;.!]{1,40})[\s.!]*$")
_ZERO_WIDTH = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_MAX_CHARS = 2000


def is_private(
    *, folder: str, separator: str = "/", subjects: Sequence[str] = (), sensitivities: Sequence[str] = ()
) -> bool:
    """Whether a mail in this folder is its owner's alone. ``subjects`` and ``sensitivities``: each header of the name,
    decoded; there may be several, and one is enough."""
    return (
        is_private_folder(folder, separator)
        or any(is_private_subject(one) for one in subjects)
        or any({"personal", "private"} & set(_words(one)) for one in sensitivities)
    )


def is_private_folder(name: str, separator: str = "/") -> bool:
    """The folder's own name, or that of one above it, says so anywhere in it."""
    return any(_says(_words(part), anywhere=True) for part in name.split(separator or "/"))


def is_private_subject(subject: str) -> bool:
    """The subject begins or ends with the word, holds it in brackets, or speaks of a personal mail. A word in the
    middle of a sentence identifies nothing."""
    text = _ZERO_WIDTH.sub("", subject[:_MAX_CHARS])
    while found := _ANSWER.match(text):
        text = text[found.end() :]
    if any(_says(_words(one)) for one in _BRACKETS.findall(text)):
        return True
    end = _END.search(text)
    if end and len(_words(end[1])) == 1 and _says(_words(end[1])):
        return True
    words = _words(_BRACKETS.sub(" ", text)) or _words(text)
    return _says(words) or bool(_ALWAYS & set(words)) or _of_a_letter(words)


def _says(words: Sequence[str], *, anywhere: bool = False) -> bool:
    """Whether the first word, or any, marks what follows as personal."""
    for at, word in enumerate(words if anywhere else words[:1]):
        before = words[at - 1] if at else ""
        after = words[at + 1] if at + 1 < len(words) else ""
        if word in _ALWAYS:
            return True
        if word in _PERSONAL and after not in _STAFF_AFTER and before not in _STAFF_BEFORE:
            return True
        deprived = after in ("d", "de") and set(words[at + 2 : at + 3]) <= _DEPRIVED
        if word in _PRIVATE and before not in _PROPERTY_BEFORE and not deprived:
            return True
    # « Strictement personnel », « à titre privé ».
    return bool(words) and words[0] in ("strictement", "strictly") and _says(words[1:])


def _of_a_letter(words: Sequence[str]) -> bool:
    """« Message personnel », « à titre privé », « personnel et confidentiel »."""
    for at, word in enumerate(words):
        if word not in _MARKS:
            continue
        before = words[at - 1] if at else ""
        after = words[at + 1 : at + 3]
        if before in _LETTERS | {"titre", "strictement"}:
            return True
        if len(after) == 2 and after[0] in ("et", "and") and after[1].startswith("confiden"):
            return True
    return False


def _words(text: str) -> list[str]:
    """Without accents, case and signs, in their order."""
    plain = unicodedata.normalize("NFKD", _ZERO_WIDTH.sub("", text[:_MAX_CHARS])).casefold()
    bare = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.findall(r"[^\W_]+", bare)
