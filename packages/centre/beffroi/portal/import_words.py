"""What the pages say of an import, in the words of a town hall."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext, gettext_lazy

from beffroi.mail.importing import letters
from beffroi.mail.importing.models import ImportFailure, ImportJob
from beffroi.portal.words import size

_State = ImportJob.State

HINTS = {
    "wanadoo": gettext_lazy("Les adresses wanadoo.fr sont chez Orange : le serveur est le même."),
    "app_password": gettext_lazy(
        "Gmail refuse le mot de passe habituel. Sur myaccount.google.com, activez la validation en deux étapes, puis"
        " créez un « mot de passe d’application » : c’est lui qu’il faut saisir ici. Vous le supprimerez ensuite."
    ),
    "no_passwords": gettext_lazy(
        "Microsoft n’accepte plus de mot de passe pour Outlook.com et Hotmail depuis septembre 2024, même un mot de"
        " passe d’application. Exportez votre courrier depuis votre logiciel et confiez le fichier au Département, qui"
        " le copiera dans votre boîte."
    ),
}
OTHER_HINT = gettext_lazy(
    "Si la connexion est refusée, permettez d’abord l’accès « IMAP » dans les réglages de l’ancienne boîte."
    " Si elle a une double vérification, il faut y créer un mot de passe d’application."
)
ERRORS = {
    "mail.import_address_inside": gettext_lazy(
        "Ce serveur n’est pas sur l’internet public, ou pas sur un port de messagerie : le centre ne s’y connecte pas."
    ),
    "mail.import_not_trusted": gettext_lazy(
        "Le certificat de ce serveur n’est pas valable pour son nom : votre mot de passe ne lui a pas été envoyé."
        " Vérifiez le nom du serveur auprès de votre ancien fournisseur."
    ),
    "mail.import_sign_in_refused": gettext_lazy(
        "L’ancien fournisseur refuse cet identifiant ou ce mot de passe. Il veut souvent un mot de passe d’application."
    ),
    "mail.import_mailbox_full": gettext_lazy(
        "Votre nouvelle boîte est pleine : la reprise s’est arrêtée là, rien n’est perdu. Demandez de la place au"
        " Département, puis reprenez."
    ),
    "mail.import_too_many_folders": gettext_lazy(
        "Cette boîte a trop de dossiers pour les montrer ici. Demandez à l’ancien fournisseur un fichier de tout le"
        " courrier (mbox, EML ou ZIP) et confiez-le au Département, ou regroupez des dossiers, puis reprenez."
    ),
    "mail.import_asker_gone": gettext_lazy(
        "La personne qui avait demandé cette reprise n’a plus accès à cette boîte : la reprise s’est arrêtée, et le mot"
        " de passe de l’ancienne boîte est effacé. Pour continuer, saisissez-le de nouveau ; sinon, annulez."
    ),
    "mail.import_unreachable": gettext_lazy("L’ancien serveur ne répond pas."),
    "mail.import_not_understood": gettext_lazy("L’ancien serveur donne des réponses incompréhensibles."),
    "mail.import_throttled": gettext_lazy("L’ancien fournisseur demande une pause."),
    "mail.import_day_over": gettext_lazy("L’ancien fournisseur limite ce qu’on peut relever en un jour."),
    "mail.import_mailbox_away": gettext_lazy("Votre nouvelle boîte ne répond pas pour le moment."),
    "mail.import_crashed": gettext_lazy("La reprise s’est interrompue."),
}
GOES_ON = gettext_lazy("La reprise continuera d’elle-même ; rien n’est perdu.")
REASONS = {
    "mailbox_full": gettext_lazy("plus de place dans la nouvelle boîte"),
    "unreadable": gettext_lazy("l’ancien serveur ne le donne pas, ou il est abîmé"),
    "refused": gettext_lazy("refusé par la nouvelle boîte"),
    "folder_gone": gettext_lazy("ce dossier n’est plus dans l’ancienne boîte"),
}
STATES = {
    _State.LISTING: gettext_lazy("Connexion à l’ancienne boîte"),
    _State.READY: gettext_lazy("Choix des dossiers"),
    _State.RUNNING: gettext_lazy("Reprise en cours"),
    _State.PAUSED: gettext_lazy("En pause"),
    _State.COLLECTING: gettext_lazy("Repris ; l’ancienne adresse reste relevée"),
    _State.DONE: gettext_lazy("Terminé"),
    _State.CANCELLED: gettext_lazy("Arrêté"),
    _State.UNDOING: gettext_lazy("Retrait en cours"),
    _State.UNDONE: gettext_lazy("Retiré"),
}
TARGETS = {
    "INBOX": gettext_lazy("Boîte de réception"),
    "Sent": gettext_lazy("Envoyés"),
    "Drafts": gettext_lazy("Brouillons"),
    "Trash": gettext_lazy("Corbeille"),
    "Junk": gettext_lazy("Indésirables"),
    "Archive": gettext_lazy("Archives"),
}
PLACES = {
    "impots": gettext_lazy("Impôts : espace professionnel de la commune (impots.gouv.fr)"),
    "service_public": gettext_lazy("Annuaire de Service-Public.fr (coordonnées de la mairie)"),
    "chorus_pro": gettext_lazy("Chorus Pro (factures des fournisseurs)"),
    "prefecture": gettext_lazy("Préfecture et sous-préfecture ; contrôle de légalité (ACTES)"),
    "sgc": gettext_lazy("Service de gestion comptable et conseiller aux décideurs locaux"),
    "helios": gettext_lazy("Hélios et portail de la gestion publique"),
    "caf": gettext_lazy("CAF, MSA, Urssaf, net-entreprises"),
    "insee": gettext_lazy("INSEE : état civil, recensement, répertoire électoral"),
    "centre_gestion": gettext_lazy("Centre de gestion, CNFPT, CNRACL, Ircantec"),
    "banque": gettext_lazy("Banque, caisse des dépôts, régies"),
    "energie": gettext_lazy("Électricité, gaz, eau, téléphone, internet"),
    "assurance": gettext_lazy("Assurances"),
    "logiciels": gettext_lazy("Logiciels métier, parapheur, profil acheteur, copieur"),
    "site": gettext_lazy("Site de la commune, panneau, papier à en-tête, signature"),
    "annuaire": gettext_lazy("Élus, agents, écoles, associations, intercommunalité"),
}


@dataclass(frozen=True)
class Told:
    """The state of an import: a sentence, and how it is shown ("good", "warn", "bad" or "")."""

    text: str
    advice: str
    tone: str


def told(job: ImportJob) -> Told:
    """Why it does not go on, where it does not."""
    error = str(ERRORS.get(job.error, "")) if job.error else ""
    if error and job.state == _State.PAUSED:
        advice = gettext("Rien de ce qui est copié n’est perdu : la reprise repartira de là.")
        return Told(error, advice, "bad")
    if error and job.state == _State.UNDOING:
        return Told(error, gettext("Le retrait continuera de lui-même."), "warn")
    if error:
        return Told(error, str(GOES_ON), "warn")
    return Told("", "", "")


def state(job: ImportJob) -> str:
    return str(STATES.get(ImportJob.State(job.state), job.state))


def target(name: str) -> str:
    return str(TARGETS.get(name, name))


def reason(failure: ImportFailure) -> str:
    if failure.reason == "too_large":
        return gettext("plus de %(most)s") % {"most": size(letters.MAX_BYTES)}
    return str(REASONS.get(failure.reason, failure.reason))
