"""Plain words for the Coffre: why something was not done and what to do next, and what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from beffroi.lib.errors import BeffroiError
from beffroi.portal.counts import Count
from beffroi.portal.words import NBSP, shorten, since, size
from beffroi.previews import wire

MAX_IMAGE_BYTES = 30_000_000
MOST_NAMED = 3
_HELD = gettext_lazy(
    "Un fichier reconnu comme dangereux est retenu : la liste le marque, sa page dit pourquoi. On peut le déplacer ou "
    "le supprimer, mais ni le copier ni le partager."
)
REFUSALS = {
    "drive.device_stopped": gettext_lazy(
        "Arrêté : des fichiers ont été modifiés avec votre compte, sur ce portail, comme le fait un rançongiciel. "
        "Prévenez la personne référente."
    ),
    "drive.name_taken": gettext_lazy(
        "Ce nom est déjà pris dans ce dossier, peut-être avec d’autres majuscules : choisissez-en un autre."
    ),
    "drive.name_refused": gettext_lazy(
        "Ce nom ne convient pas : il est vide, trop long (255 lettres au plus, une lettre accentuée compte double), "
        "ou contient une barre « / » ou « \\ », ou un signe invisible comme une tabulation."
    ),
    "drive.too_deep": gettext_lazy(
        "Les dossiers ne peuvent pas s’emboîter plus profondément : rangez-le plus haut."
    ),
    "drive.into_itself": gettext_lazy(
        "Un dossier ne peut pas aller dans lui-même : choisissez un autre dossier d’arrivée."
    ),
    "drive.other_collectivite": gettext_lazy(
        "Vous travaillez maintenant pour une autre collectivité : cette page est restée à celle d’avant. Rechargez-la."
    ),
    "drive.root_fixed": gettext_lazy("Ce dossier fait partie du Coffre : il reste où il est."),
    "drive.changed": gettext_lazy(
        "Quelqu’un l’a modifié, déplacé ou supprimé entre-temps. Rien n’a changé : regardez la liste, à jour, puis "
        "recommencez."
    ),
    "drive.absent": gettext_lazy(
        "Il n’est plus là : quelqu’un l’a déplacé ou supprimé. Regardez dans la corbeille."
    ),
    "drive.version_absent": gettext_lazy(
        "Cette version n’existe plus : quelqu’un l’a supprimée, ou elle était trop ancienne."
    ),
    "drive.not_yours_to_delete": gettext_lazy(
        "Seul le propriétaire d’un fichier en supprime une version ; dans le dossier de la commune, c’est la personne "
        "référente : demandez-le-lui."
    ),
    "drive.alarm_waits": gettext_lazy(
        "Une alerte du Coffre attend une réponse : jusque-là, aucune version ne se supprime, car elle peut servir à "
        "tout remettre comme avant. Répondez d’abord à l’alerte."
    ),
    "drive.parent_absent": gettext_lazy("Le dossier d’arrivée n’existe plus : choisissez-en un autre."),
    "drive.locked": gettext_lazy(
        "Quelqu’un l’a ouvert pour le modifier. Rien n’a changé : réessayez quand il l’aura fermé."
    ),
    "drive.quota_full": gettext_lazy(
        "Il n’y a plus assez de place. Rien n’a changé : supprimez ce qui ne sert plus, videz la corbeille, ou "
        "demandez de la place à la personne référente."
    ),
    "drive.too_many_entries": gettext_lazy(
        "La collectivité a autant de fichiers, de dossiers et de versions qu’elle peut en avoir. Rien n’a changé : "
        "videz la corbeille, ou parlez-en au Département."
    ),
    "drive.store_full": gettext_lazy(
        "Le disque du Département est plein. Rien n’a changé : prévenez le Département, puis réessayez."
    ),
    "drive.sealed": gettext_lazy("C’est scellé : on peut le lire et le copier, rien n’y change."),
    "drive.read_only": gettext_lazy(
        "Vous pouvez le lire, pas le modifier ni le partager : demandez-le à qui le partage avec vous, ou à la "
        "personne référente."
    ),
    "drive.kind_differs": gettext_lazy(
        "Un fichier et un dossier auraient le même nom : renommez l’un des deux, puis recommencez."
    ),
    "drive.nothing_ticked": gettext_lazy("Cochez d’abord un ou plusieurs fichiers."),
    "drive.too_many": gettext_lazy(
        "C’est trop à la fois : 5 000 éléments au plus. Cochez-en moins, ou prenez le dossier qui les contient."
    ),
    "drive.copy_too_large": gettext_lazy("C’est trop à la fois : faites-le en plusieurs fois."),
    "drive.too_many_uploads": gettext_lazy("C’est trop à la fois : faites-le en plusieurs fois."),
    "drive.too_many_at_once": gettext_lazy("C’est trop à la fois : faites-le en plusieurs fois."),
    "drive.frozen": _HELD,
    "drive.found": _HELD,
}

_AWAY = gettext_lazy("Le Coffre ne répond pas : réessayez dans une minute.")
_LOST = gettext_lazy("Ce fichier ne peut pas être lu pour le moment : prévenez le Département.")
SENDING = {
    "drive.upload_absent": gettext_lazy("Cet envoi est terminé ou trop ancien : recommencez-le."),
    "drive.form_broken": gettext_lazy("Aucun fichier n’est arrivé : choisissez-en un, puis envoyez-le."),
    "drive.too_many_files": gettext_lazy(
        "C’est trop de fichiers pour une archive : prenez moins de dossiers."
    ),
    "drive.chunk_vanished": gettext_lazy("Ce fichier n’est pas arrivé en entier : envoyez-le de nouveau."),
    "drive.client_gone": gettext_lazy("L’envoi a été interrompu. Rien n’a changé : recommencez."),
    "drive.foreign_origin": gettext_lazy(
        "Cet envoi ne vient pas de cette page : rechargez-la, puis recommencez."
    ),
    "drive.frozen": gettext_lazy("Ce fichier a été reconnu comme dangereux : il n’est pas pris."),
    "drive.found": gettext_lazy("Ce fichier a été reconnu comme dangereux : il n’est pas pris."),
    "drive.not_scanned": gettext_lazy(
        "Ce fichier vient d’un lien de dépôt. Il s’ouvrira dès qu’il aura été analysé."
    ),
    "live.grant_refused": gettext_lazy(
        "Cette page est ouverte depuis longtemps : rechargez-la, puis recommencez."
    ),
    "input.too_large": gettext_lazy("Ce fichier est trop grand pour le Coffre."),
    "input.invalid": gettext_lazy("Ce fichier a changé pendant l’envoi : choisissez-le de nouveau."),
    "service.unavailable": _AWAY,
    "drive.store_unavailable": _AWAY,
    "drive.object_missing": _LOST,
    "drive.object_damaged": _LOST,
}
"""What the drive says of a file that was sent or fetched, beside the refusals above."""

_UNREADABLE = gettext_lazy(
    "Ce fichier ne peut pas être lu pour le moment. Prévenez la personne qui vous a donné le lien."
)
LINK_REFUSALS = {
    "drive.frozen": gettext_lazy(
        "Un fichier a été reconnu comme dangereux : le Département le retient, pour vous protéger. Prévenez la "
        "personne qui vous a donné le lien."
    ),
    "drive.found": gettext_lazy(
        "Un fichier a été reconnu comme dangereux : il est retenu, pour vous protéger. Prévenez la personne qui vous a "
        "donné le lien."
    ),
    "drive.not_scanned": gettext_lazy(
        "Ce fichier n’est pas encore analysé : réessayez dans quelques minutes."
    ),
    "drive.too_many_files": gettext_lazy(
        "C’est trop de fichiers pour une archive : ouvrez le dossier et prenez-les un par un."
    ),
    "live.grant_refused": gettext_lazy(
        "Cette page est ouverte depuis longtemps : ouvrez de nouveau le lien, puis recommencez."
    ),
    "drive.store_unavailable": gettext_lazy(
        "Le service ne répond pas pour le moment : réessayez dans quelques minutes."
    ),
    "drive.object_missing": _UNREADABLE,
    "drive.object_damaged": _UNREADABLE,
    "service.unavailable": gettext_lazy("Trop de monde à la fois : réessayez dans quelques minutes."),
}
"""Why somebody who holds a link got no file; for all else the link is not open."""


PREVIEWS = {
    "slow": gettext_lazy(
        "Ce document est trop lourd pour être montré ici : téléchargez-le pour l’ouvrir sur votre ordinateur."
    ),
    "unreadable": gettext_lazy(
        "Ce document ne peut pas être montré ici : il est abîmé, vide, ou fermé par un mot de passe. Téléchargez-le "
        "pour l’ouvrir sur votre ordinateur."
    ),
    "input.too_large": gettext_lazy(
        "Ce document est trop grand, il n’est pas montré ici : téléchargez-le pour l’ouvrir sur votre ordinateur."
    ),
    "previews.too_many_wait": gettext_lazy(
        "Beaucoup d’aperçus sont demandés en ce moment : rechargez la page dans une minute."
    ),
    "drive.frozen": gettext_lazy("Ce fichier a été reconnu comme dangereux : le Département le retient."),
    "drive.link_closed": gettext_lazy(
        "Ce lien n’est plus ouvert : demandez-en un autre à la personne qui vous l’a donné."
    ),
    "live.grant_refused": gettext_lazy("Cette page est ouverte depuis longtemps : rechargez-la."),
    "otherwise": gettext_lazy(
        "L’aperçu ne peut pas être fait pour le moment : rechargez la page dans quelques minutes, ou téléchargez le "
        "fichier."
    ),
}
"""Why the page of a document shows no preview."""


def link_ends() -> list[tuple[str, str]]:
    """(days, words): how long a link may stay open."""
    return [("7", _("7 jours")), ("30", _("30 jours")), ("90", _("90 jours")), ("365", _("Un an"))]


def link_over(why: str, since: str, *, is_drop: bool) -> str:
    """How a link ended and since when. ``why``: stopped, expired, used, gone; ``since``: a day and hour."""
    words = {"at": since}
    if why == "gone":
        return _("Ce qu’il ouvrait a été supprimé pour de bon %(at)s") % words
    if why == "used":
        return _("Tous les téléchargements sont pris : fermé %(at)s") % words
    if is_drop:
        return (
            _("Lien de dépôt arrêté %(at)s") if why == "stopped" else _("Lien de dépôt fini %(at)s")
        ) % words
    return (_("Arrêté %(at)s") if why == "stopped" else _("Arrivé à son terme %(at)s")) % words


def link_address(collectivite_id: str, token: str) -> str:
    return settings.BEFFROI.portal_origin + reverse("drive_link", args=[collectivite_id, token])


_SIGNS = {
    "lost": gettext_lazy("fichiers devenus illisibles"),
    "replaced": gettext_lazy("fichiers remplacés par une copie illisible"),
    "replaced_sealed": gettext_lazy("fichiers remplacés par une archive avec un mot de passe"),
    "packed": gettext_lazy("dossiers remplacés par une archive avec un mot de passe"),
    "container": gettext_lazy("documents remplacés par une archive chiffrée"),
    "kind": gettext_lazy("fichiers d’un autre genre sous le même nom"),
    "noise": gettext_lazy("contenus brouillés"),
    "holes": gettext_lazy("films, images ou archives réécrits par endroits"),
    "torn": gettext_lazy("fichiers coupés ou vidés"),
    "sealed": gettext_lazy("documents fermés par un mot de passe"),
    "known": gettext_lazy("noms que laissent des rançongiciels"),
    "suffix": gettext_lazy("noms avec une fin inconnue"),
    "note": gettext_lazy("demandes de rançon déposées"),
}


def signs(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """What was seen, in words, and how often; in the order of weight."""
    return [(str(words), counts[code]) for code, words in _SIGNS.items() if counts.get(code)]


def missed(count: int) -> str:
    """What was not put back after an alarm; "" for nothing."""
    if not count:
        return ""
    return ngettext(
        "%(n)s élément n’a pas pu l’être : quelqu’un l’a changé ou rangé ailleurs, son dossier est scellé, "
        "ou sa version d’avant a été supprimée. Regardez dans ses versions et dans la corbeille.",
        "%(n)s éléments n’ont pas pu l’être : quelqu’un les a changés ou rangés ailleurs, leur dossier est scellé, "
        "ou leur version d’avant a été supprimée. Regardez dans leurs versions et dans la corbeille.",
        count,
    ) % {"n": Count(count)}


def refusal(error: BeffroiError) -> str:
    """Why it was not done and what to do next. Errors: ``error`` itself, where it is none of the drive's refusals."""
    if error.code not in REFUSALS:
        raise error
    return str(REFUSALS[error.code])


def sealed(names: Sequence[str]) -> str:
    """Which of several are sealed, the first ones by name; "" for none."""
    if not names:
        return ""
    said = ", ".join(f"«{NBSP}{one}{NBSP}»" for one in map(shorten, names[:MOST_NAMED]))
    more = len(names) - MOST_NAMED
    if more > 0:
        said = ngettext("%(names)s et %(n)s autre", "%(names)s et %(n)s autres", more) % {
            "names": said,
            "n": Count(more),
        }
    sentence = ngettext(
        "C’est scellé, en tout ou en partie : %(names)s. On peut le lire et le copier, rien n’y change. Recommencez "
        "sans lui.",
        "C’est scellé, en tout ou en partie : %(names)s. On peut les lire et les copier, rien n’y change. Recommencez "
        "sans eux.",
        len(names),
    )
    return sentence % {"names": said}


def held() -> str:
    """Of a file that a decision holds."""
    return _("Ce fichier a été reconnu comme dangereux : le Département le retient, pour vous protéger.")


def done(what: str, count: int) -> str:
    """What the page says after a change. ``what``: moved, copied, renamed, deleted, returned."""
    words = {"n": Count(count)}
    if what == "moved":
        return ngettext("%(n)s élément déplacé.", "%(n)s éléments déplacés.", count) % words
    if what == "copied":
        return ngettext("%(n)s élément copié.", "%(n)s éléments copiés.", count) % words
    if what == "renamed":
        return _("C’est renommé.")
    if what == "returned":
        return (
            ngettext("%(n)s élément rendu à sa place.", "%(n)s éléments rendus à leur place.", count) % words
        )
    return ngettext("%(n)s élément mis à la corbeille.", "%(n)s éléments mis à la corbeille.", count) % words


def done_there(what: str) -> str:
    """As ``done``, in what another collectivité shares. ``what``: renamed, deleted."""
    if what == "renamed":
        return _("C’est renommé, chez la commune qui partage.")
    return _(
        "C’est dans la corbeille de la commune qui partage : dans dix minutes, elle seule pourra le rendre."
    )


def carried(what: str, count: int) -> str:
    """What waits to be put into another folder. ``what``: move, copy."""
    words = {"n": Count(count)}
    if what == "move":
        return ngettext("%(n)s élément à déplacer.", "%(n)s éléments à déplacer.", count) % words
    return ngettext("%(n)s élément à copier.", "%(n)s éléments à copier.", count) % words


def written(moments: Sequence[datetime]) -> list[str]:
    """When each version of a file was written, in words that no other one has: to the second where several are of one
    minute, and with a number where several are of one second (the oldest has 1). ``moments``: the newest first."""
    minutes = [since(one) for one in moments]
    in_minute = Counter(minutes)
    said = [
        since(one, to_the_second=True) if in_minute[minute] > 1 else minute
        for one, minute in zip(moments, minutes, strict=True)
    ]
    every, left, out = Counter(said), Counter(said), []
    for one in said:
        out.append(f"{one}{NBSP}({left[one]})" if every[one] > 1 else one)
        left[one] -= 1
    return out


def compares(name: str) -> str:
    """How two versions of a file of this name are compared: text, document (by its text), or "" (not at all)."""
    ending = wire.suffix_of(name)
    if ending in ("odt", "docx", "ods", "xlsx", "odp", "pptx", "pdf"):
        return "document"
    return "text" if preview(name, 0) == "text" else ""


def preview(name: str, size_bytes: int) -> str:
    """How the page shows a file of this name: image, photo (a smaller picture of it, for no browser shows itself), pdf,
    text, or "" (not at all). What it is decides the drive."""
    ending = wire.suffix_of(name)
    if ending == "pdf":
        return "pdf"
    if ending in wire.IMAGES and size_bytes <= MAX_IMAGE_BYTES:
        return "image"
    if ending not in wire.IMAGES and has_thumbnail(name, size_bytes):
        return "photo"
    return "text" if ending in ("txt", "md", "csv", "log", "json", "xml", "ini", "yaml", "yml") else ""


def has_thumbnail(name: str, size_bytes: int) -> bool:
    return bool(settings.BEFFROI.previews) and wire.has_thumbnail(name, size_bytes)


def too_large(name: str, size_bytes: int, *, documents: bool) -> str:
    """Why a file of a kind that is shown is not, for its length, and what to do; "" for all others. ``documents``:
    whether those of an office are shown."""
    ending = wire.suffix_of(name)
    if ending in wire.IMAGES:
        most_bytes = MAX_IMAGE_BYTES
    elif documents and ending in (wire.SUFFIXES | wire.PHOTOS) - {"pdf"}:
        most_bytes = wire.MAX_DOCUMENT_BYTES
    else:
        return ""
    if size_bytes <= most_bytes:
        return ""
    return _(
        "Ce fichier fait %(size)s : au-delà de %(most)s, il n’est pas montré ici. Téléchargez-le pour l’ouvrir sur "
        "votre ordinateur."
    ) % {"size": size(size_bytes), "most": size(most_bytes)}
