"""`keys`: the keys of the feed, and how a new one gets its delegation from a root that is kept elsewhere.

Purpose: ``status`` and ``install`` on the centre; ``delegate`` on any machine, without a state directory, database
         or network, so that the root key never has to come back. ``new`` prepares the next key beside the present one.
Process: the person's own; root on the centre.
Secrets: private keys are read and written as files, and never shown.
Input:   a delegation that comes back is verified with the pinned root before anything is replaced.
Fails:   closed: nothing is written unless everything fits.
Source:  docs/runbooks/feed-key-rotation.md.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.messages import Delegation
from beffroi_protocol.signing import (
    ROLE_FEED,
    ROLE_SOFTWARE,
    TrustStore,
    b64,
    delegate,
    fingerprint,
    key_id,
    public_bytes,
    unb64,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from beffroi.cli.options import of_centre, with_verbs
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.supervise import children, secret_files, status
from beffroi.supervise.secret_files import (
    DELEGATION,
    FEED_KEY,
    ROOT_KEY,
    ROOT_PUBLIC,
    supervisor_owner,
    write_file,
)

NEXT_KEY = "feed.key.next"
DAY_S = 86400
CLOCK_SLACK_S = 3600


class KeyUnusable(BeffroiError):
    """{} is not usable: {}"""

    code = "keys.unusable"


class SerialUnknown(BeffroiError):
    """The present delegation is not known. Next: --previous FILE (a copy of feed-delegation.line) or --serial N"""

    code = "keys.serial_unknown"


class DelegationMisfit(BeffroiError):
    """This delegation is not installed: {}"""

    code = "keys.delegation_misfit"


@dataclass(frozen=True)
class KeyStatus:
    """``problem``: one sentence, or "" when doors will take what this key signs."""

    root_fingerprint: str
    root_key_here: bool
    feed_key: str
    feed_public_key: str
    serial: int
    not_before: int
    not_after: int
    days_left: int
    next_key: str
    problem: str


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    chosen = {"status": _status, "new": _new, "delegate": _delegate, "install": _install}[options.verb]
    return chosen(options)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi keys")
    status = verbs.add_parser("status", help="which keys sign the feed, and for how long")
    status.add_argument("--json", action="store_true")
    verbs.add_parser("new", help="make the next feed key; print its public half")
    sign = verbs.add_parser("delegate", help="sign a delegation with the root key, on any machine")
    sign.add_argument(
        "--public-key", type=Path, required=True, metavar="FILE", help="public half of the feed key"
    )
    sign.add_argument("--root-key", type=Path, required=True, metavar="FILE")
    serial = sign.add_mutually_exclusive_group()
    serial.add_argument("--previous", type=Path, metavar="FILE", help="the delegation in force")
    serial.add_argument("--serial", type=int, metavar="N", help="serial of the new delegation")
    sign.add_argument("--retire-all", action="store_true", help="the former key is stolen: no overlap")
    sign.add_argument("--days", type=int, default=90)
    sign.add_argument(
        "--role", choices=[ROLE_FEED, ROLE_SOFTWARE], default=ROLE_FEED, help="what it may sign"
    )
    install = verbs.add_parser("install", help="put a signed delegation, and the next key, in place")
    install.add_argument("delegation", type=Path)
    return parser


# -- on the centre ---------------------------------------------------------------------------------------------


def key_status(config: Config) -> KeyStatus:
    """Errors: SettingInvalid or KeyUnusable when a file is missing or not a key."""
    root = _public(config, ROOT_PUBLIC)
    feed = public_bytes(_private(config.secrets / FEED_KEY))
    problem, found = "", None
    try:
        found = TrustStore(root).add_delegation(config.secret(DELEGATION))
    except ProtocolError as error:
        problem = f"The delegation does not verify with the pinned root ({error.code})."
    now = clock.epoch_s()
    if found is not None and found.public_key != b64(feed):
        problem = "The delegation is for another key than feed.key, so doors refuse the feed."
    elif found is not None and not found.not_before <= now <= found.not_after:
        problem = "The delegation is not in force now, so doors refuse the feed."
    following = config.secrets / NEXT_KEY
    return KeyStatus(
        root_fingerprint=fingerprint(root),
        root_key_here=(config.secrets / ROOT_KEY).exists(),
        feed_key=key_id(feed),
        feed_public_key=b64(feed),
        serial=found.serial if found else 0,
        not_before=found.not_before if found else 0,
        not_after=found.not_after if found else 0,
        days_left=max(0, (found.not_after - now) // DAY_S) if found else 0,
        next_key=key_id(public_bytes(_private(following))) if following.exists() else "",
        problem=problem,
    )


def _centre(options: argparse.Namespace) -> Config:
    """Whose keys may be read. Errors: NoCentre, SettingInvalid; PermissionError, of which the command line tells."""
    config = of_centre(options.state)
    if not os.access(config.secrets / FEED_KEY, os.R_OK) and os.getuid() != 0:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(config.secrets))
    return config


def _status(options: argparse.Namespace) -> int:
    found = key_status(_centre(options))
    if options.json:
        print(json.dumps(asdict(found)))
        return 1 if found.problem else 0
    until = datetime.fromtimestamp(found.not_after, UTC).strftime("%Y-%m-%d %H:%M UTC")
    print(f"Root:        {found.root_fingerprint}")
    print(
        f"Root key:    {'on this machine; in production take it away' if found.root_key_here else 'kept elsewhere'}"
    )
    print(f"Feed key:    {found.feed_key}, public key {found.feed_public_key}")
    print(f"Delegation:  serial {found.serial}, until {until} ({found.days_left} days)")
    if found.next_key:
        print(f"Next key:    {found.next_key}, waits for its delegation")
    if found.problem:
        print(f"Problem:     {found.problem} Next: docs/runbooks/feed-key-rotation.md")
    return 1 if found.problem else 0


def _new(options: argparse.Namespace) -> int:
    """Made once: asked again, it shows the same public key, so that a delegation under way still fits."""
    config = _centre(options)
    path = config.secrets / NEXT_KEY
    if not path.exists():
        text = b64(Ed25519PrivateKey.generate().private_bytes_raw())
        write_file(path, text.encode() + b"\n", mode=0o600, owner=supervisor_owner())
    print(b64(public_bytes(_private(path))))
    return 0


def _install(options: argparse.Namespace) -> int:
    config = _centre(options)
    line = _read(options.delegation)
    replaced = install(config, line)
    print(f"installed{', with the new feed key' if replaced else ''}.{_start_stream_again(config)}")
    return 0


def _start_stream_again(config: Config) -> str:
    """Only stream and its relays hold the key. Their end is seen by the supervisor, which starts them again."""
    if not status.running_pid(config):
        return ""
    records = status.directory(config) / "children.json"
    told = [
        children.signal_recorded(records, name, signal.SIGTERM) for name in ("stream", *config.relay_names)
    ]
    if all(told):
        return " stream starts again with it; doors connect again by themselves."
    return " stream could not be told. Next: ./beffroi stop, then ./beffroi up"


def install(config: Config, line: bytes) -> bool:
    """Verify, then put in place; True when the next key took over. Errors: DelegationMisfit, KeyUnusable."""
    try:
        found = TrustStore(_public(config, ROOT_PUBLIC)).add_delegation(line)
    except ProtocolError as error:
        raise DelegationMisfit(f"it does not verify with the pinned root ({error.code}).") from None
    if found.roles != (ROLE_FEED,):
        raise DelegationMisfit("it is for software; give it to `box release store`.")
    if not found.not_before <= clock.epoch_s() <= found.not_after:
        raise DelegationMisfit("it is not in force now; look at this machine's clock.")
    current = _delegation_here(config)
    if current is not None and (found.serial, found.not_after) <= (current.serial, current.not_after):
        raise DelegationMisfit(f"doors already know serial {current.serial}; sign with a higher one.")
    following = config.secrets / NEXT_KEY
    keys = {
        b64(public_bytes(_private(path))): path
        for path in (config.secrets / FEED_KEY, following)
        if path.exists()
    }
    if (key := keys.get(found.public_key)) is None:
        raise DelegationMisfit("it is for a key that is not on this machine.")
    # The key last: stopped in between, `status` says so, and the same command ends the work.
    secret_files.put(config, DELEGATION, line.strip() + b"\n")
    if key == following:
        following.replace(config.secrets / FEED_KEY)
        secret_files.settle_files(config)
    return key == following


# -- on any machine --------------------------------------------------------------------------------------------


def _delegate(options: argparse.Namespace) -> int:
    root = _private(options.root_key)
    public = _parsed_public(options.public_key.name, _read(options.public_key))
    serial = options.serial
    if serial is None:
        serial = _previous_serial(options, root) + (2 if options.retire_all else 1)
    if serial < 1 or not 1 <= options.days <= 3650:
        raise KeyUnusable("The delegation", "serial and days must be at least 1, days at most 3650.")
    now = clock.epoch_s()
    line = delegate(
        root,
        public,
        serial=serial,
        not_before=now - CLOCK_SLACK_S,
        not_after=now + options.days * DAY_S,
        role=options.role,
    )
    print(line.decode())
    return 0


def _previous_serial(options: argparse.Namespace, root: Ed25519PrivateKey) -> int:
    path: Path = options.previous or options.state / "secrets" / DELEGATION
    if options.previous is None and not path.exists():
        raise SerialUnknown
    try:
        return TrustStore(public_bytes(root)).add_delegation(_read(path)).serial
    except ProtocolError as error:
        raise KeyUnusable(path, f"it is not a delegation of this root ({error.code}).") from None


# -- files -----------------------------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise KeyUnusable(path, f"{error.strerror}.") from None


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(unb64(_read(path).decode("ascii")))
    except (ProtocolError, ValueError):
        raise KeyUnusable(path, "it is not a private key.") from None


def _public(config: Config, name: str) -> bytes:
    return _parsed_public(name, config.secret(name))


def _parsed_public(name: str, text: bytes) -> bytes:
    try:
        return public_bytes(Ed25519PublicKey.from_public_bytes(unb64(text.decode("ascii"))))
    except (ProtocolError, ValueError):
        raise KeyUnusable(name, "it is not a public key.") from None


def _delegation_here(config: Config) -> Delegation | None:
    path = config.secrets / DELEGATION
    if not path.exists():
        return None
    try:
        return TrustStore(_public(config, ROOT_PUBLIC)).add_delegation(_read(path))
    except ProtocolError:
        return None
