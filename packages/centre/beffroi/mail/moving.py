"""Copies move into quarantine and back out of it, a portion at a time, and each notes how far it came.

Purpose: the half of a withdrawal (``remediation``) that asks Dovecot. Each copy's folder is on disk before it is moved,
         and a copy counts as moved only when quarantine confirms it; so a kill at any moment costs a question more.
Process: remediation, through doveadm.
Fails:   Dovecot away: DoveadmUnavailable; what was done is kept.
Source:  docs/internals/remediation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from django.conf import settings
from django.db import transaction

from beffroi.lib import clock
from beffroi.mail import doveadm, holding, origins, queries
from beffroi.mail.doveadm import Command, Doveadm
from beffroi.mail.models import Mailbox, RemediationItem, RemediationJob

_Item = RemediationItem.State
type Step = Callable[[Doveadm, list[RemediationItem], dict[str, str]], None]
"""Takes one portion on; addresses by mailbox, without those that are gone."""
OPEN = (_Item.PENDING, _Item.FOUND)
SLICE = 300
MAX_ATTEMPTS = 5


def work(
    job: RemediationJob, states: Sequence[str], step: Step, *, while_true: Callable[[], bool] = lambda: True
) -> bool:
    """Take a step with each portion of the items in these states; False where ``while_true`` ended it before."""
    engine = Doveadm(settings.BEFFROI)
    while while_true():
        items = list(job.items.filter(state__in=states).order_by("id")[:SLICE])
        if not items:
            return True
        addresses = dict(
            Mailbox.objects.filter(pk__in={i.mailbox_id for i in items}).values_list("id", "address")
        )
        step(engine, items, addresses)
        _keep(items)
    return False


def into_quarantine(engine: Doveadm, items: list[RemediationItem], addresses: dict[str, str]) -> None:
    _locate(engine, items, addresses)
    _keep(items)  # the folder is on disk before anything moves
    found = [i for i in items if i.state == _Item.FOUND]
    groups: list[list[Command]] = []
    for item in found:
        user = addresses[item.mailbox_id]
        # A person may have copied it: every folder that holds a copy is cleaned, in this order.
        folders = dict.fromkeys(item.folder.split("\n"))
        groups.append(
            [doveadm.move(user, item.message_id, f, engine.quarantine) for f in folders]
            + [doveadm.find(user, item.message_id, engine.quarantine)]
        )
    for item, answers in zip(found, engine.run_groups(groups), strict=True):
        moved = None not in answers and bool(doveadm.copies(answers[-1]))
        _conclude(item, _Item.MOVED if moved else None)


def _locate(engine: Doveadm, items: list[RemediationItem], addresses: dict[str, str]) -> None:
    """Find where each copy lies; one in quarantine already is "kept" there by another decision."""
    for item in items:
        if item.mailbox_id not in addresses:
            item.state = _Item.ABSENT
    asked = [i for i in items if i.state in (_Item.PENDING, _Item.FOUND)]
    elsewhere: list[RemediationItem] = []
    answers = engine.run([doveadm.find(addresses[i.mailbox_id], i.message_id) for i in asked])
    for item, outside in zip(asked, answers, strict=True):
        if outside is None:
            _conclude(item, None)
        elif found := doveadm.copies(outside):
            before = item.folder.split("\n") if item.state == _Item.FOUND else []
            item.state = _Item.FOUND
            item.folder = origins.noted(before, [c.folder for c in found])
            # One that was read counts, whichever it is (mail.met).
            item.flags = " ".join(dict.fromkeys(flag for c in found for flag in c.flags.split()))[:500]
        else:
            elsewhere.append(item)
    answers = engine.run(
        [doveadm.find(addresses[i.mailbox_id], i.message_id, engine.quarantine) for i in elsewhere]
    )
    for item, inside in zip(elsewhere, answers, strict=True):
        if not doveadm.copies(inside):
            item.state = _Item.ABSENT
        else:
            # FOUND before and inside now: the move of an interrupted run had succeeded.
            item.state = _Item.MOVED if item.state == _Item.FOUND else _Item.KEPT


def out_of_quarantine(engine: Doveadm, items: list[RemediationItem], addresses: dict[str, str]) -> None:
    kept = cache(_stays)
    for item in items:
        if item.mailbox_id not in addresses:
            item.state = _Item.ABSENT
        elif kept(item.message_id, item.collectivite_id):
            item.state = _Item.KEPT
    _find_in_quarantine(engine, [i for i in items if i.state in OPEN], addresses)
    _keep(items)  # known on disk before anything moves
    found = [i for i in items if i.state == _Item.FOUND]
    was_in = origins.of([(i.message_id, i.mailbox_id) for i in found])
    several = origins.of_several(engine, was_in, addresses)
    groups: list[list[Command]] = []
    moves: list[int] = []
    for item in found:
        user, copy = addresses[item.mailbox_id], (item.message_id, item.mailbox_id)
        item.folder = was_in.get(copy, ["INBOX"])[0]
        back = several.get(copy) or [(item.folder, "")]
        moves.append(len(back))
        groups.append(
            [
                # The folder may be gone; creating one that exists is refused and changes nothing.
                *(doveadm.create_folder(user, f) for f in dict(back) if f != "INBOX"),
                *(doveadm.move(user, item.message_id, engine.quarantine, f, uid=uid) for f, uid in back),
                doveadm.find(user, item.message_id, item.folder),
            ]
        )
    for item, moved, answers in zip(found, moves, engine.run_groups(groups), strict=True):
        if None in answers[-1 - moved :]:  # a folder that is there already was refused before
            _conclude(item, None)
        else:
            item.state = _Item.MOVED if doveadm.copies(answers[-1]) else _Item.ABSENT


def _find_in_quarantine(engine: Doveadm, items: list[RemediationItem], addresses: dict[str, str]) -> None:
    """One that is not there was given back by the end of another decision, which counts it, or by its owner; FOUND
    before, it was moved by an interrupted run of this."""
    finds = [doveadm.find(addresses[i.mailbox_id], i.message_id, engine.quarantine) for i in items]
    for item, inside in zip(items, engine.run(finds), strict=True):
        if inside is None:
            _conclude(item, None)
        elif doveadm.copies(inside):
            item.state = _Item.FOUND
        elif item.state != _Item.FOUND:
            item.state = _Item.ABSENT


def _stays(message_id: str, collectivite_id: str) -> bool:
    """Whether another decision, or what the mail door found in it, holds a message."""
    return bool(holding.holding(message_id, collectivite_id) or queries.findings(message_id))


def _conclude(item: RemediationItem, state: str | None) -> None:
    """``None``: not confirmed; tried again some times, then reported as failed."""
    item.attempts += 1
    if state is not None:
        item.state = state
    elif item.attempts >= MAX_ATTEMPTS:
        item.state = _Item.FAILED


def _keep(items: list[RemediationItem]) -> None:
    """Most items of a slice say the same: a statement for each that differs, not a CASE of all in one."""
    now = clock.now()
    alike: dict[tuple[str, str, str, int], list[int]] = {}
    for item in items:
        item.changed_at = now
        alike.setdefault((item.state, item.folder, item.flags, item.attempts), []).append(item.pk)
    with transaction.atomic():
        for (state, folder, flags, attempts), keys in alike.items():
            RemediationItem.objects.filter(pk__in=keys).update(
                state=state, folder=folder, flags=flags, attempts=attempts, changed_at=now
            )
