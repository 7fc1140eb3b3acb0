"""What the sign-in says of a mistake: allauth's words say that it is one, ours what to do next.

Process: web.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy

from beffroi.core.identity import adapters

_SLOWLY = gettext_lazy(
    "Trop d’essais à la suite : attendez cinq minutes, puis recommencez. Votre compte n’est pas bloqué."
)


class AccountAdapter(adapters.AccountAdapter):
    error_messages: ClassVar[dict[str, Any]] = {
        **adapters.AccountAdapter.error_messages,
        "email_password_mismatch": gettext_lazy(
            "L’adresse ou le mot de passe n’est pas juste. Vérifiez les deux, et la touche des majuscules."
        ),
        "incorrect_password": gettext_lazy(
            "Ce n’est pas le mot de passe de ce portail. Vérifiez la touche des majuscules, puis recommencez."
        ),
        "too_many_login_attempts": _SLOWLY,
        "rate_limited": _SLOWLY,
    }


class MfaAdapter(adapters.MfaAdapter):
    error_messages: ClassVar[dict[str, Any]] = {
        **adapters.MfaAdapter.error_messages,
        "incorrect_code": gettext_lazy(
            "Ce code ne convient pas, ou il a déjà servi. Attendez le suivant ; l’heure du téléphone doit être juste."
        ),
        "too_many_codes": gettext_lazy(
            "Trop de codes faux aujourd’hui : aucun ne vaut plus avant demain. Si ce n’était pas vous, quelqu’un"
            " connaît votre mot de passe : entrez par une clé ou un code de dépannage, puis changez-le."
        ),
    }
