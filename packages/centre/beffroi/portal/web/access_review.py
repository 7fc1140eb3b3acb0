"""The yearly review of accesses: everybody with what they can open, and "all of this is right".

Access: the référent of the collectivité of the session; for everybody else there is no such page.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity import actions as identity
from beffroi.core.identity import reviews
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, NotFound
from beffroi.mail.people import queries
from beffroi.portal.pages import for_agents, page, sought
from beffroi.portal.persons import MAX_SOUGHT_CHARS, listed


@require_http_methods(["GET", "POST"])
@for_agents
def review(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Read; POST ``read`` (of the list that was shown) confirms. Errors: NotFound."""
    if not queries.may_manage(actor):
        raise NotFound("page")
    own = communes.access_collectivite(actor, actor.collectivite_id or "")
    reads: dict[str, list[str]] = {}
    for mailbox in queries.shared_of(actor, own.id):
        for person in mailbox.members:
            reads.setdefault(person.pk, []).append(mailbox.title)
    if request.method == "POST":
        shown = request.POST.get("read", "")
        try:
            reviews.confirm(actor=actor, collectivite_id=own.id, opened=reads, read=shown)
        except Conflict:
            messages.warning(request, _("La liste a changé depuis que vous l’avez ouverte : relisez-la."))
            return HttpResponseRedirect(reverse("access_review"))
        messages.success(request, _("Les accès sont confirmés. La prochaine relecture est dans un an."))
        return HttpResponseRedirect(reverse("persons"))
    read = reviews.accesses(actor, own.id)
    rows = [
        {
            "access": one,
            "person": one.colleague.person,
            "mailboxes": reads.get(one.colleague.person.pk, []),
            "may_end": identity.may_end(actor, one.colleague.memberships),
        }
        for one in read
    ]
    context = listed(rows, sought(request, MAX_SOUGHT_CHARS)) | {
        "place": "persons",
        "read": reviews.digest(read, reads),
        "last": own.accesses_reviewed_at,
        "due": reviews.due_at(own),
        "me": actor.id,
    }
    return page(request, "portal/access_review.html", context)


def told(actor: Actor) -> list[dict[str, str]]:
    """For the home of a référent, once a year is over."""
    if not queries.may_manage(actor):
        return []
    if not reviews.is_due(communes.access_collectivite(actor, actor.collectivite_id or "")):
        return []
    return [
        {
            "title": _("Relisez qui a accès"),
            "why": _("Une fois par an : qui travaille ici, avec quel rôle et quels appareils."),
            "url": "access_review",
            "button": _("Relire"),
        }
    ]
