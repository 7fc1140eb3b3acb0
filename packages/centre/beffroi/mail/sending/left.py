"""What left for whom, and how well it was protected, from the lines of Postfix's log. Pure.

Input:  hostile in part: names of servers and their answers stand in the lines. Only shapes are matched; nothing of the
        lines leaves but domains and numbers.
Traps:  a line about TLS and the deliveries after it have the process in common, and the server; a second mail of the
        same process has a session of its own, since sessions with TLS are not kept.
Source: postfix's src/smtp and src/tls; TLS_README, "smtp_tls_loglevel".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

PROVED, ENCRYPTED, CLEAR = "proved", "encrypted", "clear"
_SERVICE = rb"postfix-beffroi/(?:smtp|(?:slow-[a-z0-9]{1,16}|out-[a-z0-9-]{1,29})(?:/smtp)?)\[(\d{1,10})\]: "
_TLS = re.compile(
    _SERVICE + rb"(Verified|Trusted|Untrusted|Anonymous) TLS connection established to (\S{1,400}):"
)
_LEFT = re.compile(
    _SERVICE + rb"([0-9A-Za-z]{6,40}): to=<[^@>\s]{0,400}@([a-z0-9.-]{1,253})>,"
    rb".{0,600}?relay=([^,\s]{1,400}),[a-z_0-9=./ ,]{0,200} dsn=2[.0-9]{1,12}, status=sent "
)


def count(lines: Iterable[bytes]) -> Counter[tuple[str, str]]:
    """(domain, how) -> recipients served; a line that is neither is passed over."""
    found: Counter[tuple[str, str]] = Counter()
    sessions: dict[bytes, tuple[bytes, str, bytes]] = {}
    for line in lines:
        if (tls := _TLS.search(line)) is not None:
            process, word, server = tls.groups()
            sessions[process] = (server, PROVED if word == b"Verified" else ENCRYPTED, b"")
        elif (left := _LEFT.search(line)) is not None:
            process, mail, domain, server = left.groups()
            known, how, of = sessions.get(process, (b"", CLEAR, b""))
            if known != server or of not in (b"", mail):
                how = CLEAR
            sessions[process] = (server, how, mail)
            found[domain.decode("ascii"), how] += 1
    return found
