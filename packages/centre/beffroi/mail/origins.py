"""Where the copies of a message lay before a decision took them, so that its end gives each back to its folder.

Process: remediation. ``RemediationItem.folder``: a line for each copy that the mailbox had.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import batched

from beffroi.mail import doveadm
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.models import RemediationItem, RemediationJob

MOST_FOLDERS = 255
"""Signs of all names together, as the column holds them."""
type Copied = tuple[str, str]
"""(message, mailbox)"""


def noted(before: Sequence[str], found: Sequence[str]) -> str:
    """A line for each copy: its folder, in the order in which they go to quarantine. ``before``: as an interrupted run
    noted them; what is not ``found`` any more it moved, from the first on."""
    moved = before[: max(0, len(before) - len(found))]
    grouped = sorted(found, key=list(dict.fromkeys(found)).index)
    folders = [*moved, *grouped]
    while len(folders) > 1 and len("\n".join(folders)) > MOST_FOLDERS:
        folders.pop()
    return "\n".join(folders)[:MOST_FOLDERS]


def of(copies: Collection[Copied]) -> dict[Copied, list[str]]:
    """The folders before the last move that recorded them; none of what never was delivered."""
    rows = (
        RemediationItem.objects.filter(
            message_id__in={message_id for message_id, _ in copies},
            mailbox_id__in={mailbox_id for _, mailbox_id in copies},
            job__direction=RemediationJob.Direction.WITHDRAW,
        )
        .exclude(folder="")
        .order_by("changed_at")
        .values_list("message_id", "mailbox_id", "folder")
    )
    return {(message_id, mailbox_id): folder.split("\n") for message_id, mailbox_id, folder in rows}


def of_several(
    engine: Doveadm, was_in: Mapping[Copied, list[str]], addresses: Mapping[str, str]
) -> dict[Copied, list[tuple[str, str]]]:
    """(folder, UID in quarantine) of each copy of those messages of which a mailbox had several: they went there in the
    order of their folders, and go back in it. After a kill some lie in their folders: those that an interrupted
    withdrawal had not taken, or an interrupted return had given back."""
    asked = [copy for copy, folders in was_in.items() if len(folders) > 1 and copy[1] in addresses]
    places = ("*", engine.quarantine)
    finds = [doveadm.find(addresses[box], message, place) for message, box in asked for place in places]
    answers = batched(engine.run(finds), len(places), strict=True)
    found = {}
    for copy, (outside, inside) in zip(asked, answers, strict=True):
        uids = sorted((one.uid for one in doveadm.copies(inside)), key=int)
        folders = list(was_in[copy])
        for one in doveadm.copies(outside):
            if one.folder in folders and len(folders) > len(uids):
                folders.remove(one.folder)
        folders += folders[:1] * (len(uids) - len(folders))
        found[copy] = list(zip(folders[len(folders) - len(uids) :], uids, strict=True))
    return found
