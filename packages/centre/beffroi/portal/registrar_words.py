"""What a provider's interface answered, in plain words with what to do next."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

REASONS = {
    "key": gettext_lazy(
        "Le fournisseur a refusé ces identifiants. Vérifiez qu’ils sont complets, encore valables, et qu’ils permettent"
        " de modifier la zone DNS."
    ),
    "zone": gettext_lazy(
        "Ce domaine n’a pas été trouvé chez ce fournisseur. Vérifiez que les identifiants sont ceux du compte qui gère"
        " sa zone DNS."
    ),
    "haste": gettext_lazy("Le fournisseur demande de ralentir. Attendez quelques minutes, puis réessayez."),
    "silent": gettext_lazy("Le fournisseur ne répond pas. Réessayez dans quelques minutes."),
    "slow": gettext_lazy(
        "Le fournisseur a été trop lent : une partie est peut-être écrite. Regardez de nouveau ce qui diffère, puis"
        " continuez."
    ),
    "changed": gettext_lazy(
        "La zone a changé entre-temps : rien n’a été écrit. Voici ce qui diffère maintenant."
    ),
    "busy": gettext_lazy(
        "Un autre changement est en cours sur ce domaine. Attendez une minute, puis réessayez."
    ),
    "none": gettext_lazy("Il n’y a plus d’identifiants pour ce domaine. Donnez-les de nouveau."),
    "nothing": gettext_lazy("Il n’y a pas de changement à annuler."),
    "request": gettext_lazy(
        "Ces identifiants ne peuvent pas être les bons. Recopiez-les en entier, sans retour à la ligne."
    ),
    "away": gettext_lazy(
        "Le service du centre qui parle aux fournisseurs est arrêté. Prévenez l’exploitant : ./beffroi status"
    ),
    "disk": gettext_lazy(
        "Le centre n’a pas pu noter le changement : rien de plus n’a été écrit. Prévenez l’exploitant."
    ),
    "odd": gettext_lazy(
        "Le fournisseur a répondu d’une façon que le centre ne comprend pas. Passez par la lettre ou par le fichier de"
        " zone."
    ),
}
REFUSED = gettext_lazy("Le fournisseur ne l’a pas accepté : recopiez-le dans son formulaire.")


def reason(code: str) -> str:
    return str(REASONS.get(code, REASONS["odd"]))
