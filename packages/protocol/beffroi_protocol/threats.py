"""What a bulk list warns of, and what no person of a town hall may lift. Pure.

Purpose: the rights of "débloquer 1 h" ask the same of a list's entry as of a decision, at the centre and on the
         box's page.
Rule:    ``BulkList.threat`` is a code; one that this side does not know is like none. A list of several threats has
         none: what it names may be lifted as the policy says.
"""

from __future__ import annotations

from enum import StrEnum


class Threat(StrEnum):
    COMMAND_SERVER = "command_server"
    MALWARE = "malware"
    PHISHING = "phishing"
    SCANNER = "scanner"


NEVER_LIFTED = frozenset({Threat.COMMAND_SERVER.value, "botnet", "beacon"})
"""Reasons of entries, and threats of lists, for which a box's page offers nothing; the centre decides all the same."""
