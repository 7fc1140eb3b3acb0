"""What the supervisor prepares for certificates of the communes' names, and the front door's part in them.

Purpose: directories and the account's key; HAProxy answers HTTP-01 challenges by itself: what it has to say is the
         token and the account's thumbprint, so no file and no process stands behind port 80.
Process: the supervisor, as root in production.
Source:  RFC 8555 8.3; mail/certificates/places.py; docs/decisions/0054-registrars-and-certificates.md.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa

from beffroi.lib import durable, pem
from beffroi.lib.config import Config
from beffroi.mail.certificates import places
from beffroi.supervise.secret_files import (
    Owner,
    python_owner,
    supervisor_owner,
    user_of,
    user_owner,
    write_file,
)

_KEY_BITS = 3072
_TOKEN = "[A-Za-z0-9_-]{8,128}"  # noqa: S105 - what one looks like


def prepare(config: Config) -> None:
    """Directories and the account, where ``acme_directory`` is set. Errors: OSError, UserMissing."""
    if not config.acme_directory:
        return
    ours, python = supervisor_owner(), python_owner(config)
    user = user_of(config, "acme")
    talker = user_owner(user) if user else ours
    folder = places.folder(config.state)
    for path, owner, mode in (
        (folder, ours, 0o755),
        (folder / "wanted", python, 0o755),
        (folder / "orders", ours, 0o755),
        (folder / "brought", talker, 0o755),
        (folder / "told", ours, 0o755),
        (folder / "keys", ours, 0o700),
        (folder / "account", talker, 0o700),
        (places.installed(config.state), ours, 0o700),
    ):
        path.mkdir(parents=True, exist_ok=True)
        durable.settle(path, mode=mode, owner=(owner.uid, owner.gid))
    _account(config, talker)


def _account(config: Config, owner: Owner) -> None:
    path = places.account_key(config.state)
    if path.exists():
        return
    key = rsa.generate_private_key(65537, _KEY_BITS)
    write_file(path, pem.of_key(key), mode=0o600, owner=owner)


def on(config: Config) -> bool:
    return bool(config.acme_directory and places.thumbprint(config.state))


def admin_line(config: Config) -> list[str]:
    """HAProxy's socket for new certificates: root's alone."""
    return (
        [f"    stats socket unix@{places.admin_socket(config.state)} mode 600 level admin"]
        if on(config)
        else []
    )


def frontend(config: Config, addresses: list[str]) -> list[str]:
    """Port 80: challenges, and nothing else."""
    if not on(config):
        return []
    answer = f"%[path,field(4,/)].{places.thumbprint(config.state)}"
    return [
        "frontend acme",
        *(f"    bind {one}" for one in addresses),
        "    http-request return status 200 content-type application/octet-stream"
        f' lf-string "{answer}" if METH_GET {{ path_reg ^/\\.well-known/acme-challenge/{_TOKEN}$ }}',
        "    http-request deny deny_status 404",
    ]
