"""Tags for incidents: how grave, and where it stands."""

from __future__ import annotations

from django import template

from beffroi.portal import incident_words as words
from beffroi.portal import tags

register = template.Library()


@register.inclusion_tag("portal/parts/state.html")
def severity(name: str) -> dict[str, str]:
    return tags.tag(words.SEVERITIES, name)


@register.inclusion_tag("portal/parts/state.html")
def incident_state(name: str) -> dict[str, str]:
    return tags.tag(words.STATES, name)


@register.filter
def door_word(name: str) -> str:
    return words.door(name)
