"""What a block by hand would touch, for the console and the command line. To read only.

Source: docs/internals/decisions.md, By hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from beffroi_protocol.indicators import Indicator

from beffroi.boxes import queries as boxes
from beffroi.core.communes import queries as communes
from beffroi.core.decisions import by_hand, protected, shared
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import queries as mail
from beffroi.portal.protection_words import protection

DAYS = 30


@dataclass(frozen=True)
class Preview:
    """What a block would touch. ``refusal``: why it is never blocked, "" where it may be. ``serves``: members and
    protected names that the address serves too. ``mail``, ``talked``: names of communes whose mail showed it, whose
    boxes met it. ``wide``: as ``by_hand.wide``; ``reach``: how many communes."""

    indicator: Indicator
    refusal: str
    serves: list[str]
    mail: list[str]
    talked: list[str]
    wide: str
    reach: int


def look(actor: Actor, indicator: Indicator) -> Preview:
    """Whom a decision on this would meet, by the last ``DAYS`` days of mail and of boîtiers."""
    serves = shared.met(indicator)
    since = clock.now() - timedelta(days=DAYS)
    names = communes.visible_names(actor)
    lettered = mail.reached(actor, indicator, since=since)
    talked = boxes.talked_to(actor, indicator, since=since.date())
    reach = len(lettered | talked)
    return Preview(
        indicator,
        protection(protected.current().check(indicator)),
        serves,
        sorted(names.get(one, one) for one in lettered),
        sorted(names.get(one, one) for one in talked),
        by_hand.wide(indicator, serves=serves, reach=reach),
        reach,
    )
