"""What went wrong, and what to do next, in plain words. Nothing of what was asked for stands in them."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.core.identity.actor import Actor
from beffroi.core.identity.shared_cache import StorageFull
from beffroi.lib.errors import BeffroiError, Conflict, NotAllowed, NotFound, Unavailable
from beffroi.mail import reader
from beffroi.portal import drive_words
from beffroi.portal.words import size

_BY_CODE = {
    "box.same_administrator": (
        gettext_lazy("Une autre personne doit confirmer ce boîtier"),
        gettext_lazy("Vous avez émis son code : un second administrateur compare l’empreinte et confirme."),
    ),
    "drive.other_collectivite": (
        gettext_lazy("Cette page est celle d’une autre collectivité"),
        gettext_lazy(
            "Vous travaillez maintenant pour une autre. Si celle de cette page est aussi la vôtre, choisissez-la, puis "
            "rouvrez la page."
        ),
    ),
    "unlock.link_too_old": (
        gettext_lazy("Ce lien du boîtier n’est plus valable"),
        gettext_lazy("Rouvrez le site bloqué, puis appuyez de nouveau sur « Débloquer 1 h et signaler »."),
    ),
    "mail.held_by_decision": (
        gettext_lazy("Ce courriel est retenu par une décision commune"),
        gettext_lazy(
            "Vous ne pouvez pas le libérer vous-même : demandez une vérification, le Département vous répondra."
        ),
    ),
    "mail.not_checked_yet": (
        gettext_lazy("Ce courriel vient d’arriver et n’est pas encore contrôlé"),
        gettext_lazy(
            "Votre signalement n’est pas parti. Revenez au courriel et signalez-le de nouveau dans une minute."
        ),
    ),
    "mail.attachment_blocked": (
        gettext_lazy("Cette pièce jointe est bloquée"),
        gettext_lazy("Elle fait partie d’une attaque reconnue : elle ne peut pas être enregistrée ici."),
    ),
    "mail.held_link_too_old": (
        gettext_lazy("Ce lien du résumé n’est plus valable"),
        gettext_lazy(
            "Il servait pendant sept jours. Connectez-vous au portail : ce qui est encore retenu est dans "
            "« Courriels retenus »."
        ),
    ),
    "mail.words_not_ready": (
        gettext_lazy("La recherche n’est pas encore prête"),
        gettext_lazy(
            "Beaucoup de courriels viennent d’arriver, et leurs mots sont encore à relever. Rien n’est perdu : "
            "cherchez de nouveau dans quelques minutes."
        ),
    ),
    "mail.too_much_enclosed": (
        gettext_lazy("Le portail ne peut pas ouvrir cette pièce jointe"),
        gettext_lazy(
            "Ce courriel signé demande trop de travail à ouvrir. Ouvrez-le dans votre logiciel de courriel, ou "
            "demandez le fichier autrement à l’expéditeur."
        ),
    ),
    "mail.held_for_program": (
        gettext_lazy("Ce courriel contient un programme, ou un fichier qui en cache un"),
        gettext_lazy(
            "Demandez un autre fichier à l’expéditeur, ou appelez le Département, qui peut vous le remettre."
        ),
    ),
    "mail.export_over": (
        gettext_lazy("Cet export n’est plus téléchargeable"),
        gettext_lazy("Un fichier reste sept jours. Préparez un nouvel export sur la fiche de la boîte."),
    ),
    "mail.downloads_busy": (
        gettext_lazy("D’autres téléchargements sont en cours"),
        gettext_lazy("Le fichier reste prêt : réessayez dans quelques minutes."),
    ),
    "mail.export_damaged": (
        gettext_lazy("Le fichier de cet export est abîmé"),
        gettext_lazy(
            "Rien n’est perdu : supprimez-le sur la fiche de la boîte et préparez un nouvel export."
        ),
    ),
    "mail.erasure_too_early": (
        gettext_lazy("Cette boîte est fermée depuis moins de 30 jours"),
        gettext_lazy("Jusque-là elle peut être rouverte. Demandez l’effacement à la date dite sur sa fiche."),
    ),
    "drive.keys_erased": (
        gettext_lazy("Le Coffre de cette collectivité a été effacé"),
        gettext_lazy("Ses clés ont été détruites : personne ne peut plus ouvrir ces fichiers."),
    ),
    "drive.share_lost": (
        gettext_lazy("Cette commune a perdu ce qu’elle partageait avec vous"),
        gettext_lazy(
            "Elle ne l’a pas encore restauré. Gardez ce que vous en avez sur vos ordinateurs, et prévenez votre"
            " personne référente : elle voit ce partage dans Partagé avec moi, et peut le refuser."
        ),
    ),
    "drive.absent": (
        gettext_lazy("Ce n’est plus là"),
        gettext_lazy(
            "Quelqu’un l’a peut-être supprimé ou déplacé, ou cela ne vous est pas destiné. Regardez dans la corbeille"
            " du Coffre, ou demandez à la personne qui vous en a parlé."
        ),
    ),
    "communes.left": (
        gettext_lazy("Cette collectivité est partie"),
        gettext_lazy(
            "Rien ne s’y ouvre plus. Si elle revient, annulez d’abord son départ, depuis la page des communes."
        ),
    ),
    "communes.still_ending": (
        gettext_lazy("Les accès de cette collectivité prennent fin en ce moment"),
        gettext_lazy("Réessayez dans quelques minutes."),
    ),
    "communes.not_leaving": (
        gettext_lazy("Le départ de cette collectivité n’est pas enregistré"),
        gettext_lazy("Enregistrez d’abord le jour de son départ."),
    ),
    "communes.erasure_held": (
        gettext_lazy("Un dossier d’incident de cette collectivité est ouvert"),
        gettext_lazy("Ce qu’elle a ici sert de preuve : l’effacement attend que le dossier soit clos."),
    ),
    "mail.erasure_held": (
        gettext_lazy("Un dossier d’incident concerne cette boîte"),
        gettext_lazy("Ses courriels sont des preuves : l’effacement attend que le dossier soit clos."),
    ),
}


def words_of(error: BeffroiError, actor: Actor | None) -> tuple[str, str]:
    """(title, what to do next) for this reader."""
    if isinstance(error, StorageFull):
        return (
            _("Le centre n’a plus de place pour écrire"),
            _(
                "Votre compte n’est pas bloqué. Prévenez le Département : le disque du centre est plein. Le courrier"
                " attend chez ses expéditeurs, et les blocages restent en vigueur. Réessayez ensuite."
            ),
        )
    if error.code in _BY_CODE:
        title, advice = _BY_CODE[error.code]
        return str(title), str(advice)
    if isinstance(error, NotFound):
        return (
            _("Cette page n’existe pas"),
            _("Elle a peut-être été supprimée ou déplacée, ou ne vous est pas destinée."),
        )
    if error.code == "mail.attachment_too_large":
        return (
            _("Cette pièce jointe est trop lourde pour le portail"),
            _("Le portail s’arrête à %(most)s. Ouvrez ce courriel dans votre logiciel de courriel.")
            % {"most": size(reader.MAX_ATTACHMENT_BYTES)},
        )
    if isinstance(error, NotAllowed):
        return _("Votre rôle ne le permet pas"), _who_may(actor)
    if isinstance(error, Conflict):
        return (
            _("La situation a changé entre-temps"),
            _(
                "Quelqu’un d’autre a peut-être déjà agi. Revenez à la page précédente pour voir l’état actuel."
            ),
        )
    if isinstance(error, Unavailable):
        return (
            _("Ce service ne répond pas pour le moment"),
            _("Rien n’est perdu. Réessayez dans une minute ; si cela dure, prévenez le Département."),
        )
    if error.code in drive_words.REFUSALS and error.code.startswith("drive."):
        return _("Ce n’est pas possible ici"), drive_words.refusal(error)
    if error.http_status < 500:
        return _("Cette demande ne peut pas être traitée"), _("Vérifiez ce que vous avez saisi.")
    return _("Une erreur est survenue"), _("Réessayez ; si cela dure, prévenez le Département.")


def _who_may(actor: Actor | None) -> str:
    """Whom to ask; nobody is sent to themselves."""
    if actor is not None and actor.kind == "administrator":
        return _(
            "Demandez à un autre administrateur, à la personne référente de la collectivité, ou à celle que cela"
            " concerne."
        )
    if actor is not None and actor.leads:
        return _("Demandez au Département, ou à la personne que cela concerne.")
    return _("Demandez à la personne référente de votre collectivité.")
