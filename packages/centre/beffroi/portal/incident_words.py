"""Incidents in words, for a secretary, a mayor and an operator. No jargon; what to do, in order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from beffroi.lib import clock
from beffroi.portal import words
from beffroi.portal.counts import Count

TITLES = {
    "command_server": gettext_lazy("Un poste a communiqué avec un serveur d’attaquants"),
    "lure_visited": gettext_lazy("Une page d’hameçonnage a été ouverte"),
    "link_clicked": gettext_lazy("Une personne a cliqué sur un lien d’hameçonnage"),
    "password_typed": gettext_lazy("Un mot de passe a été saisi sur une page d’hameçonnage"),
    "foreign_sign_in": gettext_lazy("Un compte a été ouvert depuis l’adresse d’un attaquant"),
    "trap_touched": gettext_lazy("Un poste a touché un piège du réseau"),
    "leak": gettext_lazy("Des données sont peut-être sorties du réseau"),
    "suspect_machine": gettext_lazy("Un poste se comporte étrangement"),
    "listed_met": gettext_lazy("Une liste d’attaquants nomme ce que vous avez rencontré"),
    "malicious_file": gettext_lazy("Un fichier dangereux est retenu dans le Coffre"),
    "data_lost": gettext_lazy("Des données ont été envoyées par erreur, perdues ou prises"),
}
SENTENCES = {
    "command_server": gettext_lazy(
        "Un ordinateur de votre réseau a contacté une machine d’attaquants ; votre boîtier la bloque désormais, mais "
        "l’ordinateur doit être examiné."
    ),
    "lure_visited": gettext_lazy(
        "Depuis votre réseau, quelqu’un a ouvert une fausse page ; elle est bloquée désormais. Un mot de passe y a "
        "peut-être été saisi."
    ),
    "link_clicked": gettext_lazy(
        "Une personne a prévenu qu’elle avait cliqué sur un lien trompeur, sans rien saisir. C’est le bon réflexe."
    ),
    "password_typed": gettext_lazy(
        "Une personne a prévenu que son mot de passe avait été saisi sur une fausse page. Il faut le changer "
        "maintenant."
    ),
    "foreign_sign_in": gettext_lazy(
        "Quelqu’un est entré dans un compte avec le bon mot de passe, depuis une adresse reconnue comme celle d’un "
        "attaquant."
    ),
    "trap_touched": gettext_lazy(
        "Un ordinateur de votre réseau a frappé à une porte factice que personne n’a de raison d’ouvrir : il est "
        "peut-être infecté."
    ),
    "listed_met": gettext_lazy(
        "Une liste d’attaquants nomme désormais une adresse ou un site rencontré chez vous ces 30 derniers jours ; "
        "c’est bloqué. Le plus souvent, il suffit de demander."
    ),
    "leak": gettext_lazy(
        "Votre boîtier a vu partir de votre réseau un volume de données inhabituel. C’est peut-être une sauvegarde, "
        "peut-être un vol."
    ),
    "malicious_file": gettext_lazy(
        "Un fichier du Coffre a été reconnu comme dangereux : personne ne peut plus l’ouvrir. Quelqu’un l’a peut-être "
        "ouvert avant, et il vient de quelque part."
    ),
    "data_lost": gettext_lazy(
        "Une personne a prévenu que des données ne sont plus entre vos seules mains. Ce qui compte maintenant : "
        "lesquelles, de qui, et qui les a."
    ),
    "suspect_machine": gettext_lazy(
        "Un ordinateur se comporte étrangement : une personne l’a signalé, ou il modifiait les fichiers du Coffre "
        "comme le fait un rançongiciel. Il doit être isolé, puis examiné."
    ),
}
BY_HAND = {
    "suspect_machine": gettext_lazy(
        "Un poste se comporte étrangement : fichiers illisibles, fenêtre de rançon, souris qui bouge seule"
    ),
    "password_typed": gettext_lazy("Un mot de passe ou un numéro de carte a été saisi au mauvais endroit"),
    "data_lost": gettext_lazy("Des données ont été envoyées ou prises : vol, erreur d’envoi, appareil perdu"),
}
SEVERITIES = {
    "high": (gettext_lazy("Grave"), "bad", "triangle-alert"),
    "medium": (gettext_lazy("À surveiller"), "warn", "circle-dot"),
    "low": (gettext_lazy("Mineur"), "quiet", "info"),
}
STATES = {
    "open": (gettext_lazy("Ouvert"), "warn", "circle-dot"),
    "in_progress": (gettext_lazy("En cours"), "", "clock"),
    "waiting_commune": (gettext_lazy("Attend la commune"), "warn", "clock"),
    "closed": (gettext_lazy("Clos"), "quiet", "check"),
}
REASONS = {
    "resolved": gettext_lazy("résolu"),
    "false_alarm": gettext_lazy("fausse alerte"),
    "duplicate": gettext_lazy("suivi dans un autre dossier"),
    "decision_undone": gettext_lazy("le blocage à l’origine du dossier a été annulé"),
    "never_again": gettext_lazy("fausse alerte : le Département laisse passer partout ce qui l’avait ouvert"),
}
TASKS = {
    "unplug_network": gettext_lazy("Débranchez le câble réseau du poste concerné et coupez son Wi-Fi."),
    "leave_switched_on": gettext_lazy(
        "Ne l’éteignez pas et ne le redémarrez pas : sa mémoire contient des preuves."
    ),
    "call_departement": gettext_lazy(
        "Appelez le Département : il vous aide à trouver le poste et à décider de la suite."
    ),
    "write_down_what_was_done": gettext_lazy(
        "Notez ici ce que vous avez vu et fait, avec l’heure, même approximative."
    ),
    "ask_who_opened": gettext_lazy(
        "Demandez dans le service qui a ouvert cette page, sans faire de reproche."
    ),
    "declare_if_typed": gettext_lazy(
        "Si un mot de passe ou un numéro de carte a été saisi, dites-le ici tout de suite : il reste du temps."
    ),
    "do_not_open_file": gettext_lazy("N’ouvrez aucun fichier téléchargé depuis cette page."),
    "ask_who_opened_file": gettext_lazy(
        "Demandez qui a ouvert ou exécuté ce fichier, sans faire de reproche ; si quelqu’un l’a fait, appelez le "
        "Département."
    ),
    "ask_where_file_from": gettext_lazy(
        "Demandez d’où vient ce fichier : courriel, clé USB, téléchargement, lien de dépôt. Notez-le ici."
    ),
    "change_password": gettext_lazy("Changez le mot de passe du compte, depuis un autre poste que celui-ci."),
    "change_same_password_elsewhere": gettext_lazy(
        "Changez-le aussi partout où le même mot de passe sert, y compris chez vous."
    ),
    "call_bank_if_card": gettext_lazy(
        "Si un numéro de carte a été saisi, appelez la banque pour s’y opposer."
    ),
    "ask_person_about_sign_in": gettext_lazy(
        "Demandez à la personne si elle s’est connectée ce jour-là, et d’où. Si oui, dites-le ici."
    ),
    "ask_who_sent": gettext_lazy(
        "Demandez dans le service si un envoi volumineux était voulu : sauvegarde, vidéo, dossier à un prestataire."
    ),
    "write_down_which_data": gettext_lazy(
        "Notez ici quelles données, de combien de personnes, parties où et depuis quand : la CNIL le demandera."
    ),
    "ask_to_erase": gettext_lazy(
        "Envoyées par erreur : écrivez à qui les a reçues de les effacer sans les lire, et gardez sa réponse. Un lien "
        "du Coffre s’arrête dans « Mes liens »."
    ),
    "lock_lost_device": gettext_lazy(
        "Appareil perdu ou volé : retirez son mot de passe d’application dans « Mon accès » et changez les mots de "
        "passe qu’il gardait."
    ),
    "call_about_data": gettext_lazy("Appelez le Département : il vous aide à décider de la suite."),
    "complaint": gettext_lazy(
        "Déposez plainte dans les 72 heures (17Cyber, gendarmerie ou police) : sans plainte, l’assurance peut refuser "
        "d’indemniser."
    ),
    "cnil": gettext_lazy(
        "Si des données personnelles ont pu être vues ou prises, prévenez la CNIL dans les 72 heures, avec votre "
        "délégué à la protection des données."
    ),
    "find_machine": gettext_lazy(
        "Retrouver le poste avec la commune : la page locale du boîtier, ouverte depuis ce poste, affiche son nom."
    ),
    "examine_machine": gettext_lazy("Examiner le poste : copie du disque, mémoire, empreintes."),
    "reinstall_machine": gettext_lazy("Réinstaller le poste et changer les mots de passe qui y ont servi."),
    "call_commune": gettext_lazy("Appeler la commune, à un numéro déjà connu."),
    "revoke_app_passwords": gettext_lazy("Décider s’il faut retirer les mots de passe d’application."),
    "look_for_forwarding": gettext_lazy(
        "Chercher des renvois automatiques et des courriels envoyés à son insu."
    ),
}
SOURCES = {
    "decision": gettext_lazy("Décision de blocage"),
    "sign_in": gettext_lazy("Registre des connexions réussies"),
    "box_look_back": gettext_lazy("Boîtier : regard sur 30 jours"),
    "list": gettext_lazy("Liste d’attaquants"),
    "packet_look_back": gettext_lazy("Boîtier : regard sur 30 jours"),
    "login_look_back": gettext_lazy("Registre des connexions réussies"),
    "mail_look_back": gettext_lazy("Courrier : regard sur 30 jours"),
    "box_refused": gettext_lazy("Boîtier : connexion refusée"),
    "box_alarm": gettext_lazy("Boîtier : alarme"),
    "drive_alarm": gettext_lazy("Coffre : alerte"),
    "drive_found": gettext_lazy("Coffre : analyse d’un fichier"),
    "drive_frozen": gettext_lazy("Coffre : fichiers retenus par une décision"),
    "mail": gettext_lazy("Entrée du courrier"),
}
DETECTORS = {
    "honeyport": gettext_lazy("connexion à un port piège"),
    "canary_name": gettext_lazy("demande d’un nom piège"),
    "beacon": gettext_lazy("appels réguliers vers l’extérieur"),
    "leak_volume": gettext_lazy("volume inhabituel vers une nouvelle destination"),
    "leak_night": gettext_lazy("envois la nuit"),
    "dns_tunnel": gettext_lazy("données cachées dans des questions de noms"),
}
DOORS = {
    "portal": gettext_lazy("portail"),
    "imap": gettext_lazy("lecture du courrier"),
    "smtp": gettext_lazy("envoi de courrier"),
    "dav": gettext_lazy("agenda, contacts et fichiers"),
    "login": gettext_lazy("Connexions"),
    "packet": gettext_lazy("Réseau"),
    "mail": gettext_lazy("Courrier"),
    "file": gettext_lazy("Coffre"),
}
ENTRIES = {
    "state": gettext_lazy("État : %(state)s"),
    "severity": gettext_lazy("Gravité : %(severity)s"),
    "opened": gettext_lazy("Dossier ouvert"),
    "files_joined": gettext_lazy("D’autres fichiers dangereux ont rejoint ce dossier : sa liste les nomme"),
    "seen_again": gettext_lazy("Le même fait a été vu de nouveau"),
    "taken": gettext_lazy("Pris en charge"),
    "task_done": gettext_lazy("Fait : %(task)s"),
    "task_undone": gettext_lazy("À refaire : %(task)s"),
    "task_not_needed": gettext_lazy("Pas nécessaire : %(task)s"),
    "app_passwords_revoked": ngettext_lazy(
        "%(n)s mot de passe d’application retiré", "%(n)s mots de passe d’application retirés", "n"
    ),
    "machine_alarmed": gettext_lazy("La même alarme, le même jour, par le poste « %(machine)s »"),
    "machine_named": gettext_lazy("Poste qui a appelé ce serveur : « %(machine)s »"),
    "sessions_ended": gettext_lazy("Sessions du compte fermées automatiquement"),
    "sessions_left": gettext_lazy(
        "Sessions laissées ouvertes : trop de personnes à la fois pour un attaquant (%(n)s) ; à vérifier."
    ),
    "closed": gettext_lazy("Dossier clos : %(reason)s"),
    "reopened": gettext_lazy("Dossier rouvert"),
    "complaint_made": gettext_lazy("Plainte en cours : le dossier est gardé jusqu’à sa fin"),
    "complaint_over": gettext_lazy("La plainte est terminée"),
    "exported": gettext_lazy("Dossier téléchargé pour une plainte"),
    "note": "",
}
FILE_SAID = {
    "review_asked": gettext_lazy("Une personne de la commune demande de vérifier ce fichier"),
    "file_released": gettext_lazy("La personne référente a libéré ce fichier pour sa commune"),
}
"""Of one content of the Coffre, whose hash follows."""
SPARED = {
    "closed": gettext_lazy("Dossier clos : fausse alerte, le Département laisse passer %(value)s partout"),
    "reopened": gettext_lazy("Dossier rouvert : %(value)s est de nouveau refusé"),
    "never_again_partly": gettext_lazy(
        "Le Département laisse passer %(value)s partout ; le reste du dossier est à vérifier"
    ),
}
"""Of what the Département lets pass everywhere."""


def title(kind: str, files: int = 1) -> str:
    """``files``: how many contents of the Coffre it is about."""
    if files > 1:
        said = ngettext(
            "%(n)s fichier dangereux est retenu dans le Coffre",
            "%(n)s fichiers dangereux sont retenus dans le Coffre",
            files,
        )
        return said % {"n": Count(files)}
    return str(TITLES.get(kind, kind))


def sentence(kind: str, files: int = 1) -> str:
    if files > 1:
        return _(
            "Des fichiers du Coffre ont été reconnus comme dangereux : personne ne peut plus les ouvrir. Quelqu’un en "
            "a peut-être ouvert un avant, et ils viennent de quelque part."
        )
    return str(SENTENCES.get(kind, ""))


def task(code: str) -> str:
    return str(TASKS.get(code, code))


def reason(code: str) -> str:
    return str(REASONS.get(code, code))


def source(code: str) -> str:
    return str(SOURCES.get(code, code))


def detector(code: str) -> str:
    return str(DETECTORS.get(code, code))


def door(code: str) -> str:
    return str(DOORS.get(code, code))


def entry(kind: str, code: str, data: Mapping[str, object]) -> str:
    """One line of the timeline as a sentence; a note is the words of who wrote it, so it has none."""
    if code == "happened":
        said = _happened(kind, data)
        return f"{said}. {_by_page()}" if data.get("by_page") else said
    if code in FILE_SAID:
        return _of_file(code, words.shorten(str(data.get("sha256", ""))))
    if code == "seen_again" and "machine" in data:
        code = "machine_alarmed"
    told: Any = (SPARED if "never_again_id" in data else ENTRIES).get(code, code)
    values = {
        "state": STATES.get(str(data.get("state")), ("",))[0],
        "severity": SEVERITIES.get(str(data.get("severity")), ("",))[0],
        "reason": reason(str(data.get("reason", ""))),
        "task": task(str(data.get("task", ""))),
        "machine": data.get("machine", ""),
        "value": words.shorten(str(data.get("value", ""))),
        "n": Count(words.number(data, "people" if code == "sessions_left" else "count")),
    }
    return str(told % values)


def _by_page() -> str:
    return _(
        "Une page web ouverte sur ce poste a pu suffire, sans que rien y soit installé : demandez d’abord laquelle "
        "était ouverte."
    )


def _of_file(code: str, sha256: str) -> str:
    said = str(FILE_SAID[code])
    return _("%(said)s (empreinte %(sha256)s)") % {"said": said, "sha256": sha256} if sha256 else said


def _happened(kind: str, data: Mapping[str, object]) -> str:
    counted = ("drive_files", "drive_files_elsewhere", "files", "count")
    count = words.number(data, next((key for key in counted if key in data), ""))
    value, days = words.shorten(str(data.get("value", ""))), words.number(data, "days")
    told = {**data, "value": value, "what": detector(str(data.get("detector"))), "n": Count(count)}
    if "refused" in data and "machine" in data:
        said = _("Le boîtier a refusé une connexion vers %(value)s, appelé par « %(machine)s »")
    elif "refused" in data:
        said = _("Le boîtier a refusé une connexion vers %(value)s")
    elif "list" in data:
        met = {
            "packet": ngettext("%(n)s connexion", "%(n)s connexions", count),
            "login": ngettext("%(n)s connexion à un compte", "%(n)s connexions à des comptes", count),
            "mail": ngettext("%(n)s courriel reçu", "%(n)s courriels reçus", count),
        }.get(str(data.get("door")), "%(n)s")
        told["met"] = met % told
        said = _("%(met)s : ce que nomme la liste %(list)s")
    elif kind in ("command_server", "lure_visited") and value:
        told["flows"] = ngettext("%(n)s connexion", "%(n)s connexions", count) % told
        told["when"] = ngettext("sur %(n)s jour", "sur %(n)s jours", days) % {"n": Count(days)}
        said = _("Premier contact avec %(value)s (%(flows)s %(when)s, avant le blocage)")
    elif kind == "foreign_sign_in":
        told.setdefault("address", "")
        said = ngettext(
            "%(n)s connexion réussie depuis %(address)s",
            "Première de %(n)s connexions réussies depuis %(address)s",
            count,
        )
    elif "machine" in data:
        said = _(
            "Alarme du boîtier : %(what)s, par le poste qu’il appelle « %(machine)s » sur sa page locale"
        )
    elif "drive_files" in data:
        said = ngettext(
            "Coffre : un appareil est arrêté, %(n)s fichier montrait un signe de rançongiciel",
            "Coffre : un appareil est arrêté, %(n)s fichiers montraient des signes de rançongiciel",
            count,
        )
    elif "drive_files_elsewhere" in data:
        said = ngettext(
            "Coffre : un appareil est arrêté, %(n)s fichier partagé par une autre collectivité montrait un signe de"
            " rançongiciel",
            "Coffre : un appareil est arrêté, %(n)s fichiers partagés par une autre collectivité montraient des signes"
            " de rançongiciel",
            count,
        )
    elif kind == "malicious_file":
        said = ngettext("Coffre : %(n)s fichier retenu", "Coffre : %(n)s fichiers retenus", count)
        said += " (%(names)s)" if data.get("names") else ""
    elif "detector" in data:
        said = _("Alarme du boîtier : %(what)s")
    else:
        said = title(kind)
    return said % told


def left(due_at: datetime) -> tuple[str, str]:
    """How long until a date, and its tone: ``("encore 51 h", "warn")``."""
    rest = due_at - clock.now()
    if rest <= timedelta(0):
        return _("délai dépassé depuis %(when)s") % {"when": words.since(due_at)}, "bad"
    hours = int(rest.total_seconds() // 3600)
    minutes = int(rest.total_seconds() % 3600 // 60)
    tone = "bad" if hours < 12 else "warn"
    if hours:
        return _("encore %(hours)s h %(minutes)02d") % {"hours": hours, "minutes": minutes}, tone
    return _("encore %(minutes)s min") % {"minutes": minutes}, tone
