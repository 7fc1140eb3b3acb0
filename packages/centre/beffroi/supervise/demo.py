"""The demonstration département: three communes, their people and mailboxes, one administrator.

Purpose: a first run shows a living product; the laboratory seeds its own plan through the same door (--demo FILE).
Process: `beffroi.cli prepare`, as the Python user, in one transaction. The accounts go to the supervisor, which
         writes them to disk as root before the transaction commits: no account exists whose password nobody has.
Secrets: passwords are random and shown to the person who started the centre; they are in no log.
Source:  docs/internals/demonstration.md.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from beffroi.core.communes import actions as communes
from beffroi.core.communes import register
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import actions as identity
from beffroi.core.identity import administrators
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.mail import actions as mail


class SeedInvalid(BeffroiError):
    """The file of demonstration data {} cannot be used: {}"""

    code = "demo.seed_invalid"


@dataclass(frozen=True)
class SeedPerson:
    """``role``: agent, elu, referent or dpo. The address is also the mailbox's."""

    email: str
    name: str
    role: str


@dataclass(frozen=True)
class SeedCommune:
    insee: str
    domain: str
    people: tuple[SeedPerson, ...]


@dataclass(frozen=True)
class Seed:
    """``also``: (email, insee) of people who serve a further commune, in the role they have in theirs."""

    communes: tuple[SeedCommune, ...]
    also: tuple[tuple[str, str], ...] = ()
    administrator_email: str = "dsi@cotedor.test"
    administrator_name: str = "Direction des systèmes d'information"


@dataclass(frozen=True)
class Account:
    """What a person needs to sign in. ``console``: opens the Département's console, with ``totp_secret``."""

    email: str
    name: str
    password: str
    role: str
    communes: tuple[str, ...] = ()
    console: bool = False
    totp_secret: str = ""


@dataclass
class Accounts:
    accounts: list[Account] = field(default_factory=list)


DEMONSTRATION = Seed(
    communes=(
        SeedCommune(
            "21584",
            "saulieu.test",
            (
                SeedPerson("secretariat@saulieu.test", "Claire Moreau", "agent"),
                SeedPerson("maire@saulieu.test", "Henri Lombard", "elu"),
                SeedPerson("dgs@saulieu.test", "Nadia Perrot", "referent"),
                SeedPerson("dpo@saulieu.test", "Hélène Marchand", "dpo"),
            ),
        ),
        SeedCommune(
            "21603",
            "semur.test",
            (
                SeedPerson("secretariat@semur.test", "Sophie Garnier", "agent"),
                SeedPerson("maire@semur.test", "Paul Vincenot", "elu"),
                SeedPerson("dgs@semur.test", "Karim Benali", "referent"),
            ),
        ),
        SeedCommune(
            "21023",
            "arnay.test",
            (
                SeedPerson("secretariat@arnay.test", "Élodie Febvre", "agent"),
                SeedPerson("maire@arnay.test", "Monique Jacotot", "elu"),
                SeedPerson("urbanisme@arnay.test", "Luc Roy", "agent"),
            ),
        ),
    ),
    also=(
        ("secretariat@saulieu.test", "21023"),
        ("dpo@saulieu.test", "21603"),
        ("dpo@saulieu.test", "21023"),
    ),
)


def load_seed(path: Path) -> Seed:
    """Read a TOML file: ``[[communes]]`` with insee, domain, ``people = [{email, name, role}]``; ``also``.

    Errors: SeedInvalid.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        listed = tuple(
            SeedCommune(one["insee"], one["domain"], tuple(SeedPerson(**person) for person in one["people"]))
            for one in values.pop("communes")
        )
        also = tuple((one["email"], one["insee"]) for one in values.pop("also", ()))
        return Seed(listed, also, **values)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SeedInvalid(path, error) from None


def is_needed() -> bool:
    return not Collectivite.objects.exists()


def plant(config: Config, seed: Seed) -> Accounts:
    """Make everything; the caller's transaction decides whether it lasts. Errors: those of the actions."""
    actor, planted = Actor.system("demonstration"), Accounts()
    communes.create_collectivite(actor=actor, kind="departement", name=config.departement_name)
    enrolled: dict[str, Collectivite] = {}
    people: dict[str, Person] = {}
    roles = {person.email: person.role for one in seed.communes for person in one.people}
    for one in seed.communes:
        if register.find(one.insee) is None:
            raise SeedInvalid("communes", f"no commune has the INSEE code {one.insee}")
        commune = communes.enrol_commune(actor=actor, insee=one.insee)
        enrolled[one.insee] = commune
        communes.add_domain(actor=actor, collectivite=commune, name=one.domain)
        for person in one.people:
            password = identity.new_password()
            made = identity.create_person(
                actor=actor, email=person.email, name=person.name, password=password
            )
            people[person.email] = made
            identity.add_membership(actor=actor, person=made, collectivite=commune, role=person.role)
            mail.provision_mailbox(actor=actor, collectivite=commune, address=person.email, person_id=made.id)
            names = (commune.name, *(_name(insee) for email, insee in seed.also if email == person.email))
            planted.accounts.append(Account(person.email, person.name, password, person.role, names))
    for email, insee in seed.also:
        identity.add_membership(
            actor=actor, person=people[email], collectivite=enrolled[insee], role=roles[email]
        )
    password = identity.new_password()
    administrator = administrators.create_administrator(
        actor=actor, email=seed.administrator_email, name=seed.administrator_name, password=password
    )
    planted.accounts.append(
        Account(
            seed.administrator_email,
            seed.administrator_name,
            password,
            "administrator",
            console=True,
            totp_secret=administrator.totp_secret,
        )
    )
    return planted


def _name(insee: str) -> str:
    found = register.find(insee)
    return found.name if found else insee
