"""Template tags: icons and the roof-tile band as inline SVG, moments and sizes in words."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from string import digits
from urllib.parse import urlsplit

from django import template
from django.forms import BoundField
from django.template import defaultfilters
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from beffroi.portal import dates, explaining, marked, tags, words

register = template.Library()
register.filter("marked", marked.written)
register.filter("de", words.de)
register.filter("de_fr", words.de_fr)
register.filter("moment", words.when)
register.filter("listed", words.listed)
register.filter("exact", words.exact)
register.filter("since", words.since)
register.filter("octets", words.size)
register.filter("milliseconds", words.milliseconds)
register.filter("file_title", words.file_title)
register.filter("update_trouble", words.update_trouble)
register.filter("rule_word", words.rule)
register.filter("short", words.shorten)
_ICONS = Path(__file__).parent.parent / "icons"
_CONTROL = re.compile(r"(<(?:input|textarea|select)\b)(.*)", re.DOTALL)


@cache
def _drawing(name: str) -> str:
    """What stands inside the svg element of a lucide icon (ISC, icons/LICENSE)."""
    text = (_ICONS / f"{name}.svg").read_text("utf-8")
    return " ".join(text[text.index("stroke-linejoin") :].partition(">")[2].rpartition("</svg>")[0].split())


@register.filter(name="date", expects_localtime=True)
def date(value: datetime | str | None, form: str | None = None) -> str:
    """In the place of Django's."""
    return dates.written(str(defaultfilters.date(value, form)))


@register.simple_tag(takes_context=True)
def given_up(context: template.RequestContext) -> str:
    """Where who does not confirm goes: the page that they were on, which a browser still names after it was led away,
    and which the field "from" keeps after a wrong word or another way to confirm; "Mon accès" where it is none of ours,
    or this one."""
    request = context["request"]
    came_from = request.POST.get("from") or request.GET.get("from") or request.headers.get("Referer", "")
    try:
        path = urlsplit(came_from)._replace(scheme="", netloc="", fragment="").geturl()
    except ValueError:  # "http://[" is no address
        path = ""
    # Of a page that is not there, the path may begin as the address of another site does: //other.example/
    is_ours = all(url_has_allowed_host_and_scheme(one, {request.get_host()}) for one in (came_from, path))
    return path if is_ours and not path.startswith(reverse("account_reauthenticate")) else reverse("access")


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    """A decorative icon: the word beside it carries the meaning."""
    style = "icon icon-l" if size == "l" else "icon"
    return mark_safe(  # noqa: S308 - our own files
        f'<svg class="{style}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
        f'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">{_drawing(name)}</svg>'
    )


@register.simple_block_tag
def back(content: SafeString, view: str, *arguments: object) -> SafeString:
    """The way to the page above this one, at its head."""
    way = '<p><a class="back" href="{}">{}{}</a></p>'
    return format_html(way, reverse(view, args=arguments), icon("arrow-left"), content)


@register.simple_block_tag
def notice(
    content: SafeString,
    tone: str,
    drawing: str,
    *,
    role: str = "",
    focus: bool = False,
    outcome: bool = False,
) -> SafeString:
    """Several paragraphs that are to be noticed. ``tone``: "good", "warn", "bad", or "" for what is only said;
    ``role``: "alert" or "status" where it is read aloud by itself; ``focus``: the page begins at it;
    ``outcome``: so it does where it answers what was done."""
    style = f"say {tone}".strip()
    told = format_html(' role="{}"', role) if role else ""
    begins = mark_safe(' tabindex="-1" data-focus') if focus else ""
    begins = mark_safe(' tabindex="-1" data-outcome') if outcome else begins
    box = '<div class="{}"{}{}>{}<div>{}</div></div>'
    return format_html(box, style, told, begins, icon(drawing), content)


@register.simple_block_tag
def say(content: SafeString, tone: str, drawing: str, *, role: str = "", focus: bool = False) -> SafeString:
    """A notice of one paragraph."""
    return notice(format_html("<p>{}</p>", content), tone, drawing, role=role, focus=focus)


@register.simple_block_tag
def nothing(content: SafeString, drawing: str) -> SafeString:
    """What stands where a list has no entry yet."""
    return format_html('<p class="empty">{}<span>{}</span></p>', icon(drawing), content)


@register.simple_block_tag
def fact(content: SafeString, label: str, style: str = "") -> SafeString:
    """One of several things that are told of something, in its list (dl). ``style``: the classes of what is told."""
    styled = format_html(' class="{}"', style) if style else ""
    return format_html("<div><dt>{}</dt><dd{}>{}</dd></div>", label, styled, content)


@register.simple_tag
def columns(caption: str, *titles: str) -> SafeString:
    """The head of a table: what it tells, which a screen reader says first, and the title of each column; "r" before
    one whose numbers stand at the right."""
    style = mark_safe(' class="r"')
    cells = [(style if before == "r" else "", one) for before, one in pairwise(("", *titles)) if one != "r"]
    head = '<caption class="sr">{}</caption><thead><tr>{}</tr></thead>'
    return format_html(head, caption, format_html_join("", '<th scope="col"{}>{}</th>', cells))


@register.simple_tag
def tiles() -> SafeString:
    """The glazed tiles of Burgundian roofs."""
    colours = ("#c98a1b", "#33465c", "#a8402a", "#2f6f4f")
    lozenges = "".join(
        f'<path d="M{x} 5 {x + 10} 0 {x + 20} 5 {x + 10} 10z" fill="{fill}"/>'
        for x, fill in zip(range(0, 80, 20), colours, strict=True)
    )
    return mark_safe(  # noqa: S308 - constants
        '<svg class="tiles" aria-hidden="true" focusable="false" height="10"><defs><pattern id="tuiles" width="80" '
        f'height="10" patternUnits="userSpaceOnUse"><rect width="80" height="10" fill="#1d2733"/>{lozenges}</pattern>'
        '</defs><rect width="100%" height="10" fill="url(#tuiles)"/></svg>'
    )


@register.filter
def exact_s(value: datetime) -> str:
    return words.exact(value, to_the_second=True)


@register.filter
def dialled(value: str) -> str:
    """What a telephone dials of a written number."""
    return "".join(sign for sign in value if sign in "+*#" or sign in digits)


@register.filter
def kind_word(value: str) -> str:
    return str(words.KINDS.get(value, value))


@register.filter
def spared_word(value: str) -> str:
    return str(explaining.SPARED.get(value, value))


@register.filter
def role_word(value: str) -> str:
    return {
        "agent": _("Agent"),
        "elu": _("Élu"),
        "referent": _("Référent"),
        "dpo": _("Délégué à la protection des données"),
    }.get(value, value)


@register.filter
def among(value: int, found: Container[int]) -> bool:
    return value in found


@register.inclusion_tag("portal/parts/state.html")
def state(name: str) -> dict[str, str]:
    return tags.tag(words.STATES, name)


@register.inclusion_tag("portal/parts/state.html")
def tag(shown: dict[str, str]) -> dict[str, str]:
    """``shown``: of ``tags.tag``."""
    return shown


@register.inclusion_tag("portal/parts/field.html")
def field(bound: BoundField, hint: str = "", style: str = "", label: str = "") -> dict[str, object]:
    """One labelled input with its hint and its error. The label says what goes in; a placeholder would vanish."""
    bound.label = label or bound.label
    bound.field.widget.attrs.pop("placeholder", None)
    return {"field": bound, "hint": hint, "style": style}


@register.simple_block_tag
def control(
    content: SafeString,
    name: str,
    label: str,
    *,
    hint: str = "",
    error: str = "",
    failed: str | None = None,
    role: str = "",
    focus: bool = False,
) -> SafeString:
    """One labelled field of a form that no ``Form`` makes. ``content``: its input, textarea or select without id and
    name; these, and which hint and fault describe it, are written here. ``error``, ``role``: see ``fault``; with
    ``failed``, it is about the field of that name alone. ``focus``: the page begins at it where something is wrong."""
    error = error if failed in (None, name) else ""
    ((kind, rest),) = _CONTROL.findall(content)
    own_id = f"id_{name}"
    told = " ".join(f"{own_id}_{part}" for part, said in (("hint", hint), ("error", error)) if said)
    wrong = ' aria-invalid="true"' + (" data-focus" if focus else "") if error else ""
    return format_html(
        '<div class="field"><label for="{}">{}</label>{}{} id="{}" name="{}"{}{}{}{}</div>',
        own_id,
        label,
        format_html('<p class="hint" id="{}_hint">{}</p>', own_id, hint) if hint else "",
        mark_safe(kind),  # noqa: S308 - of a template, escaped there
        own_id,
        name,
        format_html(' aria-describedby="{}"', told) if told else "",
        mark_safe(wrong),  # noqa: S308 - constants
        mark_safe(rest),  # noqa: S308 - as ``kind``
        fault(error, f"{own_id}_error", role),
    )


@register.simple_tag
def fault(said: str, element_id: str, role: str = "") -> str:
    """What is wrong with a field, below it, which names it by ``aria-describedby``; nothing where nothing is wrong.
    ``role``: "alert" where it is read aloud by itself."""
    told = format_html(' role="{}"', role) if role else ""
    return format_html('<p class="error" id="{}"{}>{}</p>', element_id, told, said) if said else ""


@register.filter
def code_of(errors: Mapping[str, str], word: str) -> str:
    """What is wrong with the code, below the form that was sent: a page has several, each with its own ``word``."""
    return errors.get("code", "") if errors.get("word") == word else ""


@register.filter
def grouped(value: str) -> str:
    """A fingerprint or secret in groups of four, so that it can be read aloud."""
    bare = re.sub(r"[\s:]", "", value)
    return " ".join(bare[i : i + 4] for i in range(0, len(bare), 4))
