"""What is said of an address that cannot be given or written to, and what is proposed instead."""

from __future__ import annotations

from django.utils.translation import gettext as _

from beffroi.mail.compose import DraftInvalid, unaccented
from beffroi.mail.naming import AddressUnusable


def plain() -> str:
    return _("Cette adresse ne convient pas : lettres sans accent, chiffres, points et tirets.")


def unusable(error: AddressUnusable) -> str:
    """The form shows the proposal in its field; the sentence says so."""
    if not error.proposal:
        return plain()
    return _(
        "Une adresse s’écrit sans accent ni espace : lettres, chiffres, points et tirets. Nous proposons"
        " « %(local)s » : vérifiez, puis créez."
    ) % {"local": error.proposal}


def _accented(address: str) -> str:
    """Allowed by SMTPUTF8 (RFC 6531), which hardly anybody uses, and typed by whoever writes a name as it is."""
    return _(
        "« %(value)s » a un accent avant l’arobase, ce que presque aucun serveur n’accepte : on n’y écrit pas d’ici."
        " Vérifiez : le plus souvent, l’adresse s’écrit %(likely)s. Si l’on vous a écrit de cette adresse même,"
        " demandez-en une autre : sans l’accent, ce peut être celle d’une autre personne."
    ) % {
        "value": address,
        "likely": unaccented(address.rpartition("@")[0]) + "@" + address.rpartition("@")[2],
    }


def wrong(error: DraftInvalid) -> str:
    """Of a field with addresses; "" where each is one."""
    if error.why == "address":
        return _("« %(value)s » n’est pas une adresse complète. Exemple : mairie@saulieu.fr") % {
            "value": error.value
        }
    return _accented(error.value) if error.why == "accent" else ""
