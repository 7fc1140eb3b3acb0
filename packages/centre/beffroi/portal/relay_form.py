"""The forms of the relay for copiers: the Département's settings, and what a référent asks for.

Input:   hostile: what a person typed. Each line is checked, so that the error names it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from beffroi_protocol.relaying import MAX_DEVICES, MAX_RECIPIENTS, Device, Relay
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.boxes.asking import MAX_TEXT_CHARS
from beffroi.boxes.relay_requests import MAX_HOUR, MAX_RECIPIENTS_CHARS
from beffroi.lib.config import Config
from beffroi.portal.policies import MEGABYTE

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)
_RECIPIENT = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{0,64}@[a-z0-9-]+(\.[a-z0-9-]+)+", re.ASCII)
_LINES = {"rows": 4, "spellcheck": "false", "autocapitalize": "none"}


def megabytes(relay: Relay) -> int:
    """The largest mail that it takes, as the field shows it."""
    return round(relay.size_bytes / MEGABYTE)


class RelayForm(forms.Form):
    """``relay(config, before)`` after ``is_valid``; None when it is off."""

    on = forms.BooleanField(label=gettext_lazy("Les appareils ci-dessous peuvent envoyer"), required=False)
    sender = forms.ChoiceField(label=gettext_lazy("Boîte de service au nom de laquelle tout part"))
    devices = forms.CharField(
        label=gettext_lazy("Appareils admis"), required=False, max_length=8000, widget=forms.Textarea(_LINES)
    )
    recipients = forms.CharField(
        label=gettext_lazy("Destinataires admis"),
        required=False,
        max_length=MAX_RECIPIENTS_CHARS,
        widget=forms.Textarea(_LINES),
    )
    hour = forms.IntegerField(
        label=gettext_lazy("Envois par heure, au plus"), min_value=1, max_value=MAX_HOUR
    )
    size = forms.IntegerField(
        label=gettext_lazy("Taille d’un envoi, au plus (Mo)"), min_value=2, max_value=52
    )
    reason = forms.CharField(label=gettext_lazy("Pourquoi ?"), max_length=200)

    def __init__(self, *args: Any, senders: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["sender"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(one, one) for one in senders]
        field.required = "on" in self.data

    @staticmethod
    def initial_of(relay: Relay | None, own: Sequence[str]) -> dict[str, Any]:
        """``own``: the commune's domains, as recipients."""
        if relay is None:
            return {"recipients": "\n".join(own), "hour": 60, "size": 20}
        return {
            "on": True,
            "sender": relay.sender,
            "devices": "\n".join(f"{one.at} {one.label}" for one in relay.devices),
            "recipients": "\n".join(relay.recipients),
            "hour": relay.hour,
            "size": megabytes(relay),
        }

    def relay(self, config: Config, before: Relay | None) -> Relay | None:
        typed = self.cleaned_data
        if not typed["on"]:
            return None
        return Relay(
            typed["sender"],
            config.mail_name,
            typed["devices"],
            typed["recipients"],
            hour=typed["hour"],
            size_bytes=(
                before.size_bytes
                if before is not None and typed["size"] == megabytes(before)
                else typed["size"] * MEGABYTE
            ),
            port=config.submission_port,
        )

    def clean_devices(self) -> tuple[Device, ...]:
        found = [_device(line) for line in _lines(self.cleaned_data["devices"])]
        if len(found) > MAX_DEVICES:
            raise ValidationError(_("%(most)s appareils au plus.") % {"most": MAX_DEVICES})
        for name in ("at", "label"):
            if len({getattr(one, name) for one in found}) < len(found):
                raise ValidationError(_("Deux appareils ont la même adresse ou le même nom."))
        return tuple(found)

    def clean_recipients(self) -> tuple[str, ...]:
        return _recipients(self.cleaned_data["recipients"])

    def clean(self) -> dict[str, Any]:
        typed = self.cleaned_data
        if typed.get("on"):
            if typed.get("devices") == ():
                self.add_error("devices", _("Écrivez au moins un appareil."))
            if typed.get("recipients") == ():
                self.add_error("recipients", _("Écrivez au moins un domaine ou une adresse."))
        return typed


class RelayRequestForm(forms.Form):
    """What a référent asks for; ``cleaned_data["recipients"]``: none for the commune's own domains."""

    sender = forms.ChoiceField(label=gettext_lazy("Boîte de service au nom de laquelle tout part"))
    purpose = forms.CharField(
        label=gettext_lazy("Quels appareils, et pour envoyer quoi ?"),
        max_length=MAX_TEXT_CHARS,
        widget=forms.Textarea({"rows": 3}),
    )
    hour = forms.IntegerField(
        label=gettext_lazy("Envois par heure, à peu près"), min_value=1, max_value=MAX_HOUR
    )
    to = forms.ChoiceField(
        label=gettext_lazy("À qui écrivent-ils ?"),
        widget=forms.RadioSelect,
        choices=(
            ("inside", gettext_lazy("À l’intérieur seulement : les adresses de la collectivité")),
            ("list", gettext_lazy("Aussi à d’autres, écrits ci-dessous")),
        ),
    )
    recipients = forms.CharField(
        label=gettext_lazy("Destinataires"),
        required=False,
        max_length=MAX_RECIPIENTS_CHARS,
        widget=forms.Textarea(_LINES),
    )

    def __init__(self, *args: Any, senders: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["sender"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(one, one) for one in senders]

    @staticmethod
    def initial_of(relay: Relay | None, own: Sequence[str]) -> dict[str, Any]:
        """What is in force; else what most ask for. ``own``: the commune's domains, as recipients."""
        if relay is None:
            return {"hour": 60, "to": "inside"}
        inside = set(relay.recipients) <= set(own)
        listed = "" if inside else "\n".join(relay.recipients)
        to = "inside" if inside else "list"
        return {"sender": relay.sender, "hour": relay.hour, "to": to, "recipients": listed}

    def clean(self) -> dict[str, Any]:
        typed = self.cleaned_data
        if typed.get("to") == "inside":
            typed["recipients"] = ()
        elif "recipients" in typed:
            try:
                typed["recipients"] = _recipients(typed["recipients"])
            except ValidationError as error:
                self.add_error("recipients", error)
            else:
                if not typed["recipients"]:
                    self.add_error("recipients", _("Écrivez au moins un domaine ou une adresse."))
        return typed


def _recipients(text: str) -> tuple[str, ...]:
    found = [_recipient(line) for line in _lines(text.replace(",", "\n"))]
    if len(found) > MAX_RECIPIENTS:
        raise ValidationError(_("%(most)s lignes au plus.") % {"most": MAX_RECIPIENTS})
    return tuple(dict.fromkeys(found))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _device(line: str) -> Device:
    """``192.168.1.50 Copieur du secrétariat``; also a MAC address, with colons or hyphens."""
    where, _space, label = line.partition(" ")
    place, label = where.lower().replace("-", ":"), " ".join(label.split())
    if not _MAC.fullmatch(place):
        try:
            place = str(ipaddress.IPv4Address(where))
        except ValueError:
            place = ""
    if not place or not label or len(label) > 60 or not label.isprintable():
        raise ValidationError(
            _("« %(line)s » : écrivez l’adresse (192.168.1.50 ou 00:1b:a9:12:34:56), puis le nom.")
            % {"line": line[:80]}
        )
    return Device(place, label)


def _recipient(text: str) -> str:
    local, _at, domain = text.rpartition("@")
    found = f"{local}@{domain.lower()}"
    if "@" not in text or not _RECIPIENT.fullmatch(found) or len(found) > 254:
        raise ValidationError(
            _("« %(text)s » : écrivez @domaine ou une adresse entière.") % {"text": text[:80]}
        )
    return found
