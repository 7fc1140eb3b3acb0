"""What a mail program shows when a script is not taken: the process speaks French, as the greeting does."""

from __future__ import annotations

from beffroi.lib.config import Config
from beffroi.mail.engines import layout
from beffroi.mail.scripts.errors import ScriptInvalid
from beffroi.mail.scripts.rules import MAX_SCRIPT_BYTES, MAX_SCRIPTS

_FAULTS = {
    "long": f"Ce script dépasse {MAX_SCRIPT_BYTES // 1024} kilo-octets.",
    "signs": "Ce script contient un signe nul.",
    "name": "Ce nom de script n’est pas accepté.",
    "engine": "Le serveur n’a pas pu lire ce script. Réessayez dans un instant.",
    "compile": "Ce script n’est pas accepté : il peut classer, marquer et jeter, mais ni envoyer ni répondre.",
}
FULL = f"Il y a déjà {MAX_SCRIPTS} scripts : supprimez-en un d’abord."
HELD = "Cette boîte est suspendue par précaution. Appelez votre personne référente ou le Département."
ACTIVE = "Ce script est en service : choisissez-en un autre, ou aucun, avant de le supprimer."
TAKEN = "Un script porte déjà ce nom."
ABSENT = "Aucun script ne porte ce nom."
UNKNOWN = "Cette commande n’existe pas ici."
MALFORMED = "Cette commande n’est pas comprise."
CLOSED = "Cette boîte n’est pas ouverte aux logiciels."
LATER = "Le serveur est occupé. Réessayez dans un instant."


def fault(config: Config, error: ScriptInvalid) -> str:
    if error.why == "redirect":
        return (
            "Un script ne peut pas renvoyer de courrier (« redirect », même dans un texte ou un commentaire)."
            f" Réglez le renvoi dans le portail : {layout.portal_url(config, 'courrier/')}"
        )
    said = f"\r\n{error.said}" if error.said else ""
    return _FAULTS[error.why] + said.replace("\r\n", "\n").replace("\n", "\r\n")
