"""What a town hall lives on: services that the box recognises while it observes, so that nothing is forgotten.

Purpose: tell the Département "this mairie uses Chorus Pro, TeamViewer, cameras" as counts of flows a service: never an
         address that was visited. By port alone, or by addresses of known names (asked by the box itself).
Names:   each was found written in public (own pages, documentation, code that connects to it), so it exists; the
         machines behind them were not asked. Left out, because no public text names their host: the servers of COMEDEC
         and of ELIRE (REU), of Docapost FAST and iXBus (@CTES), and customer areas of software houses. A mairie that
         uses these shows them as nothing.
Limits:  a name may share its addresses with others (hosting, delivery networks): a service found by name may be another
         one of the same host. What is not in this catalogue is counted as nothing.
Source:  IANA port numbers; the makers' documentation of remote maintenance; for the names: documentation of programs
         that send invoices to Chorus Pro, the signature policy of PES (PS_Helios_DGFiP.pdf at its host), connectors to
         S²LOW, mairie.ants.gouv.fr/comedec, JVS-Mairistem's public description of its interfaces, links to the others.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """``ports``: (protocol, port), recognised wherever it goes; with ``names`` only where these names are."""

    code: str
    ports: tuple[tuple[str, int], ...] = ()
    names: tuple[str, ...] = ()


_WEB = (("tcp", 443), ("udp", 443))

CATALOGUE: tuple[Service, ...] = (
    Service(
        "chorus_pro",
        _WEB,
        ("chorus-pro.gouv.fr", "portail.chorus-pro.gouv.fr", "communaute.chorus-pro.gouv.fr"),
    ),
    Service("pes_helios", _WEB, ("portail.dgfip.finances.gouv.fr",)),
    Service("actes", _WEB, ("s2low.org", "www.s2low.org")),
    Service("ants", _WEB, ("ants.gouv.fr", "mairie.ants.gouv.fr", "moncompte.ants.gouv.fr")),
    Service("berger_levrault", _WEB, ("www.berger-levrault.com",)),
    Service("jvs", _WEB, ("www.jvs-mairistem.fr",)),
    Service("cosoluce", _WEB, ("www.cosoluce.fr",)),
    Service("teamviewer", (("tcp", 5938), ("udp", 5938))),
    Service("anydesk", (("tcp", 6568), ("tcp", 7070))),
    Service("rtsp", (("tcp", 554), ("udp", 554), ("tcp", 8554))),
    Service("voip", (("udp", 5060), ("tcp", 5060), ("tcp", 5061))),
    Service("vpn", (("udp", 500), ("udp", 4500), ("udp", 1194), ("udp", 51820), ("tcp", 1723))),
    Service("rdp", (("tcp", 3389),)),
    Service("ssh", (("tcp", 22),)),
    Service("ftp", (("tcp", 21),)),
    Service(
        "mail",
        (("tcp", 25), ("tcp", 110), ("tcp", 143), ("tcp", 465), ("tcp", 587), ("tcp", 993), ("tcp", 995)),
    ),
)

NAMES = tuple((name, service.code) for service in CATALOGUE for name in service.names)
_BY_PORT = {port: service.code for service in CATALOGUE if not service.names for port in service.ports}
_BY_NAME = {service.code: frozenset(service.ports) for service in CATALOGUE if service.names}


def recognise(remote: str, protocol: str, port: int, places: dict[str, str]) -> str:
    """Return the service's code, "" for none. ``places``: address -> code, from the catalogue's names."""
    code = places.get(remote, "")
    if code and (protocol, port) in _BY_NAME[code]:
        return code
    return _BY_PORT.get((protocol, port), "")
