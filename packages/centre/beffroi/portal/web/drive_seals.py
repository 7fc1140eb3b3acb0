"""Coffre: sealed folders: begun, followed, verified, proved, exported, lifted or eliminated.

Input:  hostile: identifiers, dates and words of forms. Every change is a POST with a token of the session.
Access: ``seals.actions``. The seals of a collectivité are seen by all of it, for only its own folder has any.
Rule:   contents are read elsewhere: this page asks, and shows how far it is. Packages come by grant.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from http import HTTPStatus
from typing import Any, TypedDict

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from beffroi.core.approvals.models import Approval
from beffroi.core.communes import queries as communes
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.archives import manifest, retention, rules
from beffroi.drive.seals import actions, authority, overview, transfer
from beffroi.drive.seals.verification import unpacked
from beffroi.drive.store import seal_alarms, seal_checks, seal_ends, seals
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.seal_checks import Check
from beffroi.drive.store.seal_ends import Elimination
from beffroi.drive.store.seals import NO_END, Seal
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid, NotFound
from beffroi.portal import drive_seal_sheet
from beffroi.portal import drive_seal_words as words
from beffroi.portal.drive_access import act_of, give_grants, view_of
from beffroi.portal.pages import as_file, asks_part, for_agents, page
from beffroi.portal.web import drive, step_up
from beffroi.portal.words import size

LINES_SHOWN = 500
SEALS_SHOWN = 200


@require_http_methods(["GET", "POST"])
@for_agents
def new(request: HttpRequest, actor: Actor, node_id: int) -> HttpResponse:
    """Which rule, until when; what would be sealed; then it is, or is changed. Errors: AbsentNode, NotFound."""
    if not actions.may_act(actor):
        raise NotFound("page")
    view = view_of(request, actor)
    with view.database.reading() as reading:
        place = view.at(reading, node_id)
        files, size_bytes, newest_s = seals.sums(reading, place.node.id)
        try:
            actions.sealable(actor, view, reading, node_id)
            refused = ""
        except BeffroiError as error:
            refused = words.refusal(error)
        steps = drive.trail(reading, view, place)
    # Nothing is of a day to come, whatever a camera or a program says: the term would begin then.
    newest = datetime.fromtimestamp(min(newest_s or clock.epoch_s(), clock.epoch_s()), UTC).date()
    context: dict[str, Any] = drive.PLACE | {
        "node": place.node,
        "trail": steps[:-1],
        "files": files,
        "size": size(size_bytes),
        "newest": newest,
        "rules": [words.rule(code) | {"end": _end_of(code, newest)} for code in retention.TABLE],
        "refused": refused,
        "form": request.POST,
    }
    status = HTTPStatus.OK
    if request.method == "POST" and not refused and request.POST.get("what") != "change":
        try:
            rule, until_s = _term(request, newest)
            rules.may_seal(now_s=clock.paced_s(), until_s=until_s)
            context |= {"chosen": words.rule(rule), "until": clock.moment(until_s or 0), "is_previewed": True}
            if request.POST.get("what") == "seal":
                made = actions.seal(
                    actor=actor, view=view, act=act_of(view), node_id=node_id, rule=rule, until_s=until_s
                )
                return HttpResponseRedirect(reverse("drive_seal", args=[made.id]))
        except BeffroiError as error:
            context |= {"wrong": _wrong(error), "is_previewed": False}
            status = HTTPStatus.BAD_REQUEST
    return page(request, "portal/drive_seal_new.html", context, status=status)


@require_GET
@for_agents
def every(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The seals of the collectivité, newest first."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        damaged = {one.seal for one in seal_alarms.open_(reading)}
        asked = {one.subject_id for one in actions.waiting(actor)}
        rows = [
            words.shown(one) | {"is_damaged": one.id in damaged, "is_asked": one.id in asked}
            for one in seals.every(reading, most=SEALS_SHOWN)
        ]
    return page(request, "portal/drive_seals.html", drive.PLACE | {"at": "seals", "rows": rows})


@require_http_methods(["GET", "POST"])
@for_agents
def one(request: HttpRequest, actor: Actor, seal_id: str) -> HttpResponse:
    """What a seal says, how far the work on it is, and what may be done. Errors: AbsentNode, NotAllowed, Invalid."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        found = seals.find(reading, seal_id)
    refused, status = words.REFUSALS.get(request.GET.get("refus", ""), ""), HTTPStatus.OK
    if request.method == "POST":
        try:
            _act(request, actor, view, found)
            return HttpResponseRedirect(reverse("drive_seal", args=[seal_id]))
        except BeffroiError as error:
            refused, status = words.refusal(error), HTTPStatus(error.http_status)
    with view.database.reading() as reading:
        context = _context(reading, actor, seals.find(reading, seal_id))
    if asks_part(request, "state"):
        return page(request, "portal/parts/drive_seal_state.html", context | {"is_part": True})
    context |= {"refused": refused, "form": request.POST}
    return drive.drive_page(request, view, "portal/drive_seal.html", context, status=status)


@require_POST
@for_agents
def seda(request: HttpRequest, actor: Actor, seal_id: str) -> HttpResponse:
    """The form of a SEDA transfer: what is wrong is said at its field, and the rest stays; a good one goes on to drive,
    which gives the package. Errors: AbsentNode."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        found = seals.find(reading, seal_id)
        context = _context(reading, actor, found)
    if not context["may_act"] or found.state != "sealed":
        raise AbsentNode("seal")
    sent = transfer.typed(request.POST.dict())
    faults = transfer.wrong(sent)
    if not faults:
        address = f"{granted.OUT_PATH}/sceaux/{seal_id}/seda"
        response: HttpResponse = HttpResponseRedirect(address, preserve_request=True)
        give_grants(response, view.who)
        return response
    context |= {"seda": sent, "wrong_seda": {name: words.FAULTS[why] for name, why in faults.items()}}
    return drive.drive_page(request, view, "portal/drive_seal.html", context, status=HTTPStatus.BAD_REQUEST)


@require_POST
@for_agents
def proof(request: HttpRequest, actor: Actor, seal_id: str, node_id: int) -> HttpResponse:
    """A small ZIP about one file. Errors: AbsentNode."""
    view = view_of(request, actor)
    packed = actions.prove(actor=actor, view=view, seal_id=seal_id, node_id=node_id)
    with view.database.reading() as reading:
        name = _("%(name)s (preuve).zip") % {"name": view.at(reading, node_id).node.name}
    return as_file(packed, "application/zip", name)


@require_POST
@for_agents
def sheet(request: HttpRequest, actor: Actor, seal_id: str) -> HttpResponse:
    """The elimination list, or the report of the last verification, as a PDF. Errors: AbsentNode."""
    with view_of(request, actor).database.reading() as reading:
        found = seals.find(reading, seal_id)
        context, check = _context(reading, actor, found), seal_checks.last(reading, seal_id)
        texts = seals.texts(reading, seal_id)
    try:
        if "record" in context:
            name = _("%(name)s (bordereau).pdf") % {"name": found.name}
            made = drive_seal_sheet.elimination(context, manifest.read_files(texts[manifest.FILES]))
        elif check is not None:
            name = _("%(name)s (vérification).pdf") % {"name": found.name}
            made = drive_seal_sheet.verification(context, words.differences(unpacked(check.report)))
        else:
            raise AbsentNode("report")
        packed = drive_seal_sheet.pdf(made)
    except drive_seal_sheet.NotPrinted as error:
        messages.error(request, words.refusal(error))
        return HttpResponseRedirect(reverse("drive_seal", args=[seal_id]))
    return as_file(packed, "application/pdf", name)


# -- inside ------------------------------------------------------------------------------------------------------


class _Seal(TypedDict):
    actor: Actor
    database: Database
    seal_id: str


def _act(request: HttpRequest, actor: Actor, view: View, found: Seal) -> None:
    what = request.POST.get("what", "")
    to: _Seal = {"actor": actor, "database": view.database, "seal_id": found.id}
    if what == "check":
        actions.verify(**to)
        messages.info(request, _("La vérification commence : chaque fichier est relu."))
    elif what == "settle":
        actions.settle_damage(**to, why=request.POST.get("why", ""))
        messages.success(
            request, _("C’est noté : l’alerte est close, jusqu’à ce qu’un autre dommage soit trouvé.")
        )
    elif what == "extend":
        actions.extend(**to, until_s=_day_s(request.POST.get("until", "")))
        messages.success(request, _("Le sceau est prolongé."))
    elif what == "lift":
        step_up.require(request)
        actions.lift(**to)
        messages.success(request, _("Le sceau est levé : ce dossier peut de nouveau être modifié."))
    elif what == "eliminate":
        step_up.require(request)
        visa = rules.Visa(
            " ".join(request.POST.get("visa", "").split()),
            _date(request.POST.get("visa_on", "")),
            " ".join(request.POST.get("visa_by", "").split())[:200],
        )
        actions.ask_elimination(**to, visa=visa)
        messages.info(
            request,
            _(
                "C’est demandé. Un élu ou une autre personne référente doit l’accorder : rien n’est détruit encore."
            ),
        )
    elif what in ("grant", "refuse"):
        if what == "grant":
            step_up.require(request)
        actions.answer_elimination(**to, grant=what == "grant")
        if what == "grant":
            messages.success(
                request, _("C’est accordé : le dossier est détruit dans les minutes qui viennent.")
            )
        else:
            messages.info(request, _("L’élimination est abandonnée : rien n’a été détruit."))
    else:
        raise Invalid("what")


def _context(reading: Reading, actor: Actor, found: Seal) -> dict[str, Any]:
    texts = seals.texts(reading, found.id)
    check, waiting = seal_checks.last(reading, found.id), seal_checks.waiting(reading, found.id)
    alarm = seal_alarms.of(reading, found.id)
    ended = seal_ends.of(reading, found.id)
    approval = actions.elimination_of(actor, found.id)
    asked = actions.waits(approval)
    persons = {found.person_id, found.ended_by}
    if approval is not None:
        persons |= {approval.requested_by, approval.decided_by}
    persons |= {one for one in (check and check.person_id, alarm and alarm.settled_by) if one}
    named = identity.visible_names(actor, persons)
    owner = communes.access_collectivite(actor, actor.collectivite_id or "")
    now = communes.called_now(owner)
    then = communes.called_then(owner, datetime.fromtimestamp(found.begun_s, UTC))
    now_s, is_stamping = clock.paced_s(), authority.is_set(settings.BEFFROI)
    term_is_over = found.until_s != NO_END and now_s >= found.until_s
    final = retention.TABLE[found.rule].final if found.rule in retention.TABLE else ""
    context: dict[str, Any] = drive.PLACE | {
        "seal": words.shown(found),
        "by": named.get(found.person_id, ""),
        "damaged": texts.get(seals.DAMAGED, b"").decode().splitlines(),
        "may_act": actions.may_act(actor),
        "has_sheet": drive_seal_sheet.may_be_made() and (ended is not None or check is not None),
        "waits": waiting is not None and waiting.person_id != seal_checks.NOBODY,
        "is_held_up": waiting is not None and _is_held_up(actor),
        "is_stamping": is_stamping,
        "is_unstamped": is_stamping and overview.is_late(found.stamp, found.told_s, now_s=clock.epoch_s()),
        "alarm": alarm,
        "settled_at": clock.moment(alarm.settled_s) if alarm else None,
        "settled_by": named.get(alarm.settled_by, "") if alarm else "",
        "read_percent": _percent(waiting.done_bytes if waiting else 0, found.size_bytes),
        "term_is_over": term_is_over,
        "may_lift": term_is_over and not found.rule,
        "may_eliminate": term_is_over and final in ("destroy", "select") and not asked and ended is None,
        "is_granted": ended is None and actions.is_under_way(approval),
        "commune": communes.called_then(owner, datetime.fromtimestamp(ended.at_s, UTC)) if ended else now,
        "organisation": words.called(now),
        "producer": {"name": then["name"], "called": words.called(then)} if then != now else None,
        "seda": words.agency("own", now) | words.agency("producer", then),
        "seda_schemes": words.SCHEMES,
        "seda_versions": [(one, one) for one in transfer.VERSIONS],
        "rule_is_kept": final == "keep",
    }
    if found.state == "sealed":
        with suppress(manifest.Malformed):  # a damaged one: the report says so
            statement = manifest.read_statement(texts.get(manifest.STATEMENT, b""))
            context |= {"root": statement.root, "position": statement.subject.audit_position}
    if check is not None:
        context["check"] = _check(check, named)
    if asked and approval is not None:
        context["asked"] = _asked(actor, approval, named)
    if ended is not None:
        context["record"] = _record(ended, texts[manifest.FILES], named)
    return context


def _check(check: Check, named: Mapping[str, str]) -> dict[str, Any]:
    report = unpacked(check.report)
    return {
        "at": clock.moment(check.done_s),
        "by": named.get(check.person_id, ""),
        "was_due": check.person_id == seal_checks.NOBODY,
        "intact": report.intact,
        "sentences": words.sentences(report),
        "rows": words.differences(report)[:LINES_SHOWN],
        "more": max(0, len(report.absent) + len(report.changed) + len(report.added) - LINES_SHOWN),
    }


def _asked(actor: Actor, approval: Approval, named: Mapping[str, str]) -> dict[str, Any]:
    visa = actions.visa_of(approval)
    return {
        **visa,
        "by": named.get(approval.requested_by, ""),
        "on": date.fromisoformat(visa["visa_on"]),
        "at": approval.requested_at,
        "may_grant": actions.may_grant(actor, approval),
        "may_refuse": actor.role in actions.ANSWERS,
    }


def _record(ended: Elimination, files: bytes, named: Mapping[str, str]) -> dict[str, Any]:
    return {
        "visa": ended.visa,
        "on": date.fromisoformat(ended.visa_on),
        "visa_by": ended.visa_by,
        "asked_by": named.get(ended.asked_by, ""),
        "granted_by": named.get(ended.granted_by, ""),
        "at": clock.moment(ended.at_s),
        "lines": [line.path for line in manifest.read_files(files)],
    }


def _is_held_up(actor: Actor) -> bool:
    """Verifications wait for a setting of the Département."""
    known = overview.read(settings.BEFFROI).get(actor.collectivite_id or "")
    return known is not None and known.held_up > 0


def _term(request: HttpRequest, newest: date) -> tuple[str, int | None]:
    """(rule, end): what the rule proposes, or a later day. Errors: Invalid, TermTooShort."""
    rule, text = request.POST.get("rule", ""), request.POST.get("until", "").strip()
    if rule and rule not in retention.TABLE:
        raise Invalid("rule")
    if request.POST.get("no_end"):
        return rule, None
    least = actions.proposed(rule, newest) if rule else None
    if rule and least is None:
        return rule, None
    if not text:
        if least is None:
            raise Invalid("until")
        return rule, least
    chosen = _day_s(text)
    if least is not None and chosen < least:
        raise Invalid("least")
    return rule, chosen


def _wrong(error: BeffroiError) -> str:
    if isinstance(error, Invalid) and error.code == "input.invalid":
        return _(
            "Choisissez une règle, ou une date de fin après aujourd’hui, ou « sans fin ». Une date ne peut pas être "
            "avant celle que propose la règle."
        )
    return words.refusal(error)


def _end_of(code: str, newest: date) -> datetime | None:
    return clock.moment(actions.proposed(code, newest) or 0)


def _day_s(text: str) -> int:
    """Midnight, UTC, at the beginning of a day. Errors: Invalid."""
    return int(datetime.combine(_date(text), time(), UTC).timestamp())


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise Invalid("date") from None
    if not 1900 < found.year < 2500:
        raise Invalid("date")
    return found


def _percent(done: int, total: int) -> int:
    return min(100, done * 100 // total) if total else 0
