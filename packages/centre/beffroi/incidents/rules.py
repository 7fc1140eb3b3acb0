"""What each kind of incident asks of whom, until when. Pure.

Source: French insurance code, article L. 12-10-1 (complaint within 72 hours of knowing of the attack, else no
        indemnity); GDPR article 33 (notice to the CNIL within 72 hours of knowing of a breach of personal data);
        ANSSI and cybermalveillance.gouv.fr, first reflexes: unplug the network, do not switch off.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

LEGAL_DELAY = timedelta(hours=72)


class Kind(StrEnum):
    COMMAND_SERVER = "command_server"
    LURE_VISITED = "lure_visited"
    LINK_CLICKED = "link_clicked"
    PASSWORD_TYPED = "password_typed"  # noqa: S105 - a kind, no password
    FOREIGN_SIGN_IN = "foreign_sign_in"
    TRAP_TOUCHED = "trap_touched"
    LEAK = "leak"
    SUSPECT_MACHINE = "suspect_machine"
    LISTED_MET = "listed_met"
    MALICIOUS_FILE = "malicious_file"
    DATA_LOST = "data_lost"


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Audience(StrEnum):
    COMMUNE = "commune"
    DEPARTEMENT = "departement"


@dataclass(frozen=True)
class Task:
    """``legal``: its date is 72 hours after the incident was known."""

    code: str
    audience: Audience = Audience.COMMUNE
    legal: bool = False


@dataclass(frozen=True)
class Plan:
    """What a kind of incident asks for. ``runbook``: name of a page in docs/runbooks."""

    severity: Severity
    tasks: tuple[Task, ...]
    runbook: str


def _commune(*codes: str) -> tuple[Task, ...]:
    return tuple(Task(code) for code in codes)


def _departement(*codes: str) -> tuple[Task, ...]:
    return tuple(Task(code, Audience.DEPARTEMENT) for code in codes)


_LEGAL = (Task("complaint", legal=True), Task("cnil", legal=True))
_MACHINE = _commune("unplug_network", "leave_switched_on", "call_departement", "write_down_what_was_done")

PLANS: dict[Kind, Plan] = {
    Kind.COMMAND_SERVER: Plan(
        Severity.HIGH,
        (*_MACHINE, *_LEGAL, *_departement("find_machine", "examine_machine", "reinstall_machine")),
        "incident-machine",
    ),
    Kind.LURE_VISITED: Plan(
        Severity.MEDIUM,
        (*_commune("ask_who_opened", "declare_if_typed"), *_departement("call_commune")),
        "incident-phishing",
    ),
    Kind.LINK_CLICKED: Plan(
        Severity.LOW,
        (*_commune("declare_if_typed", "do_not_open_file"), *_departement("call_commune")),
        "incident-phishing",
    ),
    Kind.PASSWORD_TYPED: Plan(
        Severity.HIGH,
        (
            *_commune("change_password", "change_same_password_elsewhere", "call_bank_if_card"),
            *_LEGAL,
            *_departement("call_commune", "revoke_app_passwords", "look_for_forwarding"),
        ),
        "incident-phishing",
    ),
    Kind.FOREIGN_SIGN_IN: Plan(
        Severity.HIGH,
        (
            *_commune("ask_person_about_sign_in", "change_password", "change_same_password_elsewhere"),
            *_LEGAL,
            *_departement("call_commune", "revoke_app_passwords", "look_for_forwarding"),
        ),
        "incident-account",
    ),
    Kind.TRAP_TOUCHED: Plan(
        Severity.HIGH,
        (
            *_MACHINE,
            Task("complaint", legal=True),
            *_departement("find_machine", "examine_machine", "reinstall_machine"),
        ),
        "incident-machine",
    ),
    Kind.LEAK: Plan(
        Severity.HIGH,
        (
            *_commune("ask_who_sent", "unplug_network", "call_departement"),
            *_LEGAL,
            *_departement("find_machine", "examine_machine"),
        ),
        "incident-leak",
    ),
    Kind.LISTED_MET: Plan(
        Severity.LOW,
        (*_commune("ask_who_opened", "declare_if_typed"), *_departement("call_commune")),
        "incident-phishing",
    ),
    Kind.MALICIOUS_FILE: Plan(
        Severity.MEDIUM,
        (*_commune("ask_who_opened_file", "ask_where_file_from"), *_departement("call_commune")),
        "incident-file",
    ),
    Kind.DATA_LOST: Plan(
        Severity.HIGH,
        (
            *_commune("write_down_which_data", "ask_to_erase", "lock_lost_device", "call_about_data"),
            *_LEGAL,
            *_departement("call_commune"),
        ),
        "incident-data",
    ),
}
PLANS[Kind.SUSPECT_MACHINE] = PLANS[Kind.COMMAND_SERVER]
BY_HAND = (Kind.SUSPECT_MACHINE, Kind.PASSWORD_TYPED, Kind.DATA_LOST)
"""What a person may open: of a machine that behaves strangely no door knows anything."""

DEVICE_SUBJECT = "drive:"
"""How the subject of an incident about a device of the drive begins."""

PHISHING_SIGNS = frozenset(
    {
        "spf_fail",
        "dkim_fail",
        "dmarc_fail",
        "link_mismatch",
        "new_sender_burst",
        "new_link_burst",
        "decided_before",
        "styled_letters",
        "listed_url",
    }
)
"""Detectors that speak of a lure in a mail: who met its address opened a page."""
MACHINE_SIGNS = frozenset({"beacon", "box_beacon", "known_malware"})
"""Detectors that speak of a program: who met its address runs it, whatever else is said."""

ALARMS: dict[str, Kind] = {
    "honeyport": Kind.TRAP_TOUCHED,
    "canary_name": Kind.TRAP_TOUCHED,
    "beacon": Kind.COMMAND_SERVER,
    "leak_volume": Kind.LEAK,
    "leak_night": Kind.LEAK,
    "dns_tunnel": Kind.LEAK,
}
"""Alarms of a box that somebody must look into on the spot. A port scan from the internet is none of them."""


REFUSED_BY_BROWSERS = frozenset(
    {
        0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
        104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513,
        514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720,
        1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    }
)  # fmt: skip
"""TCP ports to which no page of the web makes a browser connect (Fetch standard, "port blocking")."""


def may_be_by_a_page(detector: str, evidence: Mapping[str, object]) -> bool:
    """Whether any page of the web that somebody reads makes their browser do that: one touch then says little of the
    machine, and the next traps no more."""
    port = str(evidence.get("port", ""))
    return detector == "honeyport" and not (
        port.isascii() and port.isdigit() and int(port[:6]) in REFUSED_BY_BROWSERS
    )


def alarm_kind(detector: str, evidence: Mapping[str, object]) -> Kind | None:
    """What an alarm of a box opens, or None. A trap that the internet touched is no incident of the commune's."""
    if detector == "honeyport" and evidence.get("side") != "lan":
        return None
    return ALARMS.get(detector)


def listed_kind(threat: str, door: str) -> Kind:
    """What it means that a collectivité met something that a list names since. Only what says that a program runs, or
    that an attacker was in, asks for machines and accounts: most of what a long list names is none of it."""
    if door == "packet" and threat in {"command_server", "malware"}:
        return Kind.COMMAND_SERVER
    if door == "login" and threat in {"command_server", "malware", "phishing"}:
        return Kind.FOREIGN_SIGN_IN
    return Kind.LISTED_MET


def met_kind(detectors: Collection[str], *, command_server: bool) -> Kind:
    """What it means that a LAN met the indicator of a decision; the worse of two meanings when nothing tells.

    ``command_server``: whether the decision is known to name one, whatever else is said."""
    found = frozenset(detectors)
    if command_server or found & MACHINE_SIGNS or not found & PHISHING_SIGNS:
        return Kind.COMMAND_SERVER
    return Kind.LURE_VISITED


MAX_SESSIONS_ENDED = 20
"""People of one collectivité whose sessions end without a person's word. More of them behind one address is a town
hall's own address rather than an attacker's."""
