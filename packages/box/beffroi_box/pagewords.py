"""The words of the box's page, French and English. Pure."""

from __future__ import annotations

LANGUAGES = ("fr", "en")

WORDS: dict[str, tuple[str, str]] = {
    "product": ("Boîtier Beffroi", "Beffroi box"),
    "other_language": ("English", "Français"),
    "skip": ("Aller au contenu", "Skip to content"),
    # enrolment
    "first_title": ("Mettre ce boîtier en service", "Put this box into service"),
    "first_lead": (
        "Ce boîtier n’appartient encore à aucune commune. Il laisse sortir et ne laisse entrer personne.",
        "This box belongs to no town hall yet. It lets traffic out and nobody in.",
    ),
    "step_code": (
        "Tapez le code de 24 signes que le Département vous donne. Il vaut vingt minutes.",
        "Type the 24-sign code that the Département gives you. It is valid for twenty minutes.",
    ),
    "step_compare": (
        "Lisez au téléphone l’empreinte ci-dessous : le Département vérifie que c’est bien ce boîtier-ci.",
        "Read the fingerprint below over the phone: the Département checks that it is this very box.",
    ),
    "step_done": (
        "Le boîtier reçoit ses règles et cette page montre son état.",
        "The box receives its rules, and this page shows how it is.",
    ),
    "fingerprint": ("Empreinte", "Fingerprint"),
    "serial": ("Numéro de série", "Serial number"),
    "code": ("Code d’inscription", "Enrolment code"),
    "code_help": (
        "24 lettres et chiffres ; les tirets et les minuscules ne comptent pas.",
        "24 letters and digits; hyphens and lower case do not matter.",
    ),
    "centre": ("Adresse du centre", "Address of the centre"),
    "centre_help": (
        "Donnée par le Département, par exemple https://boitiers.exemple.fr:8444",
        "Given by the Département, for example https://boxes.example.org:8444",
    ),
    "enrol": ("Mettre en service", "Put into service"),
    "asking": ("Le boîtier appelle le centre…", "The box is calling the centre…"),
    "waiting": (
        "Le centre a reconnu le code. Lisez maintenant l’empreinte au téléphone ; une deuxième personne la confirme.",
        "The centre knows the code. Now read the fingerprint over the phone; a second person confirms it.",
    ),
    "done": (
        "Ce boîtier est en service. Il applique ses règles.",
        "This box is in service and applies its rules.",
    ),
    "error": ("Cela n’a pas marché", "That did not work"),
    "enrol.code_invalid": (
        "Ce n’est pas un code : il faut 24 lettres et chiffres. Relisez-le, puis tapez-le à nouveau.",
        "This is not a code: 24 letters and digits are needed. Read it again, then type it again.",
    ),
    "enrol.wrong_centre": (
        "Le centre qui a répondu n’est pas celui de ce code. Rien n’a été enregistré. Relisez le code : une faute de "
        "frappe suffit. S’il est juste, arrêtez-vous là et prévenez le Département.",
        "The centre that answered is not the one of this code. Nothing was stored. Read the code again: one wrong sign "
        "is enough. If it is right, stop here and tell the Département.",
    ),
    "box.enrol_refused": (
        "Ce code est inconnu, déjà utilisé ou trop ancien. Relisez-le ; s’il est juste, demandez-en un nouveau au "
        "Département.",
        "This code is unknown, used or too old. Read it again; if it is right, ask the Département for a new one.",
    ),
    "box.centre_refused": (
        "Ce code est inconnu, déjà utilisé ou trop ancien. Relisez-le ; s’il est juste, demandez-en un nouveau au "
        "Département.",
        "This code is unknown, used or too old. Read it again; if it is right, ask the Département for a new one.",
    ),
    "box.centre_unreachable": (
        "Le centre ne répond pas. Vérifiez le câble vers la box de l’opérateur, puis tapez le code à nouveau.",
        "The centre does not answer. Check the cable to the operator’s router, then type the code again.",
    ),
    "box.config_invalid": (
        "Cette adresse de centre ne convient pas : elle commence par https://",
        "This address of a centre does not fit: it begins with https://",
    ),
    "no_centre": ("Donnez aussi l’adresse du centre.", "Give the address of the centre too."),
    "busy": ("Une inscription est déjà en cours.", "An enrolment is already under way."),
    "too_soon": ("Attendez trois secondes, puis essayez à nouveau.", "Wait three seconds, then try again."),
    "disk": (
        "Le boîtier ne peut rien enregistrer : son disque est plein ou abîmé. Prévenez le Département.",
        "The box cannot store anything: its disk is full or broken. Tell the Département.",
    ),
    "settings": (
        "Le fichier de réglages du boîtier est abîmé. Prévenez le Département.",
        "The settings file of the box is damaged. Tell the Département.",
    ),
    "unknown_error": (
        "Une erreur inattendue est survenue ({}). Prévenez le Département.",
        "An unexpected error happened ({}). Tell the Département.",
    ),
    # state
    "weather_calm": (
        "Tout est calme : la liaison fonctionne, la liste est à jour et rien de dangereux n’a été demandé d’ici.",
        "All is calm: the link works, the list is current, and nothing dangerous was asked for from here.",
    ),
    "weather_blocks": (
        "La protection fonctionne : {} fois, une adresse ou un nom dangereux a été refusé.",
        "The protection works: dangerous addresses or names were refused {} times.",
    ),
    "weather_cut": (
        "Le centre ne répond plus depuis {}. La dernière liste reste appliquée. Si les ordinateurs n’ont plus internet "
        "non plus, redémarrez la box de l’opérateur ; sinon, il n’y a rien à faire.",
        "The centre has not answered since {}. The last list stays in force. If the computers have no internet either, "
        "restart the operator’s router; else there is nothing to do.",
    ),
    "weather_never": (
        "Le boîtier n’a pas encore joint le centre. Sa dernière liste est appliquée.",
        "The box has not reached the centre yet. Its last list is in force.",
    ),
    "weather_stale": (
        "La liste est ancienne : le centre n’en donne plus de nouvelle. Elle reste appliquée.",
        "The list is old: the centre gives no newer one. It stays in force.",
    ),
    "weather_resolver": (
        "Les adresses dangereuses sont bloquées, mais le service des noms ne répond pas : il redémarre seul.",
        "Dangerous addresses are blocked, but the name service does not answer: it restarts by itself.",
    ),
    "weather_disk": (
        "La protection fonctionne en mémoire : le disque du boîtier ne peut plus être écrit.",
        "The protection works from memory: the disk of the box cannot be written.",
    ),
    "weather_settings": (
        "La protection fonctionne avec les derniers réglages connus : le fichier de réglages du boîtier est abîmé. "
        "Prévenez le Département.",
        "The protection works with the last settings known: the settings file of the box is damaged. Tell the "
        "Département.",
    ),
    "weather_agent": (
        "Le programme du boîtier redémarre. Les blocages restent en place pendant ce temps.",
        "The program of the box is restarting. What is blocked stays blocked meanwhile.",
    ),
    "trouble.no_cable": ("Aucun câble n’est branché.", "No cable is plugged in."),
    "trouble.no_second_port": (
        "Le boîtier n’a qu’une prise réseau : il lui en faut deux.",
        "The box has one network socket only: it needs two.",
    ),
    "trouble.same_network": (
        "Les deux câbles mènent au même réseau. Branchez l’un sur la box de l’opérateur, l’autre sur le réseau de la "
        "mairie.",
        "Both cables lead to the same network. Plug one into the operator’s router, the other into the town hall’s "
        "network.",
    ),
    "trouble.unproved": (
        "La box de l’opérateur donne une adresse au boîtier, mais il n’atteint pas le centre. Si internet ne marche "
        "pas non plus sur les ordinateurs, redémarrez la box de l’opérateur ; sinon, prévenez le Département. Le "
        "boîtier essaie encore.",
        "The operator’s router gives the box an address, but it does not reach the centre. If the computers have no "
        "internet either, restart the operator’s router; else tell the Département. The box keeps trying.",
    ),
    "trouble.no_dhcp": (
        "Personne ne donne d’adresse au boîtier (DHCP, IPv4). Vérifiez que la box de l’opérateur est allumée et que "
        "son câble est bien enfoncé, dans une de ses prises pour ordinateurs. Si les ordinateurs d’ici ont des "
        "adresses fixes, le boîtier en a besoin d’une aussi : appelez le Département. Le boîtier essaie encore.",
        "Nobody gives the box an address (DHCP, IPv4). Check that the operator’s router is on and that its cable is "
        "firmly in, in one of its sockets for computers. If the computers here have fixed addresses, the box needs one "
        "too: call the Département. The box keeps trying.",
    ),
    "link": ("Liaison avec le centre", "Link with the centre"),
    "link_on": ("établie", "established"),
    "link_off": ("coupée", "cut"),
    "heard": ("dernier signe : {}", "last sign: {}"),
    "mode": ("Branchement", "Connection"),
    "mode.router": ("routeur", "router"),
    "mode.bridge": ("pont transparent", "transparent bridge"),
    "mode.": ("pas encore choisi", "not chosen yet"),
    "entries": ("Blocages en vigueur", "Blocks in force"),
    "lists": ("{} et {} listes", "{} and {} lists"),
    "inspection": ("Lecture des noms de sites", "Reading of site names"),
    "inspection.off": (
        "Arrêtée : le Département ne la demande pas ici.",
        "Off: the Département does not ask for it here.",
    ),
    "inspection.on": (
        "En marche : un site interdit est refusé même quand son adresse est connue d’ailleurs.",
        "On: a forbidden site is refused even where its address is known from elsewhere.",
    ),
    "inspection.starting": ("Elle démarre.", "It is starting."),
    "inspection.hung": (
        "Bloquée, donc arrêtée : elle redémarre seule. Internet fonctionne.",
        "It hung and was ended: it restarts by itself. The internet works.",
    ),
    "inspection.failed": (
        "Elle s’est arrêtée : elle redémarre seule. Internet fonctionne.",
        "It ended: it restarts by itself. The internet works.",
    ),
    "inspection.absent": (
        "Demandée, mais son logiciel n’est pas installé. Prévenez le Département.",
        "Asked for, but its software is not installed. Tell the Département.",
    ),
    "inspection.small": (
        "Demandée, mais ce boîtier n’a pas assez de mémoire.",
        "Asked for, but this box has not enough memory.",
    ),
    "inspection.impossible": (
        "Demandée, mais ce boîtier ne le permet pas. Prévenez le Département.",
        "Asked for, but this box cannot do it. Tell the Département.",
    ),
    "inspection.alone": (
        "Demandée, mais son programme ne tourne pas : il redémarre seul. Internet fonctionne.",
        "Asked for, but its program does not run: it restarts by itself. The internet works.",
    ),
    "inspection_hung": (
        "Bloquée puis relancée le {}.",
        "It hung and was started again on {}.",
    ),
    "relay": ("Relais des copieurs", "Relay for copiers"),
    "relay.on": ("En service. Courriels en attente : {}.", "On. Mails waiting: {}."),
    "relay.held": (
        "Le centre ne prend pas les courriels en ce moment : {} en attente ici, rien n’est perdu.",
        "The centre takes no mail at the moment: {} wait here, nothing is lost.",
    ),
    "relay.off": (
        "Arrêté par les réglages : {} en attente ici, quatre jours au plus.",
        "Off by the policy: {} wait here, for four days at most.",
    ),
    "relay.alone": (
        "Demandé, mais son programme ne tourne pas : il redémarre seul.",
        "Asked for, but its program does not run: it restarts by itself.",
    ),
    "version": ("Version du logiciel", "Software version"),
    "policy": ("Réglages", "Policy"),
    "policy_n": ("version {}", "version {}"),
    "commune": ("Collectivité", "Town hall"),
    "blocks": ("Derniers blocages", "Last blocks"),
    "blocks_none": (
        "Rien n’a été refusé depuis le démarrage du boîtier.",
        "Nothing was refused since the box started.",
    ),
    "blocks_who": (
        "Le boîtier ne retient pas qui a demandé quoi, sauf pour une alarme ou un serveur d’attaquant : il garde alors "
        "30 jours quel poste c’était.",
        "The box does not remember who asked for what, but for an alarm or an attacker’s server: then it keeps for "
        "30 days which machine that was.",
    ),
    "own_label": ("Ce poste est concerné par une alarme", "This computer is named in an alarm"),
    "own_label_help": (
        "C’est le nom que porte ce poste dans le dossier du Département. Débranchez son câble réseau, ne l’éteignez "
        "pas, et appelez le Département.",
        "This is what this computer is called in the Département’s record. Pull its network cable, do not switch it "
        "off, and call the Département.",
    ),
    "col_what": ("Quoi", "What"),
    "col_why": ("Pourquoi", "Why"),
    "col_count": ("Fois", "Times"),
    "col_last": ("Dernière fois", "Last time"),
    "col_lift": ("Débloquer", "Unblock"),
    "inbound": ("venue d’internet", "from the internet"),
    "changes": ("Réglages reçus", "Policies received"),
    "changes_none": ("Aucun changement depuis l’inscription.", "No change since the enrolment."),
    "change_applied": ("appliqués", "applied"),
    "change_back": ("refusés, les précédents sont revenus", "refused, the former came back"),
    "change_by": ("par le Département ({})", "by the Département ({})"),
    "updated": ("Page lue à {}", "Page read at {}"),
    "refresh": ("Actualiser", "Refresh"),
    # block page
    "blocked_title": ("Ce site est bloqué", "This site is blocked"),
    "blocked_lead": (
        "Vous avez demandé {}. Le boîtier de la mairie l’a refusé, pour vous et pour toutes les communes protégées.",
        "You asked for {}. The town hall’s box refused it, for you and for all protected town halls.",
    ),
    "blocked_over": ("Ce site n’est plus bloqué.", "This site is no longer blocked."),
    "blocked_retry": ("Ouvrir {}", "Open {}"),
    "why": ("Raison", "Reason"),
    "first_here": ("Premier refus ici", "First refused here"),
    "until": ("Bloqué jusqu’au", "Blocked until"),
    "lift": ("Débloquer 1 h et signaler", "Unblock for 1 h and report"),
    "lift_named": ("Débloquer {} une heure et signaler", "Unblock {} for an hour and report"),
    "lift_help": (
        "Vous vous connectez au portail et confirmez. Le blocage est levé une heure, pour votre commune seule, et le "
        "Département réexamine la décision.",
        "You sign in to the portal and confirm. The block is lifted for an hour, for your town hall only, and the "
        "Département looks at the decision again.",
    ),
    "lift_never": (
        "Ce blocage ne se lève pas d’ici. Si vous pensez que c’est une erreur, appelez le Département.",
        "This block is not lifted from here. If you think that it is a mistake, call the Département.",
    ),
    "do_now": ("Que faire ?", "What to do?"),
    "do_nothing": (
        "Si vous avez suivi un lien reçu par courriel, fermez cette page et signalez le courriel. Si vous avez déjà "
        "donné un mot de passe, changez-le et prévenez le Département.",
        "If you followed a link of a mail, close this page and report the mail. If you already gave a password, "
        "change it and tell the Département.",
    ),
    "not_found": ("Cette page n’existe pas.", "There is no such page."),
    "wrong_door": (
        "Cette demande ne vient pas de cette page : elle est refusée.",
        "This request does not come from this page: it is refused.",
    ),
    "by_name": (
        "Cette page s’ouvre à son adresse, http://192.168.213.1/, et sous aucun nom.",
        "This page opens at its address, http://192.168.213.1/, and by no name.",
    ),
    "reason.departement_confirmed": ("confirmé par le Département", "confirmed by the Département"),
    "reason.machine_proof": ("preuve établie par une machine", "proved by a machine"),
    "reason.strong_detector": ("preuve établie par une machine", "proved by a machine"),
    "reason.two_communes": ("vu dans plusieurs communes", "seen in several town halls"),
    "reason.landing_address": ("c’est là que mène un lien bloqué", "a blocked link leads there"),
    "reason.command_server": ("serveur de commande de pirates", "command server of attackers"),
    "reason.malware": ("logiciel malveillant", "malware"),
    "reason.phishing": ("hameçonnage", "phishing"),
    "reason.scanner": ("balayage ou essais de mots de passe", "scans or tries of passwords"),
    "reason.bulk_list": ("inscrit sur une liste d’attaquants", "named by a list of attackers"),
    "reason.lone_source": ("inscrit sur une liste d’attaquants", "named by a list of attackers"),
    "reason.login_attack": (
        "mots de passe essayés depuis cette adresse",
        "passwords were tried from this address",
    ),
    "reason.": ("signalé comme dangereux", "reported as dangerous"),
}


def number(language: str, value: int) -> str:
    """In groups of three, as the language writes them."""
    return f"{value:,}" if language == "en" else f"{value:,}".replace(",", "\N{NO-BREAK SPACE}")


def words(language: str, key: str, *values: object) -> str:
    """Return the text, with numbers in groups; an unknown key of a reason or an error has a general one."""
    pair = WORDS.get(key)
    if pair is None and key.startswith("reason."):
        return key.removeprefix("reason.")
    if pair is None:
        pair, values = WORDS["unknown_error"], (key,)
    said = (number(language, value) if isinstance(value, int) else value for value in values)
    return pair[LANGUAGES.index(language)].format(*said)


def language_of(header: str, asked: str) -> str:
    """``asked`` by a link, else the first of ours in Accept-Language, else French."""
    if asked in LANGUAGES:
        return asked
    for part in header.lower().split(",")[:10]:
        if (code := part.strip()[:2]) in LANGUAGES:
            return code
    return "fr"
