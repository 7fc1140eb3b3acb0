"""Contacts: one's own address book and the one that all share; a contact is found, added, changed and deleted.

The cards themselves lie with the process ``calendars``, which is asked under a short grant of this person's.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import homes, wire, wire_bringing, wire_contacts
from beffroi.drive.store.model import QuotaFull, StoreFull
from beffroi.lib.errors import Conflict, NotFound, TooLarge
from beffroi.mail.compose import DraftInvalid, parse_addresses
from beffroi.portal import address_words
from beffroi.portal.calendars import CALENDARS, WORDS, asking, require_change, require_new
from beffroi.portal.pages import for_agents, page, sought, typed
from beffroi.portal.web import invitations, put_back

MAX_SOUGHT_CHARS = 100
_SEPARATED = re.compile(r"[,;\r\n]+")


@dataclass
class Form:
    """What somebody typed, and what is wrong with it, by field."""

    given: str = ""
    family: str = ""
    organisation: str = ""
    emails: str = ""
    phones: str = ""
    note: str = ""
    calendar: str = "commun"
    etag: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    known_emails: list[str] = field(default_factory=list)
    known_phones: list[str] = field(default_factory=list)
    """What the contact has, as programs wrote it."""


@require_GET
@for_agents
def contacts(request: HttpRequest, actor: Actor) -> HttpResponse:
    q = sought(request, MAX_SOUGHT_CHARS)
    found = asking(actor).contacts(wire_contacts.Sought(q))
    groups = wire_contacts.Groups([], more=False) if q else asking(actor).groups()
    box = next(iter(invitations.own_boxes(actor)), None)
    return page(
        request,
        "portal/contacts.html",
        {
            "place": "contacts",
            "q": q,
            "most_chars": MAX_SOUGHT_CHARS,
            "lines": [(one, WORDS[one.calendar]) for one in found.contacts],
            "more": found.more,
            "groups": [(one, WORDS[one.calendar]) for one in groups.groups],
            "more_groups": groups.more,
            "deleted": put_back.last(request, actor, "contacts"),
            "handed": asking(actor).handed(wire_bringing.Handing("contacts")),
            "writing": reverse("mail_write", args=[box.id]) if box else "",
            "reads": actor.role in homes.READERS,
            "writes": actor.role in homes.WRITERS,
        },
    )


@require_http_methods(["GET", "POST"])
@for_agents
def new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Empty, or with an address and a name that a mail's page knows (``a``, ``nom``)."""
    writes = actor.role in homes.WRITERS
    if request.method == "GET":
        given, _space, family = (
            request.GET.get("nom", "")[: wire_contacts.MAX_NAME_CHARS].strip().partition(" ")
        )
        form = Form(given=given if family else "", family=family or given)
        form.emails = request.GET.get("a", "")[: wire_contacts.MAX_TEXT_CHARS]
        form.calendar = "commun" if writes else "prive"
        return _form_page(request, form, writes=writes)
    form = _typed(request)
    form.calendar = request.POST.get("calendar", "prive")
    require_new(actor, form.calendar)
    return _save(request, actor, form, name="", writes=writes)


@require_http_methods(["GET", "POST"])
@for_agents
def change(request: HttpRequest, actor: Actor, calendar: str, name: str) -> HttpResponse:
    """Errors: NotFound, NotAllowed."""
    require_change(actor, calendar)
    if request.method == "GET":
        return _form_page(request, _form_of(_get(actor, calendar, name)), name=name)
    form = _typed(request)
    form.calendar, form.etag = calendar, request.POST.get("etag", "")
    with suppress(NotFound):  # deleted meanwhile: saving says so, with what was typed
        known = _get(actor, calendar, name)
        form.known_emails, form.known_phones = known.emails, known.phones
    return _save(request, actor, form, name=name)


@require_http_methods(["GET", "POST"])
@for_agents
def delete(request: HttpRequest, actor: Actor, calendar: str, name: str) -> HttpResponse:
    """Errors: NotFound, NotAllowed, Conflict."""
    require_change(actor, calendar)
    if request.method == "GET":
        found = _get(actor, calendar, name)
        context = {"place": "contacts", "one": found, "word": WORDS[found.calendar]}
        return page(request, "portal/contact_delete.html", context)
    asked = wire.Named(CALENDARS[calendar], name, request.POST.get("etag", ""))
    done = asking(actor).delete_contact(asked)
    said = _("Le contact est supprimé, aussi sur les appareils branchés.")
    put_back.note(request, actor, "contacts", asked, done, said=said, address=reverse("contacts"))
    return HttpResponseRedirect(reverse("contacts"))


def _get(actor: Actor, calendar: str, name: str) -> wire_contacts.Contact:
    """Errors: NotFound."""
    return asking(actor).contact(wire.Named(CALENDARS[calendar], name))


def _typed(request: HttpRequest) -> Form:
    names = ("given", "family", "organisation", "emails", "phones")
    given, family, organisation, emails, phones = (request.POST.get(one, "").strip() for one in names)
    return Form(given, family, organisation, emails, phones, typed(request, "note").strip())


def _form_of(found: wire_contacts.Contact) -> Form:
    return Form(
        given=found.given,
        family=found.family,
        organisation=found.organisation,
        emails=", ".join(found.emails),
        phones=", ".join(found.phones),
        note=found.note,
        calendar=WORDS[found.calendar],
        etag=found.etag,
    )


def _draft(form: Form, name: str) -> wire_contacts.ContactDraft | None:
    """None where something is wrong; ``form.errors`` says what."""
    if not (form.given or form.family or form.organisation):
        form.errors["family"] = _("Donnez un nom, un prénom ou un organisme.")
    for word, text, most in (
        ("given", form.given, wire_contacts.MAX_NAME_CHARS),
        ("family", form.family, wire_contacts.MAX_NAME_CHARS),
        ("organisation", form.organisation, wire_contacts.MAX_TEXT_CHARS),
        ("note", form.note, wire_contacts.MAX_NOTE_CHARS),
    ):
        if len(text) > most:
            form.errors[word] = _("C’est trop long : %(most)s signes au plus.") % {"most": most}
    emails, phones = _read_emails(form), _read_phones(form)
    if form.errors:
        return None
    return wire_contacts.ContactDraft(
        CALENDARS[form.calendar],
        name,
        form.etag,
        form.given,
        form.family,
        form.organisation,
        emails,
        phones,
        form.note,
    )


def _read_emails(form: Form) -> list[str]:
    if form.emails == ", ".join(form.known_emails):  # also what is no address of mail, as of Exchange
        return form.known_emails
    try:
        found = [one.addr_spec for one in parse_addresses(form.emails, "emails")]
    except DraftInvalid as error:
        form.errors["emails"] = address_words.wrong(error) or _too_many()
        return []
    if len(found) > wire_contacts.MAX_EACH:
        form.errors["emails"] = _too_many()
    return found


def _read_phones(form: Form) -> list[str]:
    """A pause of a telephone (``03 80 22 22 22,,12``) or an extension of vCard 4 (``;ext=12``) divides no number that
    is there already."""
    parted = sorted(filter(_SEPARATED.search, form.known_phones), key=len, reverse=True)
    whole = "".join(f"{re.escape(one)}(?=\\s*(?:[,;\r\n]|$))|" for one in parted)
    pieces = re.findall(rf"\s*({whole}[^,;\r\n]+)", form.phones)
    found = [one for piece in pieces if (one := piece.strip())]
    typed = (one for one in found if one not in form.known_phones)
    wrong = next(
        (one for one in typed if not any(map(str.isdigit, one)) or len(one) > wire_contacts.MAX_TEXT_CHARS),
        "",
    )
    if wrong:
        form.errors["phones"] = _("%(value)s n’est pas un numéro, par exemple 03 80 22 22 22.") % {
            "value": wrong[:40]
        }
    elif len(found) > wire_contacts.MAX_EACH:
        form.errors["phones"] = _too_many()
    return found


def _too_many() -> str:
    return _("Dix au plus, séparés par des virgules.")


def _save(request: HttpRequest, actor: Actor, form: Form, *, name: str, writes: bool = False) -> HttpResponse:
    draft = _draft(form, name)
    if draft is None:
        return _form_page(request, form, name=name, writes=writes)
    try:
        asking(actor).save_contact(draft)
    except Conflict:
        form.errors["form"] = _(
            "Ce contact vient de changer. Revenez aux contacts pour voir ce qu’il est devenu."
        )
    except NotFound:
        if not name:
            raise
        form.errors["form"] = _(
            "Ce contact n’est plus là, quelqu’un l’a supprimé. Pour le garder, ajoutez-le de nouveau."
        )
        return _form_page(request, form, name=name, status=404)
    except (QuotaFull, TooLarge):
        form.errors["form"] = _(
            "Il n’y a plus de place pour ce contact : les contacts et les fichiers du Coffre se partagent la même. "
            "Rien n’a changé. Supprimez ce qui ne sert plus, ou demandez de la place à la personne référente."
        )
    except StoreFull:
        form.errors["form"] = _(
            "Le disque du Département est plein. Rien n’a changé : prévenez le Département."
        )
    if "form" in form.errors:
        return _form_page(request, form, name=name, writes=writes)
    messages.success(request, _("Le contact est enregistré."))
    shown = form.family or form.given or form.organisation
    return HttpResponseRedirect(f"{reverse('contacts')}?{urlencode({'q': shown[:MAX_SOUGHT_CHARS]})}")


def _form_page(
    request: HttpRequest, form: Form, *, name: str = "", writes: bool = False, status: int = 0
) -> HttpResponse:
    context: dict[str, Any] = {
        "place": "contacts",
        "form": form,
        "name": name,
        "writes": writes,
        "most_name_chars": wire_contacts.MAX_NAME_CHARS,
        "most_text_chars": wire_contacts.MAX_TEXT_CHARS,
        "most_note_chars": wire_contacts.MAX_NOTE_CHARS,
    }
    status = status or (409 if "form" in form.errors else 400 if form.errors else 200)
    return page(request, "portal/contact_entry.html", context, status=status)
