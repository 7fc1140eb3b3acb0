"""Machine evidence: what each detector is worth, and which ones speak from a mail's verdict. Pure.

Rule:    strengths are named, not tuned: a *strong* detector is proof for the kinds it is about; two weak ones, or
         one of medium strength, are the machine evidence that two communes need beside them. An opinion of a
         model is worth nothing here, so that it can never block alone nor tip the scale.
Input:   evidence that doors send; unknown keys and values speak for nothing.
Source:  docs/security/attack-model.md, abuse 3; rspamd's symbols: https://docs.rspamd.com/modules/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from beffroi_protocol.indicators import Kind

from beffroi.lib import digits


class Strength(IntEnum):
    NONE = 0
    WEAK = 1
    MEDIUM = 2
    STRONG = 4


ENOUGH = int(Strength.MEDIUM)
"""Sum of strengths that counts as machine evidence."""


@dataclass(frozen=True)
class Detector:
    """``proves``: the kinds for which a strong detector is proof. Others only support. ``outside``: the word of an
    outside list about more than one page: enough to observe, not to block at once."""

    strength: Strength
    doc: str
    proves: frozenset[Kind] = frozenset()
    outside: bool = False


DETECTORS: dict[str, Detector] = {
    "spf_fail": Detector(Strength.WEAK, "The sender's domain forbids this server; forwarding breaks it too."),
    "dkim_fail": Detector(Strength.WEAK, "A signature does not fit; mailing lists break it too."),
    "dmarc_fail": Detector(Strength.MEDIUM, "The sender's domain says that this mail is not from it."),
    "link_mismatch": Detector(Strength.MEDIUM, "A link shows one host and leads to another."),
    "executable_attachment": Detector(Strength.MEDIUM, "A program, script or shortcut is attached."),
    "archive_attachment": Detector(Strength.WEAK, "An archive or disk image is attached."),
    "new_sender_burst": Detector(
        Strength.MEDIUM, "A sender's domain never seen before reached three communes within an hour."
    ),
    "new_link_burst": Detector(
        Strength.MEDIUM, "Links to a name never seen before reached three communes within an hour."
    ),
    "decided_before": Detector(
        Strength.MEDIUM,
        "Something in it was blocked for all before, or its words came in mails with what was.",
    ),
    "styled_letters": Detector(
        Strength.MEDIUM, "Subject or sender stand in letters of mathematics, which filters take for no words."
    ),
    "listed_url": Detector(
        Strength.STRONG, "The exact address is on a list of known phishing.", frozenset({Kind.URL})
    ),
    "listed_name": Detector(
        Strength.STRONG, "The name is on a list of known malice.", frozenset({Kind.DOMAIN}), outside=True
    ),
    "known_malware": Detector(
        Strength.STRONG, "A scanner knows the file by signature.", frozenset({Kind.SHA256})
    ),
    "drive_alarm": Detector(
        Strength.MEDIUM, "A device that signed in from there changed files as ransomware does."
    ),
    "login_attack": Detector(
        Strength.STRONG,
        "Many accounts were tried from this address over completed connections.",
        frozenset({Kind.IP, Kind.CIDR}),
    ),
    "qr_code": Detector(
        Strength.NONE, "A link stands in a QR code: honest mail has such, too; shown to people."
    ),
}

_SYMBOLS = {
    "R_SPF_FAIL": "spf_fail",
    "R_DKIM_REJECT": "dkim_fail",
    "DMARC_POLICY_REJECT": "dmarc_fail",
    "DMARC_POLICY_QUARANTINE": "dmarc_fail",
    "PHISHING": "link_mismatch",
    "BEFFROI_STYLED": "styled_letters",
    "MIME_BAD_EXTENSION": "executable_attachment",
    "MIME_DOUBLE_BAD_EXTENSION": "executable_attachment",
    "MIME_EXE_IN_GEN_SPLIT_RAR": "executable_attachment",
    "MIME_ARCHIVE_IN_ARCHIVE": "archive_attachment",
    "MIME_ENCRYPTED_ARCHIVE": "archive_attachment",
}
_EXECUTABLE = frozenset(
    [
        "bat",
        "chm",
        "cmd",
        "com",
        "cpl",
        "exe",
        "hta",
        "jar",
        "js",
        "jse",
        "lnk",
        "msi",
        "pif",
        "ps1",
        "scr",
        "vbe",
        "vbs",
        "wsf",
        "wsh",
        "docm",
        "xlsm",
        "pptm",
        "one",
    ]
)
_ARCHIVE = frozenset(
    ["7z", "ace", "arj", "cab", "gz", "img", "iso", "rar", "tar", "tgz", "udf", "vhd", "vhdx", "xz", "zip"]
)
BURST_COMMUNES = 3
BURST_S = 3600


def weight(detectors: Iterable[str]) -> int:
    """Return the sum of the strengths of distinct known detectors."""
    return sum(int(DETECTORS[d].strength) for d in set(detectors) if d in DETECTORS)


def is_strong(detector: str, kind: Kind) -> bool:
    """Whether the detector alone is proof for an indicator of this kind."""
    known = DETECTORS.get(detector)
    return known is not None and kind in known.proves and not known.outside


def is_outside(detector: str, kind: Kind) -> bool:
    """Whether the detector is an outside list's word about this kind."""
    known = DETECTORS.get(detector)
    return known is not None and kind in known.proves and known.outside


FILE_DOOR, BOX_DOOR = "file", "packet"
COMMAND_SIGNS = frozenset({"box_beacon", "box_dns_tunnel"})
"""A machine inside calls it at regular intervals, or speaks through its names: told, never weighed."""
BOX_PROOFS = frozenset({"box_honeyport", "box_brute_force", "box_canary_name"})
"""What a box says of an address that completed a connection to it. One box may be stolen: two communes' are needed."""


def is_box_proof(door: str, detector: str, evidence: Mapping[str, object]) -> bool:
    """Whether a sighting is a box's word about an address that nobody can forge."""
    return door == BOX_DOOR and detector in BOX_PROOFS and evidence.get("completed_tcp") == "true"


_MALICE = frozenset({"virus", "malware"})


def from_file(evidence: Mapping[str, object]) -> frozenset[str]:
    """Return the detectors that speak in evidence of the drive: an engine knows a content by signature or rule; a
    device was stopped. That a decided content lies somewhere speaks for nothing."""
    found = set()
    if evidence.get("finding") in _MALICE:
        found.add("known_malware")
    if evidence.get("drive_alarm") == "true":
        found.add("drive_alarm")
    return frozenset(found)


def joins_by_address(door: str, detector: str, evidence: Mapping[str, object]) -> bool:
    """Whether what two communes say of one address is one campaign, though addresses of mails join nothing."""
    return is_box_proof(door, detector, evidence) or (
        door == FILE_DOOR and "drive_alarm" in from_file(evidence)
    )


def from_mail(evidence: Mapping[str, object]) -> frozenset[str]:
    """Return the detectors that speak in a mail's evidence.

    Keys read: spf, dkim, dmarc ("fail"), link_mismatch, decided_before (truth), qr_codes (addresses), rspamd_symbols
    (names), attachment_types (file extensions), sender_age_s and sender_communes, link_age_s and link_communes (since
    when, and in how many collectivités within an hour, this centre saw the sender's domain, a link's name).
    Only for evidence of the centre's own mail door: what a box says of itself is not machine evidence, since a
    stolen one says what it likes.
    """
    found = {_SYMBOLS.get(name, "") for name in _texts(evidence, "rspamd_symbols")}
    for key in ("spf", "dkim", "dmarc"):
        if str(evidence.get(key, "")).lower() in ("fail", "reject"):
            found.add(f"{key}_fail")
    if str(evidence.get("link_mismatch", "")).lower() in ("true", "1", "yes"):
        found.add("link_mismatch")
    if evidence.get("decided_before") is True:
        found.add("decided_before")
    if _texts(evidence, "qr_codes"):
        found.add("qr_code")
    types = {t.lower().lstrip(".") for t in _texts(evidence, "attachment_types")}
    if types & _EXECUTABLE:
        found.add("executable_attachment")
    if types & _ARCHIVE:
        found.add("archive_attachment")
    found.update(f"new_{who}_burst" for who in ("sender", "link") if _burst(evidence, who))
    return frozenset(found & DETECTORS.keys())


def _burst(evidence: Mapping[str, object], who: str) -> bool:
    age_s, communes = _number(evidence, f"{who}_age_s"), _number(evidence, f"{who}_communes")
    return age_s is not None and communes is not None and age_s <= BURST_S and communes >= BURST_COMMUNES


def _number(evidence: Mapping[str, object], key: str) -> int | None:
    return digits.number(str(evidence.get(key, "")), 11)


def _texts(evidence: Mapping[str, object], key: str) -> list[str]:
    """Names under the key: a list, a mapping's keys, or a text with commas or blanks."""
    value = evidence.get(key)
    if isinstance(value, str):
        return value.replace(",", " ").split()[:500]
    return [str(item) for item in value][:500] if isinstance(value, Mapping | list | tuple) else []
