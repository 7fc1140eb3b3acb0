"""`commune export COMMUNE DIR`: all that a collectivité has, in standard forms, in a folder that it takes along.

Process: the person's own. The folder is made by who asks and given to the Python user, which the command becomes before
         it reads anything. Given again with the same folder, it goes on.
Privacy: an administrator signs in, says which written wish of the collectivité this is, and its référent sees it. The
         folder is 0700 and its files 0600; nothing that it holds is printed or logged.
Fails:   closed: without its list of sums the folder says that it is incomplete.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path

from beffroi.cli.decision import commune_named
from beffroi.cli.entering import FileUnusable, account, in_centre, sign_in
from beffroi.cli.options import parsed, with_verbs
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.lib.gigabytes import GB
from beffroi.supervise.secret_files import UserMissing


class CommuneUnavailable(BeffroiError):
    """The centre of {} cannot be read: {}. Given again, the command goes on. Next: ./beffroi status"""

    code = "cli.commune_unavailable"


class NotReached(BeffroiError):
    """The user {} cannot write in {}. Next: name a folder on a disk that is mounted under /mnt or /srv; one with a
    file system of Windows is mounted with the option uid={}"""

    code = "cli.export_not_reached"


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    asking, path = account(), options.folder.resolve()
    _prepare(config, path)
    with in_centre(config, CommuneUnavailable):
        if not os.access(path, os.W_OK | os.X_OK):
            raise NotReached(config.user, path, config.user)
        return _export(path, asking, options)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi commune")
    export = verbs.add_parser("export", help="write all that a collectivité has to a folder, for itself")
    export.add_argument("commune", metavar="COMMUNE", help="identifier, INSEE code or name")
    export.add_argument("folder", type=Path, metavar="DIR", help="a new folder, or one to go on with")
    export.add_argument(
        "--reason", required=True, help="its written wish: date, who signed; its référent reads it"
    )
    export.add_argument("--by", required=True, metavar="EMAIL", help="the administrator who exports")
    export.add_argument(
        "--leave-out", action="store_true", help="end without what cannot be read; the export names it"
    )
    return parser


def _prepare(config: Config, path: Path) -> None:
    """The folder, 0700, of the Python user. Errors: FileUnusable, UserMissing."""
    try:
        if not path.is_dir():
            path.mkdir(mode=0o700)
    except OSError as error:
        raise FileUnusable(path, error.strerror) from None
    if os.getuid() != 0 or not config.user or any(path.iterdir()):
        return  # what is in it is ours already, or is refused
    try:
        entry = pwd.getpwnam(config.user)
    except KeyError:
        raise UserMissing(config.user) from None
    try:
        os.chown(path, entry.pw_uid, entry.pw_gid)
        path.chmod(0o700)
    except PermissionError:
        pass  # a file system without owners; whether it can be written to is asked afterwards


def _export(path: Path, asking: str, options: argparse.Namespace) -> int:
    from beffroi.portal.commune_export import work  # noqa: PLC0415 - needs Django's settings

    actor = sign_in(options.by)
    collectivite = commune_named(actor, options.commune)
    free, wanted = shutil.disk_usage(path).free, work.about_bytes(collectivite.id)
    print(f"{collectivite.name}: about {wanted / GB:.2f} GB; {free / GB:.2f} GB are free there.", flush=True)
    made, row = work.run(
        actor=actor,
        collectivite=collectivite,
        path=path,
        reason=options.reason,
        account=asking,
        leave_out=options.leave_out,
        say=lambda line: print(f"  {line}", flush=True),
    )
    if made is not None:
        print(f"{made.files} files, {made.size_bytes / GB:.2f} GB; sums in {path}/manifest-sha256.txt.")
        row.refresh_from_db()
    if row.missing:
        print(f"NOT WHOLE: {row.missing} things could not be read; LISEZ-MOI.txt names them.")
    else:
        print("The export is whole. LISEZ-MOI.txt says what is where, and what is not in it.")
    print("It names people: hand it over yourself, on an encrypted disk, then delete it here.")
    return 1 if row.missing else 0
