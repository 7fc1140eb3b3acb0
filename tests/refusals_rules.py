"""What an address of the portal or the console demands of whoever asks: one rule each, compared with the urlconf."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from beffroi.boxes.models import OpeningRequest, RelayRequest
from beffroi.mail.filters.models import Forward
from django.test import Client
from django.urls import reverse

from tests.refusals_world import World

Arguments = Callable[[World], dict[str, Any]]
METHODS = ("get", "post")


@dataclass(frozen=True)
class Rule:
    """``kind``: open (anyone), account (django-allauth's, needs a sign-in), own (a page of whoever is signed in),
    thing (of one owner; ``arguments`` name Beaune's), ours (of all of Beaune), led (by Beaune's référent), box (another
    listener). ``data`` would be a valid form. Whose identifier is looked at after a step-up (stepped), links for
    whoever holds them (linked), and what another process looks up for its owner (asked) have their tests beside:
    test_portal_passkeys, test_portal_phones, test_portal_login_flow, test_portal_agenda, test_portal_contacts,
    test_portal_rooms, test_portal_bringing, test_portal_contact_groups, test_departure_calendars."""

    kind: str
    arguments: Arguments = lambda world: {}
    data: dict[str, str] = field(default_factory=dict)


DOMAIN: Arguments = lambda world: {"domain_id": world.beaune.collectivite.domains.get().id}  # noqa: E731
FORWARD: Arguments = lambda world: {"forward_id": Forward.objects.get().id}  # noqa: E731
INCIDENT: Arguments = lambda world: {"incident_id": world.incident_id}  # noqa: E731
OPENING: Arguments = lambda world: {"request_id": OpeningRequest.objects.get().id}  # noqa: E731
RELAY: Arguments = lambda world: {"request_id": RelayRequest.objects.get().id}  # noqa: E731


def ask(client: Client, method: str, name: str, rules: dict[str, Rule], world: World) -> Any:
    rule = rules[name]
    path = reverse(name, kwargs=rule.arguments(world))
    return client.get(path, rule.data) if method == "get" else client.post(path, rule.data)


def require_rules(urlconf: str, rules: dict[str, Rule]) -> None:
    """``rules`` name every address exactly once, and each identifier in one has an owner."""
    patterns = import_module(f"beffroi.portal.{urlconf}").urlpatterns
    assert sorted(one.name for one in patterns) == sorted(rules)
    for one in patterns:
        named = bool(one.pattern.regex.groupindex)
        assert named == (rules[one.name].kind in ("thing", "ours", "led", "stepped", "linked", "asked")), (
            f"{one.name}: an identifier needs a rule for its owner"
        )
