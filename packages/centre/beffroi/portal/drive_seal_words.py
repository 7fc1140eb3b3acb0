"""Plain words for sealed folders: what a seal is, what a verification found, why something is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from beffroi.core.identity.actor import Actor
from beffroi.drive.archives import retention
from beffroi.drive.archives.report import Report
from beffroi.drive.seals import actions
from beffroi.drive.store import look, schema, seals
from beffroi.drive.store.seals import NO_END, Seal
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError
from beffroi.portal import words
from beffroi.portal.counts import Count
from beffroi.portal.dates import date_format

FAULTS = {
    "empty": gettext_lazy("Il manque : écrivez ce que les Archives ont donné."),
    "siren": gettext_lazy("Un SIREN a 9 chiffres, et ceux-ci n’en sont pas un : vérifiez-les."),
    "insee": gettext_lazy("Le code INSEE d’une commune a 5 caractères, par exemple 21054."),
    "unknown": gettext_lazy("Choisissez dans la liste."),
}
"""Of fields of a SEDA transfer (``transfer.wrong``)."""
SCHEMES = (
    ("SIREN", gettext_lazy("un SIREN")),
    ("INSEE", gettext_lazy("un code INSEE")),
    ("agreed", gettext_lazy("convenu avec les Archives")),
)
REFUSALS = {
    "drive.sealed": gettext_lazy("C’est scellé : on peut le lire, le copier et l’exporter, rien n’y change."),
    "drive.seal_refused": gettext_lazy(
        "Ce dossier ne peut pas être scellé : il doit être dans le dossier de la commune, et rien de ce qu’il contient "
        "n’est déjà scellé."
    ),
    "drive.locked": gettext_lazy(
        "Quelqu’un a ouvert un fichier de ce dossier pour le modifier : réessayez quand il l’aura fermé."
    ),
    "drive.term_too_short": gettext_lazy(
        "Le terme doit être après aujourd’hui : écrivez une date à venir dans « Jusqu’au »."
    ),
    "drive.term_not_forward": gettext_lazy(
        "Un sceau se prolonge, il ne se raccourcit pas : choisissez plus tard."
    ),
    "drive.term_running": gettext_lazy("Le terme du sceau n’est pas passé."),
    "drive.kept_for_ever": gettext_lazy("Ce dossier se conserve sans fin : il n’est ni libéré ni éliminé."),
    "drive.rule_binds": gettext_lazy(
        "Une règle du tableau de conservation couvre ce dossier : il s’élimine avec le visa des Archives, il ne se "
        "libère pas."
    ),
    "drive.no_retention_rule": gettext_lazy(
        "Ce sceau ne cite aucune règle du tableau de conservation : le dossier se libère, il ne s’élimine pas d’ici."
    ),
    "drive.visa_missing": gettext_lazy(
        "Il manque le visa : sa référence (200 lettres au plus), sa date, qui ne peut pas être à venir, et qui l’a "
        "donné."
    ),
    "approval.same_person": gettext_lazy("Une autre personne que celle qui a demandé doit répondre."),
    "state.conflict": gettext_lazy("Quelqu’un a agi entre-temps : voici où en est le sceau."),
    "drive.transfer_invalid": gettext_lazy(
        "L’export SEDA ne part pas : vérifiez l’identifiant de la commune (SIREN ou code INSEE) et celui du service "
        "d’archives."
    ),
    "drive.content_changed": gettext_lazy(
        "Un fichier n’est plus ce qui a été scellé : lancez une vérification."
    ),
    "drive.frozen": gettext_lazy(
        "Un fichier a été reconnu comme dangereux : le Département le retient. L’export ne part pas."
    ),
    "input.invalid": gettext_lazy("Il manque quelque chose, ou une date ne peut pas être lue : recommencez."),
    "drive.seal_not_printed": gettext_lazy(
        "Le PDF ne peut pas être fait pour l’instant. Réessayez dans une minute, ou imprimez cette page."
    ),
    "drive.foreign_origin": gettext_lazy("Cette demande ne vient pas de cette page : recommencez."),
    "live.grant_refused": gettext_lazy("Cette page est ouverte depuis longtemps : recommencez."),
    "service.unavailable": gettext_lazy("Trop d’exports à la fois : réessayez dans quelques minutes."),
    "drive.absent": gettext_lazy("Ce n’est plus là, ou cela ne vous est pas destiné."),
}
STATES = {
    "sealing": gettext_lazy("Scellement en cours"),
    "sealed": gettext_lazy("Scellé"),
    "failed": gettext_lazy("Pas scellé : des fichiers sont abîmés"),
    "lifted": gettext_lazy("Sceau levé"),
    "destroyed": gettext_lazy("Éliminé"),
}
FINALS = {
    "keep": gettext_lazy("conservation définitive"),
    "destroy": gettext_lazy("élimination avec le visa des Archives"),
    "select": gettext_lazy("tri par les Archives, puis élimination avec leur visa"),
}
RULES = {
    "deliberations": gettext_lazy("Délibérations"),
    "deliberation-annexes": gettext_lazy("Pièces annexes aux délibérations"),
    "minutes": gettext_lazy("Procès-verbaux des séances"),
    "orders": gettext_lazy("Arrêtés"),
    "temporary-orders": gettext_lazy("Arrêtés temporaires de voirie"),
    "ledgers": gettext_lazy("Grand livre et enregistrement annuel des dépenses et des recettes"),
    "invoices": gettext_lazy("Factures"),
    "receipts": gettext_lazy("Titres de recettes et bordereaux-journaux des titres"),
    "mandates": gettext_lazy("Bordereaux-journaux des mandats"),
}
_DIFFERENCES = {
    "content": gettext_lazy("contenu"),
    "size": gettext_lazy("taille"),
    "date": gettext_lazy("date"),
}


def refusal(error: BeffroiError) -> str:
    """Why it was not done. Errors: ``error`` itself, where it has no words here."""
    if error.code not in REFUSALS:
        raise error
    return str(REFUSALS[error.code])


def rule(code: str) -> dict[str, Any]:
    """Of the retention table: words, its source, its term; {} for none."""
    found = retention.TABLE.get(code)
    if found is None:
        return {}
    years = ngettext("%(n)s an", "%(n)s ans", found.years) % {"n": Count(found.years)} if found.years else ""
    return {
        "code": code,
        "title": str(RULES[code]),
        "years": years,
        "final": str(FINALS[found.final]),
        "source": found.source,
    }


def shown(one: Seal) -> dict[str, Any]:
    """What pages show of a seal."""
    return {
        "id": one.id,
        "node": one.node,
        "name": one.name,
        "state": one.state,
        "words": str(STATES[one.state]),
        "begun": clock.moment(one.begun_s),
        "until": clock.moment(one.until_s) if one.until_s != NO_END else None,
        "ended": clock.moment(one.ended_s),
        "rule": rule(one.rule),
        "files": one.files,
        "size": words.size(one.size_bytes),
        "done": one.done_files,
        "percent": one.done_files * 100 // one.files if one.files else 0,
        "stamp": one.stamp,
        "stands": one.stands,
    }


def of_place(reading: Reading, actor: Actor, place: Place) -> dict[str, Any]:
    """For the page of a folder or file: its seal, whether it may be sealed, and that nothing may be written there."""
    found = seals.covering(reading, place.node.id)
    if found is not None:
        return {"seal": shown(found), "may_write": False}
    may_seal = (
        actions.may_act(actor)
        and bool(place.node.is_folder and place.node.parent)
        and look.above(reading, place.node.id)[-1].name == schema.COMMON
    )
    return {"may_seal": may_seal}


def sentences(report: Report) -> list[str]:
    """The verdict first, then why."""
    if not report.whole or report.statement is None:
        return [_("Le sceau de ce dossier ne peut pas être lu. Rien ne peut être affirmé de son contenu.")]
    said = [
        _("Le dossier est intact : rien n’y manque, rien n’a été modifié ni ajouté.")
        if report.intact
        else _("Le dossier n’est plus tel qu’il a été scellé, ou son sceau ne peut pas être cru."),
        _("La signature du sceau est valable.")
        if report.signed
        else _("La signature du sceau n’est pas valable, ou n’est pas celle de cette collectivité."),
    ]
    if not report.listed:
        said.append(_("La liste des fichiers n’est plus celle qui a été scellée."))
    subject = report.statement.subject
    said.append(_("Dossier scellé le %(day)s.") % {"day": _day(subject.sealed_at_s)})
    if subject.until_s is None:
        said.append(_("Le sceau n’a pas de fin."))
    else:
        said.append(
            _("Le sceau va jusqu’au %(day)s.")
            % {"day": date_format(datetime.fromtimestamp(subject.until_s, UTC), "j F Y")}
        )
    said += [
        _("Le contenu de chaque fichier a été relu."),
        _("Fichiers intacts : %(count)s.") % {"count": Count(report.present)},
        _("Fichiers absents : %(count)s.") % {"count": Count(len(report.absent))},
        _("Fichiers modifiés : %(count)s.") % {"count": Count(len(report.changed))},
        _("Fichiers ajoutés depuis : %(count)s.") % {"count": Count(len(report.added))},
        _time(report, subject.audit_position),
    ]
    return said


def _time(report: Report, audit_position: int) -> str:
    if report.stamp == "valid":
        words: Mapping[str, str] = {"day": _day(report.stamped_at_s), "authority": report.stamped_by}
        return _("Date prouvée par l’horodatage de %(authority)s : le %(day)s.") % words
    if report.stamp == "invalid":
        return _("L’horodatage joint n’est pas valable.")
    if report.stamp == "unchecked":
        return _("Un horodatage est joint, mais aucune autorité n’est reconnue ici pour le contrôler.")
    return _(
        "Sans horodatage extérieur : la date est celle du centre, signée par lui. Le sceau cite l’entrée %(position)d "
        "du journal d’audit : il a été posé après elle."
    ) % {"position": audit_position}


def differences(report: Report) -> list[tuple[str, str]]:
    """(path, what became of it)."""
    rows = [(path, _("absent")) for path in report.absent]
    rows += [
        (path, _("modifié : %(what)s") % {"what": ", ".join(str(_DIFFERENCES[one]) for one in what)})
        for path, what in report.changed
    ]
    rows += [(path, _("ajouté depuis")) for path in report.added]
    return rows


def _day(epoch_s: int) -> str:
    return f"{words.exact(datetime.fromtimestamp(epoch_s, UTC))} {_('(heure de Paris)')}"


def called(commune: Mapping[str, str]) -> str:
    """A collectivité (``communes.called_then``) as a package names it."""
    return f"{commune['name']}, SIREN {commune['siren']}" if commune["siren"] else commune["name"]


def agency(field: str, commune: Mapping[str, str]) -> dict[str, str]:
    """What a form of a transfer proposes as its identifier."""
    siren, insee = commune["siren"], commune["insee"]
    return {field: siren or insee, f"{field}_scheme": "SIREN" if siren or not insee else "INSEE"}
