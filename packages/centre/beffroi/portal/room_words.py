"""Plain words for how full a mailbox, a folder of the Coffre or a collectivité is, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.drive.store.model import NO_LIMIT
from beffroi.lib import gigabytes
from beffroi.lib.errors import Invalid
from beffroi.mail.quota.rules import FULL, NEARLY, SOON, Room
from beffroi.portal.dates import is_french
from beffroi.portal.words import size

LIMIT_REFUSED = gettext_lazy(
    "Donnez un nombre de Go, par exemple 5 ou 0,5 (au plus trois chiffres après la virgule et un million de Go), ou"
    " rien pour la place habituelle."
)
LIMIT_AMBIGUOUS = gettext_lazy("« %(typed)s » se lit de deux façons : écrivez %(whole)s ou %(part)s.")
LIMIT_KEPT = gettext_lazy("La place est enregistrée.")


def limit(typed: str) -> tuple[int | None, str]:
    """(bytes, what is wrong) of a number of Go as it was typed; (None, "") where nothing was."""
    try:
        return gigabytes.read(typed, mark="," if is_french() else "."), ""
    except gigabytes.Ambiguous as error:
        said = {"typed": error.typed, "whole": error.whole, "part": error.part}
        return None, str(LIMIT_AMBIGUOUS) % said
    except Invalid:
        return None, str(LIMIT_REFUSED)


def typed(limit_gb: Decimal) -> str:
    """A number of Go as a form shows it, which ``limit`` reads as the same: its thousands are not parted, since a comma
    that does so may also part decimals."""
    return f"{limit_gb:f}".replace(".", "," if is_french() else ".")


@dataclass(frozen=True)
class RoomLine:
    """``percent``: 0 without a limit; ``tone``: "", "warn" or "bad"; ``advice``: "" while there is room."""

    sentence: str
    percent: int
    tone: str
    advice: str


def mailbox(room: Room) -> RoomLine:
    """For the owner of a mailbox."""
    advice = {
        SOON: _(
            "Votre boîte se remplit. Effacez les gros courriels dont vous n’avez plus besoin et videz la corbeille, ou"
            " demandez de la place au Département."
        ),
        NEARLY: _(
            "Votre boîte est presque pleine : bientôt, les courriels qu’on vous envoie devront attendre. Videz la"
            " corbeille et effacez de gros courriels, ou demandez de la place au Département."
        ),
        FULL: _(
            "Votre boîte est pleine. Rien n’est perdu : les courriels qu’on vous envoie attendent chez leur expéditeur,"
            " qui réessaie pendant quelques jours. Videz la corbeille et effacez de gros courriels dès maintenant, ou"
            " demandez de la place au Département."
        ),
    }
    return _line(room, advice.get(room.level, ""))


def collectivite(room: Room) -> RoomLine:
    """For a référent and the Département."""
    advice = {
        SOON: _("Les boîtes de la collectivité se remplissent."),
        NEARLY: _(
            "Les boîtes de la collectivité sont presque pleines : bientôt, le courrier devra attendre."
        ),
        FULL: _(
            "La place de la collectivité est épuisée : le courrier attend chez ses expéditeurs, qui réessaient pendant"
            " quelques jours."
        ),
    }
    return _line(room, advice.get(room.level, ""))


def folder(used_bytes: int, limit_bytes: int) -> RoomLine:
    """A root of the Coffre, for whose it is. ``limit_bytes``: NO_LIMIT for none."""
    advice = {
        "warn": _(
            "Votre place est presque épuisée. Supprimez ce qui ne sert plus, ou demandez-en à la personne référente."
        ),
        "bad": _(
            "Votre place est épuisée : plus rien ne peut être envoyé ni modifié ici. Supprimez ce qui ne sert plus, ou "
            "demandez de la place à la personne référente."
        ),
    }
    return _files(used_bytes, limit_bytes, advice)


def coffre(used_bytes: int, limit_bytes: int) -> RoomLine:
    """The Coffre of a collectivité, for a référent and the Département. ``limit_bytes``: NO_LIMIT for none."""
    advice = {
        "warn": _(
            "Le Coffre de la collectivité est presque plein : bientôt, plus rien ne pourra être envoyé. Videz la "
            "corbeille et supprimez ce qui ne sert plus, ou demandez de la place au Département."
        ),
        "bad": _(
            "La place de la collectivité est épuisée : plus rien ne peut être envoyé. Videz la corbeille, supprimez ce "
            "qui ne sert plus, ou demandez de la place au Département."
        ),
    }
    return _files(used_bytes, limit_bytes, advice)


def _files(used_bytes: int, limit_bytes: int, advice: Mapping[str, str]) -> RoomLine:
    if limit_bytes == NO_LIMIT:
        return RoomLine(_("%(used)s utilisés, sans limite fixée") % {"used": size(used_bytes)}, 0, "", "")
    percent = 100 if not limit_bytes else used_bytes * 100 // limit_bytes
    tone = "bad" if percent >= 100 else "warn" if percent >= 90 else ""
    return _said(used_bytes, limit_bytes, percent, tone, advice.get(tone, ""))


def _line(room: Room, advice: str) -> RoomLine:
    tone = {SOON: "warn", NEARLY: "warn", FULL: "bad"}.get(room.level, "")
    return _said(room.used_bytes, room.limit_bytes, room.percent, tone, advice)


def _said(used_bytes: int, limit_bytes: int, percent: int, tone: str, advice: str) -> RoomLine:
    words = {"used": size(used_bytes), "limit": size(limit_bytes), "percent": percent}
    sentence = _("%(used)s utilisés sur %(limit)s (%(percent)s %%)") % words
    return RoomLine(sentence, min(percent, 100), tone, advice)
