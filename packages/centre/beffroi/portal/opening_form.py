"""The forms of openings from the internet: what a référent asks for, and until when the Département opens.

Input:   hostile: what a person typed. Each source is checked, so that the error names it.
"""

from __future__ import annotations

import ipaddress
from datetime import date, datetime, time, timedelta
from typing import Any

from beffroi_protocol.openings import PROTOCOLS, machine
from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.boxes.asking import MAX_TEXT_CHARS
from beffroi.boxes.openings import MAX_DAYS, MAX_SOURCES, WIDEST
from beffroi.portal.policies import Lines, network


class UntilForm(forms.Form):
    """``cleaned_data["until"]``: the end of that day, here."""

    until = forms.DateField(
        label=gettext_lazy("Dernier jour"), widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )

    def clean_until(self) -> datetime:
        day: date = self.cleaned_data["until"]
        today = timezone.localdate()
        if not today <= day < today + timedelta(days=MAX_DAYS):
            raise ValidationError(_("Un jour à partir d’aujourd’hui, dans un an au plus."))
        return datetime.combine(day, time(23, 59), timezone.get_current_timezone())


class OpeningForm(UntilForm):
    """What a référent asks for."""

    machine = forms.CharField(label=gettext_lazy("Adresse de l’appareil dans la mairie"), max_length=64)
    protocol = forms.ChoiceField(
        label=gettext_lazy("Protocole"), choices=[(name, name.upper()) for name in PROTOCOLS]
    )
    port = forms.IntegerField(label=gettext_lazy("Port"), min_value=1, max_value=65535)
    sources = Lines(gettext_lazy("Adresses d’où l’on entre"), network)
    purpose = forms.CharField(
        label=gettext_lazy("Pour qui, et pour quoi faire ?"),
        max_length=MAX_TEXT_CHARS,
        widget=forms.Textarea({"rows": 3}),
    )
    field_order = ("machine", "protocol", "port", "sources", "purpose", "until")

    def clean_machine(self) -> str:
        if not (found := machine(self.cleaned_data["machine"].strip())):
            raise ValidationError(_("Écrivez son adresse, comme 192.168.1.50."))
        return found

    def clean(self) -> dict[str, Any]:
        typed = self.cleaned_data
        if (
            "sources" in typed
            and "machine" in typed
            and (wrong := _wrong(typed["sources"], typed["machine"]))
        ):
            self.add_error("sources", wrong)
        return typed


def _wrong(sources: tuple[str, ...], at: str) -> str:
    """What to say of the first source that cannot be; "" when all can."""
    version = ipaddress.ip_address(at).version
    if not sources:
        return _("Écrivez au moins une adresse : le prestataire la connaît.")
    if len(sources) > MAX_SOURCES:
        return _("%(most)s adresses au plus.") % {"most": MAX_SOURCES}
    for text in sources:
        found = ipaddress.ip_network(text)
        if found.version != version:
            return _("« %(text)s » et l’appareil doivent être tous deux en IPv4, ou tous deux en IPv6.") % {
                "text": text
            }
        if found.prefixlen < WIDEST[version]:
            return _("« %(text)s » est trop large : /%(least)s au plus.") % {
                "text": text,
                "least": WIDEST[version],
            }
    return ""
