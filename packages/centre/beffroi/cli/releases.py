"""`box release key | sign | store | start | stop | resume | show`: software for boxes.

Purpose: ``key`` and ``sign`` work on any machine, without a state directory, database or network, so that the software
         key never has to be on the centre; the others work on the centre with what was signed.
Process: the person's own; on the centre root becomes the Python user.
Secrets: the software key is read and written as a file, and never shown.
Input:   the package is read by dpkg-deb; what is stored is verified with the pinned root.
Fails:   closed: nothing is stored or started unless everything fits.
Source:  docs/runbooks/box-fleet.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.messages import MAX_RELEASE_BYTES, VERSION, Release, decode_feed, encode
from beffroi_protocol.signing import ROLE_SOFTWARE, Signer, b64, public_bytes, unb64
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from beffroi.cli.entering import FileUnusable, enter_centre, has_database, new_file, open_file
from beffroi.cli.options import of_centre, take_state
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

PACKAGE = "beffroi-box"
DAY_S = 86400
ACTOR = "release-command"


class ReleaseUnusable(BeffroiError):
    """This release cannot be used: {}"""

    code = "cli.release_unusable"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.verb in ("key", "sign"):
        return _key(options) if options.verb == "key" else _sign(options)
    config = of_centre(options.state)
    files = (
        [_read(path) for path in (options.deb, options.line, options.delegation)]
        if options.verb == "store"
        else []
    )
    if not has_database(config):
        raise ReleaseUnusable("there is no database here. Next: ./beffroi status")
    enter_centre(config)
    return _on_centre(options, files)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="beffroi box release")
    verbs = parser.add_subparsers(dest="verb", required=True)
    key = verbs.add_parser("key", help="make a software key, offline; print its public half")
    key.add_argument("output", type=Path, metavar="FILE")
    sign = verbs.add_parser("sign", help="sign a package, offline; print the line")
    sign.add_argument("--deb", type=Path, required=True, metavar="FILE")
    sign.add_argument("--software-key", type=Path, required=True, metavar="FILE")
    sign.add_argument("--number", type=int, required=True, metavar="N", help="higher than that of any before")
    sign.add_argument("--days", type=int, default=60, help="how long it may be installed")
    store = verbs.add_parser("store", help="bring a signed package to the centre")
    store.add_argument("--deb", type=Path, required=True, metavar="FILE")
    store.add_argument("--line", type=Path, required=True, metavar="FILE", help="what `sign` printed")
    store.add_argument(
        "--delegation", type=Path, required=True, metavar="FILE", help="of the software key, by the root"
    )
    start = verbs.add_parser("start", help="hand it out: one commune, then 1 %%, 10 %%, all")
    start.add_argument("number", type=int)
    start.add_argument("--canary", required=True, metavar="INSEE", help="the commune that goes first")
    for name, text in (("stop", "ask no further box"), ("resume", "go on after a look at the failures")):
        verbs.add_parser(name, help=text).add_argument("number", type=int)
    show = verbs.add_parser("show", help="releases and how far they are")
    show.add_argument("--json", action="store_true")
    for name in ("store", "start", "stop", "resume", "show"):
        take_state(verbs.choices[name])
    return parser


# -- on any machine --------------------------------------------------------------------------------------------


def _key(options: argparse.Namespace) -> int:
    key = Ed25519PrivateKey.generate()
    with new_file(options.output) as file:
        file.write(b64(key.private_bytes_raw()) + "\n")
    print(b64(public_bytes(key)))
    return 0


def _sign(options: argparse.Namespace) -> int:
    """Errors: FileUnusable, ReleaseUnusable."""
    content = _read(options.deb)
    name, version = _fields(options.deb)
    if name != PACKAGE:
        raise ReleaseUnusable(f"it is the package {name}, not {PACKAGE}")
    try:
        key = Ed25519PrivateKey.from_private_bytes(unb64(_read(options.software_key).decode("ascii").strip()))
    except (ProtocolError, ValueError):
        raise ReleaseUnusable("the software key is no private key") from None
    now = clock.epoch_s()
    release = Release(
        VERSION,
        options.number,
        version,
        hashlib.sha256(content).hexdigest(),
        len(content),
        now,
        now,
        now + options.days * DAY_S,
    )
    try:
        decode_feed(encode(release))  # what a box would not read is not signed
    except ProtocolError as error:
        raise ReleaseUnusable(str(error)) from None
    print(Signer(key, role=ROLE_SOFTWARE).line(release).decode())
    return 0


def _fields(deb: Path) -> tuple[str, str]:
    done = subprocess.run(
        ["dpkg-deb", "--show", "--showformat", "${Package} ${Version}", str(deb)],
        capture_output=True,
        text=True,
        check=False,
    )
    name, _space, version = done.stdout.partition(" ")
    if done.returncode or not version:
        raise ReleaseUnusable("dpkg-deb cannot read the package")
    return name, version


def _read(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            content = file.read(MAX_RELEASE_BYTES + 1)
    except OSError as error:
        raise FileUnusable(path, error.strerror) from None
    if len(content) > MAX_RELEASE_BYTES:
        raise FileUnusable(path, "it is too long")
    return content


# -- on the centre ---------------------------------------------------------------------------------------------


def _on_centre(options: argparse.Namespace, files: Sequence[bytes]) -> int:
    from django.db import DatabaseError  # noqa: PLC0415 - needs Django's settings

    try:
        return _act(options, files)
    except DatabaseError:
        raise ReleaseUnusable("the database does not answer. Nothing was changed") from None


def _act(options: argparse.Namespace, files: Sequence[bytes]) -> int:
    from beffroi.boxes import releases  # noqa: PLC0415
    from beffroi.core.communes import queries as communes  # noqa: PLC0415

    actor = Actor.system(ACTOR)
    if options.verb == "store":
        content, line, delegation = files
        row = releases.store(actor=actor, line=line, delegation=delegation, content=content)
        print(
            f"Stored: release {row.number}, version {row.version}. Next: ./beffroi box release start {row.number} ..."
        )
        return 0
    if options.verb == "start":
        owner = {code: one for one, code in communes.insee_codes().items()}.get(options.canary, "")
        canary = communes.access_collectivite(actor, owner)
        releases.start(actor=actor, number=options.number, canary=canary)
        print(f"Release {options.number} begins with {canary.name}.")
    elif options.verb == "stop":
        releases.stop(actor=actor, number=options.number)
        print(f"Release {options.number} is stopped: no further box is asked.")
    elif options.verb == "resume":
        releases.resume(actor=actor, number=options.number)
        print(f"Release {options.number} goes on.")
    else:
        _show(as_json=options.json)
    return 0


def _show(*, as_json: bool) -> None:
    from beffroi.boxes import releases, rollout  # noqa: PLC0415

    told = [
        {
            "number": row.number,
            "version": row.version,
            "state": row.state,
            "stage_percent": rollout.STAGES[row.stage],
            "stopped_because": row.stopped_because,
            "expires_at": row.expires_at.isoformat(),
            **releases.progress(row.number),
        }
        for row in releases.visible_releases(Actor.system(ACTOR))
    ]
    if as_json:
        print(json.dumps(told))
        return
    if not told:
        print("No release is stored. Next: ./beffroi box release store ...")
    for one in told:
        print(
            f"{one['number']:>6}  {one['version']:<16}{one['state']:<9}{one['stage_percent']:>4} %"
            f"  asked {one['asked']}, installed {one['installed']}, failed {one['failed']}  {one['stopped_because']}"
        )
