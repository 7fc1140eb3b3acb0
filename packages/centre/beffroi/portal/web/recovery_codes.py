"""The person's recovery codes on a page that prints well: django-allauth's view with whose they are, and since when."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import ViewRecoveryCodesView
from django.http import HttpRequest, HttpResponse

from beffroi.core.identity.actor import Actor
from beffroi.portal.pages import for_agents, frame


class _View(ViewRecoveryCodesView):  # type: ignore[misc] # allauth is untyped
    def get_context_data(self, **given: Any) -> dict[str, Any]:
        actor: Actor = self.request.actor
        made = Authenticator.objects.filter(user_id=actor.id, type=Authenticator.Type.RECOVERY_CODES)
        return {
            **super().get_context_data(**given),
            **frame(self.request, actor),
            "place": "access",
            "made_at": made.values_list("created_at", flat=True).first(),
        }


_view = _View.as_view()


@for_agents
def view(request: HttpRequest, actor: Actor) -> HttpResponse:
    response: HttpResponse = _view(request)
    return response
