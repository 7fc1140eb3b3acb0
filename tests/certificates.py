"""Certificates of servers that tests make up: each its own authority."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

ELLIPTIC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def self_signed(
    certificate: Path, key: Path, *names: str, kind: tuple[str, ...] = ELLIPTIC, days: int = 30
) -> None:
    """Write both as PEM. ``names``: of the host, the first also as the subject's; ``kind``: of its key, as openssl's
    ``-newkey`` takes it."""
    what = (
        "-subj",
        f"/CN={names[0]}",
        "-addext",
        f"subjectAltName={','.join(f'DNS:{one}' for one in names)}",
    )
    argv = ("openssl", "req", "-x509", "-nodes", "-days", str(days), "-newkey", *kind, *what)
    subprocess.run((*argv, "-keyout", str(key), "-out", str(certificate)), check=True, capture_output=True)


def unverified() -> ssl.SSLContext:
    """Of a client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
