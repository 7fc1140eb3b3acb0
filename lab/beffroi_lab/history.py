"""The past of the laboratory's centre: ordinary mail of known correspondents, delivered and then aged.

Purpose: a centre that has watched mail for less than a week calls nothing new, so that a fresh one cannot show the
         automatic way. Before the scenario, correspondents write to every commune: real SMTP, real checks, real
         deliveries. Then the one thing that cannot be had in a minute is written by hand: the clerk moves
         ``received_at`` and ``delivered_at`` of these messages back by days, in the laboratory's own database.
         Nothing else is aged: no sighting, no decision, no address of the lure.
Process: the laboratory's own.
Source:  docs/internals/lab.md; beffroi.mail.prevalence.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate

from beffroi_lab import plan as plans
from beffroi_lab.campaign import Mail
from beffroi_lab.centre import SMTP_PORT, Centre
from beffroi_lab.plan import Plan
from beffroi_lab.running import Hands
from beffroi_lab.topology import PATIENCE_S, LabFailed

DAYS = 30


@dataclass(frozen=True)
class Correspondent:
    """Someone who writes to communes. ``link``: the page their mails lead to."""

    address: str
    subject: str
    text: str
    link: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    @property
    def link_host(self) -> str:
        return self.link.split("/")[2]


CORRESPONDENTS = (
    Correspondent(
        "lettre@pays-auxois-morvan-actus.fr",
        "La lettre du pays",
        "Marchés d'été, travaux de la D906, permanences de la mission locale : les nouvelles de la semaine.",
        "https://www.pays-auxois-morvan-actus.fr/lettre",
    ),
    Correspondent(
        "devis@menuiserie-parisot-thil.fr",
        "Devis des huisseries de l'école",
        "Comme convenu, notre devis pour les six fenêtres de la salle de classe.",
        "https://www.menuiserie-parisot-thil.fr/devis/2318",
    ),
    Correspondent(
        "commandes@fournitures-darcy-dijon.fr",
        "Votre commande est expédiée",
        "Papier, cartouches et registres d'état civil : livraison jeudi matin.",
        "https://suivi.fournitures-darcy-dijon.fr/colis",
    ),
    Correspondent(
        "formation@elus-ruraux-bourgogne.fr",
        "Formation : le budget d'une petite commune",
        "Il reste quatre places à la journée du 12. Inscription en ligne.",
        "https://inscription.elus-ruraux-bourgogne.fr/budget",
    ),
    Correspondent(
        "contact@bibliobus-cote-dijonnaise.fr",
        "Passage du bibliobus",
        "Le bibliobus s'arrête place de la mairie, le mercredi de 14 h à 16 h.",
        "https://www.bibliobus-cote-dijonnaise.fr/arrets",
    ),
)


def domains() -> list[str]:
    return [one.domain for one in CORRESPONDENTS]


def link_hosts() -> list[str]:
    return [one.link_host for one in CORRESPONDENTS]


def letter(correspondent: Correspondent, recipient: str) -> Mail:
    """One ordinary mail, ready for DATA."""
    made = EmailMessage()
    message_id = made["Message-ID"] = f"<{secrets.token_hex(12)}@{correspondent.domain}>"
    made["From"], made["To"] = correspondent.address, recipient
    made["Subject"], made["Date"] = correspondent.subject, formatdate(time.time())
    made.set_content(f"Bonjour,\n\n{correspondent.text}\n\n{correspondent.link}\n\nBien cordialement\n")
    return Mail(message_id, correspondent.address, recipient, made.as_bytes().replace(b"\n", b"\r\n"))


def send(hands: Hands, mails: Sequence[Mail]) -> None:
    """Hand ordinary mails in from their own server, side by side. Errors: LabFailed."""
    asked = [
        hands.start(
            "smtp",
            host=plans.CENTRE.v4,
            port=SMTP_PORT,
            source=plans.INNOCENT.v4,
            helo=mail.mail_from.rpartition("@")[2],
            mail_from=mail.mail_from,
            recipient=mail.recipient,
            data=base64.b64encode(mail.data).decode(),
        )
        for mail in mails
    ]
    for mail, future in zip(mails, asked, strict=True):
        answer = future.result(60)
        if not answer["ok"]:
            raise LabFailed(f"ordinary mail of {mail.mail_from}: {answer.get('code')} {answer.get('text')}")


def live_through(hands: Hands, centre: Centre, plan: Plan, days: int) -> str:
    """Let ``days`` pass: each correspondent writes to every commune, the first ``days`` ago, the last a few days ago.

    Return what was aged, in words. Errors: LabFailed.
    """
    ages: dict[str, int] = {}
    for number, one in enumerate(CORRESPONDENTS):
        mails = [letter(one, c.people[number % len(c.people)].email) for c in plan.communes]
        send(hands, mails)
        ages |= {mail.message_id: days - days * number // len(CORRESPONDENTS) for mail in mails}
    aged = centre.ask("age_mail", days_by_message_id=ages, limit_s=PATIENCE_S)
    if not aged["ok"]:
        raise LabFailed(f"of {len(ages)} ordinary mails {aged['deliveries']} were delivered and checked")
    return (
        f"{len(ages)} ordinary mails of {len(CORRESPONDENTS)} correspondents came by SMTP; the times of these "
        f"messages and deliveries ({aged['deliveries']}) were moved {min(ages.values())} to {days} days back"
    )
