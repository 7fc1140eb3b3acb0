"""What people decide about seals: begun, extended, lifted, verified, proved; an elimination asked for, granted, done.

Process: web; ``carry_out`` in worker.
Access:  who is in the collectivité sees its seals. Its référent alone acts; an elimination needs a second person, who
         is another référent or an élu.
Rule:    the audit has its entry before anything is done (``audited``). Time is ``clock.paced``: a clock that jumped
         forward ends no term.
Source:  docs/internals/drive-seals.md.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import date

from django.conf import settings
from django.db import transaction

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals import queries as requests
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.audit import queries as audits
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.drive import audited
from beffroi.drive.archives import manifest, retention, rules
from beffroi.drive.archives.rules import Visa
from beffroi.drive.seals.verification import of_texts
from beffroi.drive.store import look, schema, seal_alarms, seal_checks, seal_ends, seals, trash
from beffroi.drive.store.commune import opened
from beffroi.drive.store.database import Database
from beffroi.drive.store.locks import require
from beffroi.drive.store.model import AbsentNode, Act
from beffroi.drive.store.seal_ends import Elimination
from beffroi.drive.store.seals import NO_END, Seal, SealRefused
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place, View
from beffroi.drive.web.sync import push
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.lib.ids import new_id

VERB = "drive:seal:destroy"
VALID_S = 90 * 86400
"""An élu answers within this; the visa is there already."""
CARRIED_OUT_S = 86400
MOST_WHY_CHARS = 300
ANSWERS = ("referent", "elu")
"""Roles that may answer a request for an elimination."""


def may_act(actor: Actor) -> bool:
    return actor.role == "referent"


def sealable(actor: Actor, view: View, reading: Reading, node_id: int) -> Place:
    """A folder of the collectivité that its référent may seal. Errors: AbsentNode, NotAllowed, SealRefused, Sealed."""
    place = view.at(reading, node_id)
    _require(actor)
    if look.above(reading, node_id)[-1].name != schema.COMMON:
        raise SealRefused("it is not the collectivité's")
    seals.sealable(reading, place.node)
    return place


def proposed(rule: str, newest: date) -> int | None:
    """The end that a rule of the retention table proposes, UTC epoch seconds; None for none."""
    return retention.until_s(retention.TABLE[rule], newest)


def seal(*, actor: Actor, view: View, act: Act, node_id: int, rule: str, until_s: int | None) -> Seal:
    """Nothing changes in the folder from now on; the process ``drive`` reads and signs it.

    Errors: AbsentNode, NotAllowed, SealRefused, Sealed, Locked, TermTooShort."""
    now_s = clock.paced_s()
    rules.may_seal(now_s=now_s, until_s=until_s)
    with view.database.reading() as reading:
        place = sealable(actor, view, reading, node_id)
        files, size_bytes, _ = seals.sums(reading, node_id)
    position, head = audits.sealed_head()
    made = Seal(
        new_id("seal"), node_id, "sealing", place.node.name, now_s, until_s or NO_END, rule, actor.id, position, head,
        files, size_bytes, 0, 0, 0, "none", 0, 0, 0, "",
    )  # fmt: skip
    said: dict[str, str | int] = {"node_id": node_id, "rule": rule, "until_s": until_s or 0, "files": files}

    def change(writing: Writing) -> Seal:
        folder = sealable(actor, view, writing, node_id).node
        require(writing, act, folder, deep=True)  # nobody has anything in it open
        # What came since it was looked at is sealed, too.
        now_files, now_bytes, _ = seals.sums(writing, node_id)
        begun = made._replace(name=folder.name, files=now_files, size_bytes=now_bytes)
        seals.begin(writing, begun)
        return begun

    with _before(actor, "asked", made, said):
        return view.database.write(change)


def extend(*, actor: Actor, database: Database, seal_id: str, until_s: int) -> None:
    """A later end; an elimination that waits for a second person is given up.

    Errors: AbsentNode, NotAllowed, Conflict (one is granted, too), TermNotForward."""
    found = _standing(actor, database, seal_id)
    rules.may_extend(_as_rule(found), until_s=until_s)
    approval = elimination_of(actor, seal_id)
    if is_under_way(approval):
        raise Conflict("it is being destroyed")

    def change(writing: Writing) -> None:
        rules.may_extend(_as_rule(_still_standing(writing, seal_id)), until_s=until_s)
        seals.extend(writing, seal_id, until_s=until_s)

    with _before(actor, "extended", found, {"until_s": until_s}):
        database.write(change)
    if approval is not None and waits(approval):
        approvals.refuse(actor=actor, approval=approval)


def lift(*, actor: Actor, database: Database, seal_id: str) -> None:
    """An ordinary folder again. Errors: AbsentNode, NotAllowed, Conflict, KeptForEver, TermRunning, RuleBinds."""
    found = _standing(actor, database, seal_id)
    rules.may_lift(_as_rule(found), now_s=clock.paced())

    def change(writing: Writing) -> None:
        rules.may_lift(_as_rule(_still_standing(writing, seal_id)), now_s=clock.paced())
        seals.end(writing, seal_id, "lifted", now_s=clock.epoch_s(), by=actor.id)

    with _before(actor, "lifted", found, {}):
        database.write(change)


def verify(*, actor: Actor, database: Database, seal_id: str) -> None:
    """Every content is read again, by the process ``drive``. Errors: AbsentNode, NotAllowed, Conflict."""
    found = _standing(actor, database, seal_id)
    now_s = clock.epoch_s()

    def change(writing: Writing) -> None:
        seal_checks.ask(writing, _still_standing(writing, seal_id).id, person_id=actor.id, now_s=now_s)

    with _before(actor, "check_asked", found, {}):
        database.write(change)
    # Nothing changed in the tree: nobody was told.
    push.tell(settings.BEFFROI.run, actor.collectivite_id or "")


def settle_damage(*, actor: Actor, database: Database, seal_id: str, why: str) -> None:
    """The référent says what became of a damage: the alarm is over until another one is found.

    Errors: AbsentNode, NotAllowed, Invalid, Conflict (no alarm is open, or another damage was found meanwhile)."""
    found = _standing(actor, database, seal_id)
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in why).split())[:MOST_WHY_CHARS]
    if not line:
        raise Invalid("why")
    with database.reading() as reading:
        alarm = seal_alarms.of(reading, seal_id)
    if alarm is None or not alarm.is_open:
        raise Conflict("nothing is open")
    now_s = clock.epoch_s()

    def change(writing: Writing) -> None:
        if not seal_alarms.settle(writing, seal_id, found=alarm.found, by=actor.id, why=line, now_s=now_s):
            raise Conflict("nothing is open, or another damage was found")

    with _before(actor, "damage_settled", found, {"found": alarm.found}):
        database.write(change)
    push.tell(settings.BEFFROI.run, actor.collectivite_id or "")


def prove(*, actor: Actor, view: View, seal_id: str, node_id: int) -> bytes:
    """A ZIP by which anybody can check that one file was in the folder, without seeing the others.

    Errors: AbsentNode."""
    with view.database.reading() as reading:
        found = seals.find(reading, seal_id)
        above = look.above(reading, view.at(reading, node_id).node.id)
        depth = next((at for at, one in enumerate(above) if one.id == found.node), 0)
        texts = seals.texts(reading, seal_id)
    path = "/".join(one.name for one in reversed(above[:depth]))
    proof = manifest.prove(of_texts(texts), path) if depth else None
    if proof is None:
        raise AbsentNode("file")
    audited.record(
        actor,
        "drive:seal:proved",
        found.id,
        collectivite_id=actor.collectivite_id,
        details={"node_id": node_id},
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(manifest.PROOF, json.dumps(proof.as_json(), ensure_ascii=False, indent=1))
        for name in (manifest.STATEMENT, manifest.SIGNATURE, manifest.STAMP, manifest.PUBLIC):
            if name in texts:
                file.writestr(name, texts[name])
    return out.getvalue()


# -- elimination -----------------------------------------------------------------------------------------------


def elimination_of(actor: Actor, seal_id: str) -> Approval | None:
    """The request that waits or is under way, else the newest: one of a clock that ran ahead would be so for long."""
    rows = Approval.objects.filter(verb=VERB, subject_id=seal_id, collectivite_id=actor.collectivite_id)
    return max(rows, key=lambda one: (waits(one), is_under_way(one), one.requested_at), default=None)


def visa_of(approval: Approval) -> Mapping[str, str]:
    found: dict[str, str] = json.loads(approval.payload)
    return found


def waits(approval: Approval | None) -> bool:
    return (
        approval is not None
        and approval.state == Approval.State.REQUESTED
        and approval.expires_at > clock.now()
    )


def waiting(actor: Actor) -> list[Approval]:
    """Requests of the collectivité that nobody answered yet."""
    return list(requests.waiting(VERB).filter(collectivite_id=actor.collectivite_id))


def is_under_way(approval: Approval | None) -> bool:
    """Granted, and to be carried out now. What was not after CARRIED_OUT_S may be asked for anew."""
    return (
        approval is not None
        and approval.state == Approval.State.GRANTED
        and approval.decided_at is not None
        and abs((clock.now() - approval.decided_at).total_seconds()) < CARRIED_OUT_S
    )


def may_grant(actor: Actor, approval: Approval) -> bool:
    return actor.role in ANSWERS and actor.id != approval.requested_by


def ask_elimination(*, actor: Actor, database: Database, seal_id: str, visa: Visa) -> None:
    """Errors: AbsentNode, NotAllowed, Conflict, KeptForEver, TermRunning, NoRule, VisaMissing."""
    found = _standing(actor, database, seal_id)
    _may_destroy(found, visa)
    before = elimination_of(actor, seal_id)
    if waits(before) or is_under_way(before):
        raise Conflict("it is asked for already")
    payload = {
        "seal_id": seal_id,
        "visa": visa.reference,
        "visa_on": visa.given_on.isoformat(),
        "visa_by": visa.by,
    }
    approvals.request(
        actor=actor,
        verb=VERB,
        subject_id=seal_id,
        payload=payload,
        collectivite_id=actor.collectivite_id,
        valid_s=VALID_S,
    )


def answer_elimination(*, actor: Actor, database: Database, seal_id: str, grant: bool) -> None:
    """A second person agrees, or says no; who asked may take it back. Errors: NotFound, NotAllowed, SamePerson,
    Conflict."""
    with database.reading() as reading:
        seals.find(reading, seal_id)
    approval = elimination_of(actor, seal_id)
    if approval is None:
        raise NotFound("approval")
    if actor.role not in ANSWERS:
        raise NotAllowed("answer an elimination")
    if grant:
        approvals.approve(actor=actor, approval=approval)
    else:
        approvals.refuse(actor=actor, approval=approval)


def carry_out(
    collectivite_id: str, said: Mapping[str, str], *, approval_id: str, asked_by: str, granted_by: str
) -> None:
    """What was granted, once, however often it is called. Errors: AbsentNode; those of the rules, which are asked once
    more: by this process's clock its term may not be over."""
    visa = said["visa"], said["visa_on"], said["visa_by"]
    record = Elimination(said["seal_id"], approval_id, asked_by, granted_by, *visa, clock.epoch_s())
    with opened(settings.BEFFROI) as communes:
        _eliminate(communes.metadata(collectivite_id), collectivite_id, record)
    push.tell(settings.BEFFROI.run, collectivite_id)


def _eliminate(database: Database, collectivite_id: str, record: Elimination) -> None:
    act = Act(record.granted_by, "", record.at_s)

    def change(writing: Writing) -> Seal:
        found = seals.find(writing, record.seal)
        if found.state == "sealed":
            _may_destroy(found, Visa(record.visa, date.fromisoformat(record.visa_on), record.visa_by))
        seal_ends.eliminate(writing, act, record)
        return found

    found = database.write(change)
    trash.destroy_all(database, act)
    verb = "drive:seal:destroyed"
    with database.reading() as reading:
        done = seal_ends.of(reading, record.seal)
    if done is None or _is_recorded(verb, done):
        return
    by = Actor("person", record.granted_by, collectivite_id)
    details: dict[str, str | int] = {
        "approval_id": done.approval_id,
        "visa": done.visa,
        "files": found.files,
        "bytes": found.size_bytes,
    }
    with transaction.atomic():
        audit.record(by, verb, found.id, collectivite_id=collectivite_id, details=details)


def _is_recorded(verb: str, done: Elimination) -> bool:
    """This one: after a restore the same folder may be eliminated again."""
    rows = AuditEntry.objects.filter(verb=verb, object_id=done.seal).values_list("details", flat=True)
    return any(json.loads(one)["approval_id"] == done.approval_id for one in rows)


# -- inside ------------------------------------------------------------------------------------------------------


def _as_rule(found: Seal) -> rules.Seal:
    return rules.Seal(None if found.until_s == NO_END else found.until_s, found.rule)


def _may_destroy(found: Seal, visa: Visa | None) -> None:
    rule = retention.TABLE.get(found.rule)
    rules.may_destroy(_as_rule(found), visa, final=rule.final if rule else "", now_s=clock.paced())


def _standing(actor: Actor, database: Database, seal_id: str) -> Seal:
    """Errors: AbsentNode, NotAllowed, Conflict."""
    with database.reading() as reading:
        seals.find(reading, seal_id)
        _require(actor)
        return _still_standing(reading, seal_id)


def _still_standing(reading: Reading, seal_id: str) -> Seal:
    """Asked once more in each change: the term that was looked at may be a later one by then.

    Errors: AbsentNode, Conflict."""
    found = seals.find(reading, seal_id)
    if found.state != "sealed":
        raise Conflict("the seal is not made yet, or has ended")
    return found


def _require(actor: Actor) -> None:
    if not may_act(actor):
        raise NotAllowed("seal")


def _before(
    actor: Actor, what: str, found: Seal, details: Mapping[str, str | int]
) -> AbstractContextManager[None]:
    return audited.before(
        actor, f"drive:seal:{what}", found.id, collectivite_id=actor.collectivite_id, details=details
    )
