"""Who may sign the centre's certificate: a file, and a copy of it, for a damaged one would leave the box alone.

Process: agent, ``network`` and relay. The file is read at the first connection, so that no damage of it stops a start.
Trust:   dates in certificates are not checked (X509_V_FLAG_NO_CHECK_TIME): a clock ten years back must not lock the box
         out, and the feed brings trusted time.
Fails:   closed: never the system's authorities in place of a file that cannot be read.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from beffroi_box.config import BoxConfig
from beffroi_box.errors import CentreUnreachable
from beffroi_box.store import read_checked, write_atomic, write_checked

log = logging.getLogger("beffroi_box.authority")

GOOD = "ca.good"
NO_CHECK_TIME = 0x200000


def authority(config: BoxConfig) -> str:
    """Certificates as PEM, of a damaged file the last good copy; "": the system's. Errors: CentreUnreachable."""
    path = config.ca_file
    if path is None:
        return ""
    text = _certificates(path) or _certificates(config.state / GOOD, kept=True)
    if not text:
        raise CentreUnreachable(f"certificate authority {path} cannot be read")
    return text


def keep_authority(config: BoxConfig) -> None:
    """Copy the file, or write it again from its copy. Errors: OSError."""
    path, copy = config.ca_file, config.state / GOOD
    if path is None:
        return
    text, kept = _certificates(path), _certificates(copy, kept=True)
    if text and text != kept:
        write_checked(copy, text.encode("ascii"))
    elif kept and not text:
        log.error("%s is damaged: its copy counts", path.name)
        write_atomic(path, kept.encode("ascii"))


def _certificates(path: Path, *, kept: bool = False) -> str:
    """``kept``: behind a checksum. "" where there are none."""
    try:
        text = ((read_checked(path) or b"") if kept else path.read_bytes()).decode("ascii")
        if text:
            verifying_context(text)
    except (OSError, ValueError):
        return ""
    return text


def verifying_context(pem: str) -> ssl.SSLContext:
    """``pem``: certificates; "": the system's. Errors: ValueError, ssl.SSLError (no certificate in it)."""
    context = ssl.create_default_context(cadata=pem or None)
    # As numbers: the complement of a flag in Python's enumeration has only the bits that Python has a name for,
    # and would take NO_CHECK_TIME away again.
    flags = int(context.verify_flags) & ~int(ssl.VerifyFlags.VERIFY_X509_STRICT)
    context.verify_flags = ssl.VerifyFlags(flags | NO_CHECK_TIME)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
