"""What a mail program shows of a refusal by submission: Postfix's own words, then what to do, in French.

Process: the supervisor; it becomes a table of Postfix (smtpd_reject_footer_maps), for whoever signs in.
Hostile: nothing; addresses that a reply quotes find no other line than the reply itself would.
Source:  regexp_table(5); an SMTP reply is ASCII: French without its accents.
"""

from __future__ import annotations

from beffroi.lib.config import Config
from beffroi.mail.engines import layout

_SAID = (
    (
        r"^4.*too many recipients",
        "Trop de destinataires pour un seul message. Rien n'est parti : ecrivez a moins de monde, ou demandez une liste"
        " au Departement.",
    ),
    (
        r"^5.*(User unknown|This address is closed|Nobody reads this address)",
        "Cette adresse n'existe pas, ou plus. Rien n'est parti : verifiez-la lettre a lettre, ou retirez-la.",
    ),
    (
        r"^5.*(need fully-qualified address|Bad recipient address syntax)",
        "Cette adresse n'est pas complete. Rien n'est parti : corrigez-la, comme dans nom@mairie.fr.",
    ),
    (
        r"^4.*( full,|over quota)",
        "La boite de ce destinataire est pleine. Rien n'est parti : retirez-le et prevenez-le autrement, ou renvoyez"
        " plus tard.",
    ),
    (
        r"^5.*(too big|exceeds .*size limit)",
        f"Message trop lourd ({layout.MAX_MAIL_BYTES // 2**20} Mo au plus, pieces jointes encodees). Rien n'est parti :"
        " deposez le fichier dans le Coffre et envoyez-en le lien : {coffre}",
    ),
    (
        r"^5.*(not owned by user|not your own address)",
        "Ce compte n'ecrit pas avec cette adresse d'expediteur. Rien n'est parti : choisissez celle de votre boite.",
    ),
    (
        r"^5.*sends no mail to other servers",
        "L'envoi vers l'exterieur est ferme sur ce centre. Rien n'est parti : prevenez le Departement.",
    ),
    (
        r"^4.*(away|being opened|Service unavailable)",
        "Le centre ne prend pas de courrier pour le moment. Rien n'est perdu : renvoyez dans quelques minutes.",
    ),
    (r"^(454|5[0-9][0-9]).*(authenticat|Client host rejected|STARTTLS)", "{sign_in}"),
)


def table(config: Config) -> str:
    words = {"coffre": layout.portal_url(config, "coffre/"), "sign_in": layout.sign_in_help(config)}
    lines = (f"/{pattern}/ {text.format(**words).replace('$', '$$')}\n" for pattern, text in _SAID)
    return "# Written by Beffroi, do not edit.\n" + "".join(lines)
