"""One check of one domain, from the questions to the stored result."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.lib.config import Config
from beffroi.mail.domains import actions, check, delegation, queries, rpki, scores, site
from beffroi.mail.domains.asking import BUDGET_S, Asker
from beffroi.mail.domains.models import DkimKey, DomainCheck
from beffroi.mail.domains.records import Choices
from beffroi.mail.domains.results import Result


@dataclass(frozen=True)
class Report:
    results: list[Result]
    rpnt: scores.Score
    internet_nl: scores.Score

    @property
    def silent(self) -> bool:
        """The resolver answered nothing."""
        return [one.item for one in self.results] == ["resolver"]


def own_resolver(config: Config, *, budget_s: float = BUDGET_S) -> Asker:
    """The centre's unbound, which validates DNSSEC."""
    return Asker("127.0.0.1", config.resolver_port, budget_s)


def subject(name: str, config: Config, *, enrolled: bool = True) -> check.Subject:
    """What the domain should say; for one that is not enrolled, what it would with the first choices and no key."""
    domain = Domain.objects.filter(name=name).first() if enrolled else None
    keys = queries.published_keys(domain.id) if domain else []
    return check.Subject(
        domain=name,
        servers=queries.servers(config),
        choices=queries.choices(domain.id) if domain else Choices(),
        keys=queries.public_keys(domain.id) if domain else [],
        waiting=frozenset(one.selector for one in keys if one.state != DkimKey.State.ACTIVE),
        smtp_port=config.smtp_port,
        way=site.Way(),
        declared=queries.declared(domain.id) if domain else None,
        country=config.mail_country,
        routing=rpki.Sources(config.rpki_payloads, config.rpki_origins),
        name_servers=delegation.name_servers(config),
    )


def report(subject: check.Subject, asker: Asker) -> Report:
    """Ask DNS now; nothing is stored."""
    results = check.check(subject, asker)
    found = {one.item: (one.state, one.code) for one in results}
    return Report(results, scores.rpnt(subject.domain, found), scores.internet_nl(found))


def check_and_store(
    actor: Actor, domain: Domain, asker: Asker | None = None
) -> tuple[Report, DomainCheck | None]:
    """Nothing is stored where the resolver does not answer: what is known of the domain stays. Errors: NotAllowed."""
    config = settings.BEFFROI
    made = report(subject(domain.name, config), asker or own_resolver(config))
    if made.silent:
        return made, None
    percents = {"rpnt": made.rpnt.percent, "internet_nl": made.internet_nl.percent}
    items = check.states(made.results)
    return made, actions.store_check(actor=actor, domain=domain, items=items, scores=percents)
