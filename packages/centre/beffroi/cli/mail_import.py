"""`mail import ADDRESS FILE`: bring an archive (mbox, EML, ZIP of these) into a mailbox.

Process: the person's own; the file is opened by who asked for it, then root becomes the Python user.
Input:   FILE is hostile (mail/importing/archive.py).
Fails:   what was copied stays; given again, the command copies only what is missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from beffroi.cli.entering import account, in_centre, open_file
from beffroi.cli.options import Parser, parsed
from beffroi.lib.errors import BeffroiError

FOLDER = "Reprise"


class MailboxUnknown(BeffroiError):
    """No open mailbox has this address. Next: ./beffroi status"""

    code = "cli.mailbox_unknown"


class ImportUnavailable(BeffroiError):
    """The mailboxes of {} cannot be used: {}. Given again, the command goes on. Next: ./beffroi status"""

    code = "cli.import_unavailable"


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    asking = account()
    file = open_file(options.file)
    with in_centre(config, ImportUnavailable):
        from beffroi.mail.importing import bringing, folders, queries  # noqa: PLC0415
        from beffroi.mail.models import Mailbox  # noqa: PLC0415

        target = folders.below(part for part in options.folder.split("/") if part) or FOLDER
        try:
            with file:
                mailbox = Mailbox.objects.filter(
                    address=options.address.strip().lower(), closed_at=None
                ).first()
                if mailbox is None:
                    raise MailboxUnknown
                job = bringing.bring(
                    mailbox=mailbox, file=file, name=options.file.name, folder=target, account=asking
                )
        except OSError as error:
            raise ImportUnavailable(config.state, error.strerror) from None
    told = queries.progress(job)
    print(
        f"{told.copied} mails copied, {told.present} were there already, {told.failed} could not be copied."
    )
    for one in queries.failures(job):
        at = f"{one.received_at:%Y-%m-%d %H:%M}" if one.received_at else "no date"
        print(f"  {one.folder.target}: {at}, {one.size_bytes} bytes: {one.reason}")
    if job.passed_over:
        names = ", ".join(job.passed_names.splitlines())
        more = ", ..." if job.passed_over > len(job.passed_names.splitlines()) else ""
        print(f"{job.passed_over} files of the archive are no mails and were left out: {names}{more}")
    return 0 if not told.failed else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="beffroi mail import", description="Bring the mails of an archive into a mailbox.")
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("file", type=Path, metavar="FILE", help="mbox, EML, or a ZIP archive of these")
    parser.add_argument("--folder", default=FOLDER, metavar="NAME", help=f"by default {FOLDER}")
    return parser
