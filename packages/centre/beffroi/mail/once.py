"""One copy of a delivery: what engines that were killed delivered twice loses its second copy.

Purpose: Dovecot killed between a saved copy and its answer, or Postfix between that answer and its note of it, deliver
         the same mail again, under the same identifier of ours. Two signs: the copy on record came late, for Postfix
         tried again; or the journal tells of a copy that is on record already.
Process: remediation, by doveadm.
Hostile: nothing from outside is compared: the identifier is ours. By Message-ID a stranger's mail could swallow an
         honest one; so a mail that its sender repeats, never having heard our answer, stays twice.
Fails:   open: two copies lie there until Dovecot answers (DoveadmUnavailable is retryable).
Source:  docs/decisions/0042-a-mail-lies-once.md.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched

from django.conf import settings

from beffroi.lib.ids import made_at_s
from beffroi.mail import doveadm, origins
from beffroi.mail.doveadm import Doveadm, Rows
from beffroi.mail.models import Mailbox, MailDelivery

log = logging.getLogger("beffroi.mail.once")
LATE_S = 5.0
"""From the scan to the saved copy. Where this sign alone can tell (a Dovecot that was killed lost its line of the
journal), Postfix waits minutes before it tries again. A busy machine takes more than a second for any mail, and asking
for each of them made it busier still."""


def look_at(copies: Sequence[tuple[str, str]]) -> int:
    """Look for second copies of those (message, mailbox) that came late; return how many were removed.

    Errors: DoveadmUnavailable.
    """
    rows = MailDelivery.objects.filter(message_id__in={message_id for message_id, _ in copies})
    wanted = set(map(tuple, copies))
    late = [
        one
        for one in rows
        if (one.message_id, one.mailbox_id) in wanted
        and one.delivered_at.timestamp() - made_at_s(one.message_id) >= LATE_S
    ]
    addresses = dict(
        Mailbox.objects.filter(pk__in={one.mailbox_id for one in late}).values_list("id", "address")
    )
    engine = Doveadm(settings.BEFFROI)
    known = [(addresses[one.mailbox_id], one.message_id) for one in late if one.mailbox_id in addresses]
    return sum(_keep_first(engine, known))


def keep_one_of(engine: Doveadm, address: str, rows: Rows) -> int:
    """The same for copies that were found together in a mailbox, by Message-ID. Who else has that mail may have it
    twice, too, although a second kill took their line of the journal along. Errors: DoveadmUnavailable."""
    seen = Counter((row["mailbox"], row["hdr.x-beffroi-id"].strip()) for row in rows)
    twice = {beffroi_id for (_folder, beffroi_id), count in seen.items() if count > 1}
    if not twice:
        return 0
    copies = list(MailDelivery.objects.filter(message_id__in=twice).values_list("mailbox_id", "message_id"))
    addresses = dict(Mailbox.objects.filter(pk__in={one for one, _ in copies}).values_list("id", "address"))
    others = {(addresses[mailbox_id], beffroi_id) for mailbox_id, beffroi_id in copies}
    return sum(_keep_first(engine, sorted({(address, beffroi_id) for beffroi_id in twice} | others)))


def _keep_first(engine: Doveadm, deliveries: Sequence[tuple[str, str]]) -> Iterator[int]:
    """Of each delivery (address, identifier), remove all copies but the first of each folder; yield how many. A copy
    that the owner put into another folder is the owner's, also once a decision holds both in quarantine."""
    folders, was_in = ("*", engine.quarantine), _was_in(deliveries)
    asked = [doveadm.find(*one, folder) for one in deliveries for folder in folders]
    found = batched(engine.run(asked), len(folders), strict=True)
    for (address, beffroi_id), rows in zip(deliveries, found, strict=True):
        noted = was_in.get((address, beffroi_id), [])
        extra = list(_extra((copy for one in rows for copy in doveadm.copies(one)), noted, engine.quarantine))
        engine.run([doveadm.expunge(address, beffroi_id, folder, uids) for folder, uids in extra])
        removed = sum(len(uids) for _folder, uids in extra)
        if removed:
            log.info("%s had been delivered again: %d removed", beffroi_id, removed)
        yield removed


def _was_in(deliveries: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """Where the copies lay that a decision holds, in the order in which they went to quarantine."""
    boxes = Mailbox.objects.filter(address__in={address for address, _ in deliveries})
    ids = dict(boxes.values_list("address", "id"))
    copies = {one: (one[1], ids[one[0]]) for one in deliveries if one[0] in ids}
    noted = origins.of(list(copies.values()))
    return {one: noted[copy] for one, copy in copies.items() if copy in noted}


def _extra(
    copies: Iterable[doveadm.Copy], noted: Sequence[str], quarantine: str
) -> Iterable[tuple[str, list[str]]]:
    folders: dict[str, list[str]] = {}
    for copy in copies:
        folders.setdefault(copy.folder, []).append(copy.uid)
    for folder, found in folders.items():
        uids = sorted(found, key=int)
        homes = noted if folder == quarantine and len(noted) == len(uids) else [folder] * len(uids)
        later = [uid for number, uid in enumerate(uids) if homes[number] in homes[:number]]
        if later:
            yield folder, later
