"""Verbs of the audit log in words. An unknown verb is shown as it is: a new action never hides."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.core.identity import queries as identity
from beffroi.lib.errors import NotFound

VERBS = {
    "identity:person:created": gettext_lazy("Compte créé"),
    "identity:membership:added": gettext_lazy("Rattachement ajouté"),
    "identity:access:ended": gettext_lazy("Accès terminé"),
    "identity:app_password:issued": gettext_lazy("Mot de passe d’application créé"),
    "identity:app_password:revoked": gettext_lazy("Mot de passe d’application retiré"),
    "identity:sessions:ended": gettext_lazy("Sessions fermées"),
    "identity:password:set": gettext_lazy("Mot de passe changé"),
    "identity:second_factor:set": gettext_lazy("Double vérification activée"),
    "identity:administrator:created": gettext_lazy("Administrateur créé"),
    "identity:administrator:ended": gettext_lazy("Administrateur retiré"),
    "identity:administrator:signed_in": gettext_lazy("Connexion à la console"),
    "identity:administrator:sign_in_refused": gettext_lazy("Connexion à la console refusée"),
    "identity:sign_in:refused_by_door": gettext_lazy("Connexion refusée depuis une adresse bloquée"),
    "audit:personal:erased": gettext_lazy("Données personnelles d’une ligne effacées"),
    "identity:erasure:asked": gettext_lazy("Effacement d’un compte demandé"),
    "identity:erasure:held": gettext_lazy("Effacement retenu : un dossier concerne ce compte"),
    "identity:person:erased": gettext_lazy("Nom et adresse d’un compte effacés"),
    "identity:person:exported": gettext_lazy("Données d’une personne exportées"),
    "retention:purged": gettext_lazy("Purge : données effacées"),
    "retention:done": gettext_lazy("Purge terminée"),
    "retention:refused": gettext_lazy("Purge refusée : horloge incertaine"),
    "retention:clock_confirmed": gettext_lazy("Purge : horloge confirmée par une personne"),
    "audit:log:pruned": gettext_lazy("Anciennes lignes du journal retirées"),
    "communes:collectivite:enrolled": gettext_lazy("Collectivité inscrite"),
    "communes:domain:added": gettext_lazy("Domaine ajouté"),
    "mail:mailbox:provisioned": gettext_lazy("Boîte de courriel créée"),
    "mail:mailbox:created": gettext_lazy("Boîte de courriel créée"),
    "mail:mailbox:closed": gettext_lazy("Boîte de courriel fermée"),
    "mail:sending:limited": gettext_lazy("Limite d’envoi atteinte"),
    "mail:sending:contained": gettext_lazy("Envoi d’un compte suspendu"),
    "mail:sending:given_back": gettext_lazy("Envoi rendu à un compte"),
    "mail:queue:retry": gettext_lazy("Courriel en attente réessayé"),
    "mail:queue:release": gettext_lazy("Courriel retenu envoyé"),
    "mail:queue:return": gettext_lazy("Courriel en attente rendu à l’expéditeur"),
    "mail:queue:delete": gettext_lazy("Courriel en attente supprimé"),
    "mail:message:reported": gettext_lazy("Courriel signalé"),
    "mail:held:held": gettext_lazy("Courriel retenu"),
    "mail:held:released": gettext_lazy("Courriel retenu libéré"),
    "mail:held:blocked": gettext_lazy("Expéditeur bloqué par une personne"),
    "mail:held:undone": gettext_lazy("Libération ou blocage d’expéditeur annulé"),
    "mail:held:returned": gettext_lazy("Courriel retenu rendu : le blocage a pris fin"),
    "mail:held:gone": gettext_lazy("Courriel retenu déplacé ou supprimé par la personne"),
    "mail:held:review_asked": gettext_lazy("Vérification d’un courriel retenu demandée"),
    "mail:held:seen": gettext_lazy("Courriels retenus vus"),
    "mail:held:digest_time": gettext_lazy("Heure du résumé des courriels retenus changée"),
    "mail:held:told": gettext_lazy("Résumé des courriels retenus envoyé"),
    "campaign:confirmed": gettext_lazy("Campagne confirmée"),
    "campaign:dismissed": gettext_lazy("Campagne écartée"),
    "campaign:undone": gettext_lazy("Campagne annulée"),
    "campaign:decided": gettext_lazy("Blocage décidé"),
    "campaign:extended": gettext_lazy("Blocage étendu"),
    "decision:activated": gettext_lazy("Blocage mis en vigueur"),
    "decision:by_hand": gettext_lazy("Blocage demandé à la main"),
    "decision:by_hand_asked": gettext_lazy("Blocage large demandé : un second avis est attendu"),
    "decision:by_hand_undone": gettext_lazy("Blocage annulé, avec une raison"),
    "decision:by_hand_protected": gettext_lazy("Blocage accordé mais protégé depuis : non fait"),
    "decision:extended": gettext_lazy("Blocage prolongé"),
    "decision:observed": gettext_lazy("Indice mis en observation"),
    "decision:canary": gettext_lazy("Blocage essayé dans quelques communes"),
    "decision:review": gettext_lazy("Décision soumise à une personne"),
    "exception:allowed": gettext_lazy("Exception locale ouverte"),
    "exception:ended": gettext_lazy("Exception locale terminée"),
    "never_again:set": gettext_lazy("Indice qui ne sera plus jamais bloqué"),
    "never_again:taken_back": gettext_lazy("« Plus jamais » retiré"),
    "appeal:made": gettext_lazy("Blocage contesté"),
    "appeal:accepted": gettext_lazy("Contestation acceptée"),
    "appeal:refused": gettext_lazy("Contestation refusée"),
    "decision:revoked": gettext_lazy("Blocage annulé"),
    "decision:expired": gettext_lazy("Blocage expiré"),
    "list:published": gettext_lazy("Liste publiée"),
    "list:withdrawn": gettext_lazy("Liste retirée"),
    "list:expired": gettext_lazy("Liste expirée"),
    "source:added": gettext_lazy("Source ajoutée"),
    "source:changed": gettext_lazy("Source modifiée"),
    "source:started": gettext_lazy("Source démarrée"),
    "source:stopped": gettext_lazy("Source arrêtée"),
    "source:removed": gettext_lazy("Source supprimée"),
    "source:file_given": gettext_lazy("Fichier apporté à une source"),
    "source:trial_observing": gettext_lazy("Essai d’une liste commencé"),
    "source:trial_review": gettext_lazy("Essai d’une liste à trancher"),
    "source:trial_passed": gettext_lazy("Essai d’une liste réussi"),
    "source:trial_enforced": gettext_lazy("Liste à l’essai appliquée"),
    "source:trial_refused": gettext_lazy("Liste à l’essai refusée"),
    "source:update_held": gettext_lazy("Mise à jour de source retenue"),
    "source:update_accepted": gettext_lazy("Mise à jour de source acceptée"),
    "source:update_refused": gettext_lazy("Mise à jour de source refusée"),
    "decision:exported": gettext_lazy("Décisions exportées"),
    "box:code_issued": gettext_lazy("Code de boîtier émis"),
    "box:enrolment_asked": gettext_lazy("Boîtier branché, à confirmer"),
    "box:confirmed": gettext_lazy("Boîtier confirmé"),
    "box:identity_asked": gettext_lazy("Boîtier : identité abîmée, redemandée avec sa clé"),
    "box:revoked": gettext_lazy("Boîtier révoqué"),
    "box:policy_changed": gettext_lazy("Réglages du boîtier changés"),
    "box:flow_ignored": gettext_lazy("Ouverture proposée par le boîtier écartée"),
    "box:release_stored": gettext_lazy("Logiciel des boîtiers reçu"),
    "box:release_started": gettext_lazy("Mise à jour des boîtiers commencée"),
    "box:release_stage": gettext_lazy("Mise à jour des boîtiers : étape suivante"),
    "box:release_stopped": gettext_lazy("Mise à jour des boîtiers arrêtée"),
    "box:release_resumed": gettext_lazy("Mise à jour des boîtiers reprise"),
    "box:release_done": gettext_lazy("Mise à jour des boîtiers terminée"),
    "box:diagnosis_asked": gettext_lazy("Diagnostic du boîtier demandé"),
    "incident:opened": gettext_lazy("Dossier ouvert"),
    "incident:seen_again": gettext_lazy("Dossier : le même fait revu"),
    "incident:taken": gettext_lazy("Dossier pris en charge"),
    "incident:state_changed": gettext_lazy("État du dossier changé"),
    "incident:severity_changed": gettext_lazy("Gravité du dossier changée"),
    "incident:note_added": gettext_lazy("Note ajoutée au dossier"),
    "incident:task_done": gettext_lazy("Dossier : action faite"),
    "incident:task_undone": gettext_lazy("Dossier : action à refaire"),
    "incident:app_passwords_revoked": gettext_lazy("Dossier : mots de passe d’application retirés"),
    "incident:exported": gettext_lazy("Dossier téléchargé pour une plainte"),
    "incident:complaint_made": gettext_lazy("Dossier gardé : plainte en cours"),
    "incident:complaint_over": gettext_lazy("Dossier : plainte terminée"),
    "incident:closed": gettext_lazy("Dossier clos"),
    "incident:reopened": gettext_lazy("Dossier rouvert"),
    "approval:requested": gettext_lazy("Second avis demandé"),
    "approval:granted": gettext_lazy("Second avis favorable"),
    "approval:refused": gettext_lazy("Second avis défavorable"),
}


def sentence(verb: str) -> str:
    return str(VERBS.get(verb, verb))


def actor(kind: str, actor_id: str) -> str:
    """Who did it, for the Département's eyes."""
    if kind == "administrator":
        try:
            return identity.administrator(actor_id).name
        except NotFound:
            return _("Un ancien administrateur")
    if kind == "person":
        return identity.person_name(actor_id) or _("Une personne partie")
    return {"box": _("Un boîtier"), "system": _("Le système"), "door": _("La porte de connexion")}.get(
        kind, kind
    )
