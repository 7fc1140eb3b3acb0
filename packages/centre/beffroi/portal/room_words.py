"""Plain words for how full a mailbox or a collectivité is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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
    """``tone``: "", "warn" or "bad"; ``advice``: "" while there is room."""

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


def _line(room: Room, advice: str) -> RoomLine:
    words = {"used": size(room.used_bytes), "limit": size(room.limit_bytes), "percent": room.percent}
    sentence = _("%(used)s utilisés sur %(limit)s (%(percent)s %%)") % words
    tone = {SOON: "warn", NEARLY: "warn", FULL: "bad"}.get(room.level, "")
    return RoomLine(sentence, min(room.percent, 100), tone, advice)
