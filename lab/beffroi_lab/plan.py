"""The plan of a scenario: who is where, with which address and which name. Pure.

Purpose: one place for every address of the laboratory, so that the counter of foreign packets, the DNS and
         the proofs speak of the same world.
Rule:    real-looking global addresses and names: engines treat private ranges and test names differently
         (rspamd takes 10/8 for local, and finds no link on a reserved name). Nothing leaves: no namespace of
         the scenario has a link to the outside.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

CENTRE_DOMAIN = "beffroi-cotedor.fr"
# Small communes of Côte-d'Or with their INSEE codes, as in the national register.
_COMMUNES = (
    ("Arnay-le-Duc", "21023", "arnay-le-duc"),
    ("Nolay", "21461", "nolay"),
    ("Saulieu", "21584", "saulieu"),
    ("Seurre", "21607", "seurre"),
    ("Vitteaux", "21710", "vitteaux"),
    ("Montbard", "21425", "montbard"),
    ("Venarey-les-Laumes", "21663", "venarey-les-laumes"),
    ("Pouilly-en-Auxois", "21501", "pouilly-en-auxois"),
    ("Semur-en-Auxois", "21603", "semur-en-auxois"),
    ("Is-sur-Tille", "21317", "is-sur-tille"),
    ("Auxonne", "21038", "auxonne"),
    ("Genlis", "21292", "genlis"),
    ("Saint-Jean-de-Losne", "21554", "saint-jean-de-losne"),
    ("Liernais", "21349", "liernais"),
    ("Précy-sous-Thil", "21505", "precy-sous-thil"),
    ("Baigneux-les-Juifs", "21043", "baigneux-les-juifs"),
    ("Mirebeau-sur-Bèze", "21416", "mirebeau-sur-beze"),
    ("Fontaine-Française", "21277", "fontaine-francaise"),
    ("Bligny-sur-Ouche", "21087", "bligny-sur-ouche"),
    ("Sombernon", "21611", "sombernon"),
)
MAX_COMMUNES = len(_COMMUNES)
_PEOPLE = (
    ("secretariat", "Claire Moreau", "agent"),
    ("maire", "Henri Lombard", "elu"),
    ("urbanisme", "Nadia Perrot", "agent"),
)


@dataclass(frozen=True)
class Pair:
    """One host's IPv4 and IPv6 address."""

    v4: str
    v6: str

    @property
    def both(self) -> tuple[str, str]:
        return self.v4, self.v6


@dataclass(frozen=True)
class PersonPlan:
    email: str
    name: str
    role: str


@dataclass(frozen=True)
class CommunePlan:
    letter: str
    name: str
    insee: str
    domain: str
    wan: Pair
    wan_gateway: Pair
    lan: Pair
    pc: Pair
    lan4: str
    lan6: str
    people: tuple[PersonPlan, ...]


DNS = Pair("45.83.4.53", "2a0b:53c0:4::53")
ATTACKER_LANDING = Pair("5.181.80.66", "2a0e:1c80:66::66")
ATTACKER_SENDER = Pair("5.181.80.25", "2a0e:1c80:66::25")
ATTACKER_OTHER = Pair("91.240.118.77", "2a0e:1c80:77::77")
INNOCENT = Pair("37.187.20.80", "2a01:e0a:2080::80")
CENTRE = Pair("45.151.20.10", "2a0c:5a40:20::10")
CENTRE_GATEWAY = Pair("45.151.20.1", "2a0c:5a40:20::1")
DEPARTEMENT = Pair("37.65.200.10", "2a02:8420:c8::10")
DEPARTEMENT_GATEWAY = Pair("37.65.200.1", "2a02:8420:c8::1")


@dataclass(frozen=True)
class Plan:
    communes: tuple[CommunePlan, ...]

    @property
    def known_v4(self) -> tuple[str, ...]:
        """Every IPv4 network of the scenario; a packet to anything else is foreign."""
        fixed = ("45.83.4.53/32", "5.181.80.0/24", "91.240.118.77/32", "37.187.20.80/32", "45.151.20.0/24")
        wans = tuple(f"37.65.{i}.0/24" for i in (*range(11, 11 + len(self.communes)), 200))
        return fixed + wans + tuple(c.lan4 for c in self.communes)

    @property
    def known_v6(self) -> tuple[str, ...]:
        fixed = ("2a0b:53c0:4::/64", "2a0e:1c80:66::/64", "2a0e:1c80:77::/64", "2a01:e0a:2080::/64")
        links = ("2a0c:5a40:20::/64", "2a02:8420:c8::/64")
        wans = tuple(f"2a02:8420:{0xB + i:x}::/64" for i in range(len(self.communes)))
        return fixed + links + wans + tuple(c.lan6 for c in self.communes)

    @property
    def people(self) -> tuple[PersonPlan, ...]:
        return tuple(p for c in self.communes for p in c.people)


def make(communes: int) -> Plan:
    """Return the plan for this number of communes. Errors: ValueError."""
    if not 3 <= communes <= MAX_COMMUNES:
        raise ValueError(f"a scenario has 3 to {MAX_COMMUNES} communes, not {communes}")
    return Plan(tuple(_commune(i) for i in range(communes)))


def _commune(i: int) -> CommunePlan:
    name, insee, slug = _COMMUNES[i]
    domain, wan, lan = f"mairie-{slug}.fr", f"37.65.{11 + i}", f"192.168.{21 + i}"
    wan6, lan6 = f"2a02:8420:{0xB + i:x}:", f"2a02:8420:{0xB + i:x}:1:"
    return CommunePlan(
        letter=string.ascii_uppercase[i],
        name=name,
        insee=insee,
        domain=domain,
        wan=Pair(f"{wan}.2", f"{wan6}:2"),
        wan_gateway=Pair(f"{wan}.1", f"{wan6}:1"),
        lan=Pair(f"{lan}.1", f"{lan6}:1"),
        pc=Pair(f"{lan}.20", f"{lan6}:20"),
        lan4=f"{lan}.0/24",
        lan6=f"{lan6}:/64",
        people=tuple(PersonPlan(f"{local}@{domain}", who, role) for local, who, role in _PEOPLE),
    )
