"""Policies of boîtiers in plain French: labels, what differs between two, and the form that makes a new one.

Input:   hostile: what an administrator typed. Each line is checked here so that the error names it; the service checks
         the whole again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import InboundRule, Policy
from beffroi_protocol.openings import Opening
from beffroi_protocol.relaying import Relay
from django import forms
from django.core.exceptions import ValidationError
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.lib import digits
from beffroi.portal.words import exact, size

LABELS = {
    "enforce": gettext_lazy("Bloquer ce qui est sur les listes"),
    "mode": gettext_lazy("Place dans le réseau"),
    "observe_until": gettext_lazy("Observation jusqu’au"),
    "inbound": gettext_lazy("Ouvertures depuis internet"),
    "openings": gettext_lazy("Ouvertures demandées, jusqu’à leur fin"),
    "inbound_tcp_ports": gettext_lazy("Ports ouverts à tout internet"),
    "allow_addresses": gettext_lazy("Adresses toujours admises"),
    "protected_names": gettext_lazy("Noms jamais bloqués"),
    "protected_networks": gettext_lazy("Réseaux jamais bloqués"),
    "redirect_dns": gettext_lazy("Ramener au boîtier les résolveurs étrangers"),
    "refuse_doh": gettext_lazy("Refuser les résolveurs chiffrés connus (DoH)"),
    "unlock": gettext_lazy("Les agents peuvent débloquer une heure"),
    "relay": gettext_lazy("Relais des copieurs"),
    "inspect": gettext_lazy("Lire le début des connexions (si le moteur est installé)"),
    "honeyports": gettext_lazy("Ports pièges"),
    "canary_names": gettext_lazy("Noms pièges"),
    "leak_bytes_hour": gettext_lazy("Alarme de fuite (octets par heure)"),
    "beacon_from_s": gettext_lazy("Appels réguliers : intervalle le plus court (secondes)"),
    "beacon_beats": gettext_lazy("Appels réguliers : nombre avant l’alarme"),
    "centre_names": gettext_lazy("Noms du centre"),
    "centre_addresses": gettext_lazy("Adresses du centre"),
}
MODES = (("router", gettext_lazy("Routeur")), ("bridge", gettext_lazy("Pont transparent")))
MAX_CHARS = 8000
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Difference:
    """One setting that changes. Of a list only what goes (``before``) and what comes (``after``)."""

    label: str
    before: str
    after: str


def differences(old: Policy, new: Policy) -> list[Difference]:
    """Empty when both say the same."""
    found = []
    for name in Policy.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if isinstance(before, tuple):
            before, after = (
                tuple(one for one in before if one not in after),
                tuple(one for one in after if one not in before),
            )
        found.append(Difference(str(LABELS.get(name, name)), _said(name, before), _said(name, after)))
    return found


def _said(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_item(one) for one in value) or "—"
    if isinstance(value, bool):
        return _("oui") if value else _("non")
    if isinstance(value, Relay):
        return _("%(devices)s, de %(sender)s vers %(recipients)s ; %(hour)s par heure, %(size)s") % {
            "devices": ", ".join(f"{one.label} ({one.at})" for one in value.devices),
            "sender": value.sender,
            "recipients": ", ".join(value.recipients),
            "hour": value.hour,
            "size": size(value.size_bytes),
        }
    if value is None:
        return _("non")
    if name == "mode":
        return str(dict(MODES).get(value, value))
    if name == "observe_until":
        if not value:
            return _("aucune observation")
        return exact(datetime.fromtimestamp(value, UTC))
    return formats.number_format(value) if isinstance(value, int) else str(value)


def _item(one: object) -> str:
    if isinstance(one, Opening):
        return _("%(what)s, depuis %(sources)s, jusqu’à : %(until)s") % {
            "what": f"{one.protocol.upper()} {one.port} → {one.machine}",
            "sources": ", ".join(one.sources),
            "until": exact(datetime.fromtimestamp(one.until, UTC)),
        }
    return rule_text(one) if isinstance(one, InboundRule) else str(one)


def rule_text(rule: InboundRule) -> str:
    """``tcp 443 82.64.10.0/24 # télémaintenance``: as the form reads it."""
    label = f" # {rule.label}" if rule.label else ""
    return f"{rule.protocol} {rule.port} {', '.join(rule.sources) or _('partout')}{label}"


def _rule(line: str) -> InboundRule:
    """``tcp 443 82.64.10.0/24, 192.0.2.7 # label``; ``partout`` or nothing: from anywhere."""
    head, _hash, label = line.partition("#")
    words = head.replace(",", " ").split()
    if len(words) < 2 or words[0].lower() not in ("tcp", "udp"):
        raise ValidationError(
            _("« %(line)s » : écrivez tcp ou udp, le port, puis les adresses.") % {"line": line}
        )
    sources = [word for word in words[2:] if word.lower() not in ("partout", "anywhere")]
    return InboundRule(
        words[0].lower(), _port(words[1]), tuple(network(word) for word in sources), label.strip()[:200]
    )


def _port(text: str) -> int:
    port = digits.number(text) or 0
    if not 0 < port < 65536:
        raise ValidationError(
            _("« %(text)s » n’est pas un port : un nombre de 1 à 65535.") % {"text": text[:40]}
        )
    return port


def network(text: str) -> str:
    """An address or a range as a policy has it. Errors: ValidationError."""
    try:
        found = ipaddress.ip_network(normalise(Kind.CIDR, text).value)
    except ProtocolError:
        said = _("« %(text)s » n’est pas une adresse ni une plage, comme 82.64.10.0/24.") % {
            "text": text[:60]
        }
        raise ValidationError(said) from None
    if found.prefixlen < (8 if found.version == 4 else 16):
        raise ValidationError(_("« %(text)s » est trop large.") % {"text": text[:60]})
    return str(found.network_address) if found.num_addresses == 1 else str(found)


def _name(text: str) -> str:
    try:
        return normalise(Kind.DOMAIN, text).value
    except ProtocolError:
        said = _("« %(text)s » n’est pas un nom de domaine.") % {"text": text[:60]}
        raise ValidationError(said) from None


class Lines(forms.CharField):
    """One thing a line, each once, as ``read`` makes it of its text; commas too where ``commas``."""

    widget = forms.Textarea

    def __init__(
        self, label: Any, read: Callable[[str], object], *, rows: int = 3, commas: bool = True
    ) -> None:
        super().__init__(
            label=label,
            required=False,
            max_length=MAX_CHARS,
            widget=forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "autocapitalize": "none"}),
        )
        self._read, self._commas = read, commas

    def clean(self, value: Any) -> tuple[object, ...]:
        text: str = super().clean(value)
        lines = (text.replace(",", "\n") if self._commas else text).splitlines()
        return tuple(map(self._read, dict.fromkeys(line.strip() for line in lines if line.strip())))


class PolicyForm(forms.Form):
    """``policy(base)`` after ``is_valid``: ``base`` with what was typed."""

    enforce = forms.BooleanField(label=LABELS["enforce"], required=False)
    redirect_dns = forms.BooleanField(label=LABELS["redirect_dns"], required=False)
    refuse_doh = forms.BooleanField(label=LABELS["refuse_doh"], required=False)
    unlock = forms.BooleanField(label=LABELS["unlock"], required=False)
    inspect = forms.BooleanField(label=LABELS["inspect"], required=False)
    mode = forms.ChoiceField(label=LABELS["mode"], choices=MODES)
    observe_until = forms.DateField(
        label=LABELS["observe_until"], required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    inbound = Lines(LABELS["inbound"], _rule, rows=4, commas=False)
    inbound_tcp_ports = Lines(LABELS["inbound_tcp_ports"], _port, rows=1)
    allow_addresses = Lines(LABELS["allow_addresses"], network)
    protected_names = Lines(LABELS["protected_names"], _name)
    protected_networks = Lines(LABELS["protected_networks"], network)
    honeyports = Lines(LABELS["honeyports"], _port, rows=1)
    canary_names = Lines(LABELS["canary_names"], _name)
    leak_megabytes = forms.IntegerField(
        label=gettext_lazy("Alarme de fuite (Mo par heure vers une destination nouvelle)"),
        required=False,
        min_value=0,
        max_value=1_000_000,
    )
    beacon_from_s = forms.IntegerField(
        label=LABELS["beacon_from_s"], required=False, min_value=10, max_value=3600
    )
    beacon_beats = forms.IntegerField(label=LABELS["beacon_beats"], required=False, min_value=8, max_value=64)

    @classmethod
    def initial_of(cls, policy: Policy) -> dict[str, Any]:
        """What the fields show of a policy: a line an entry, whole days, whole megabytes an hour."""
        until = policy.observe_until
        day = timezone.localtime(datetime.fromtimestamp(until, UTC)).date() if until else None
        return {
            **{name: getattr(policy, name) for name in ("enforce", "redirect_dns", "refuse_doh", "unlock")},
            "inspect": policy.inspect,
            "mode": policy.mode,
            "observe_until": day,
            "inbound": "\n".join(map(rule_text, policy.inbound)),
            "inbound_tcp_ports": ", ".join(map(str, policy.inbound_tcp_ports)),
            "honeyports": ", ".join(map(str, policy.honeyports)),
            "beacon_from_s": policy.beacon_from_s,
            "beacon_beats": policy.beacon_beats,
            "leak_megabytes": policy.leak_bytes_hour // MEGABYTE,
            **{
                name: "\n".join(getattr(policy, name))
                for name in ("allow_addresses", "protected_names", "protected_networks", "canary_names")
            },
        }

    def fits(self, base: Policy) -> bool:
        """``is_valid``, and no trap on a port of the relay or of an opening, which this form leaves as they are."""
        traps = set(self.cleaned_data.get("honeyports", ())) if self.is_valid() else set()
        self._refuse_open_traps(traps & _tcp(base.openings))
        both = {25, 587} & traps
        if both and base.relay is not None:
            text = _("Le port %(port)s sert au relais des copieurs : il ne peut pas être un piège.")
            self.add_error("honeyports", text % {"port": min(both)})
        return self.is_valid()

    def policy(self, base: Policy) -> Policy:
        """``base`` with what was typed. A field that shows what ``base`` has keeps it to the second and the byte."""
        typed = self.cleaned_data
        until: date | None = typed["observe_until"]
        unchanged = until is not None and until == self.initial_of(base)["observe_until"]
        end_of_day = datetime.combine(until, time(23, 59), timezone.get_current_timezone()) if until else None
        leak = typed["leak_megabytes"] or 0
        return msgspec.structs.replace(
            base,
            **{
                name: typed[name]
                for name in ("enforce", "redirect_dns", "refuse_doh", "unlock", "inspect", "mode", "inbound",
                             "inbound_tcp_ports", "allow_addresses", "protected_names", "protected_networks",
                             "honeyports", "canary_names")
            },
            beacon_from_s=typed["beacon_from_s"] or base.beacon_from_s,
            beacon_beats=typed["beacon_beats"] or base.beacon_beats,
            observe_until=base.observe_until if unchanged else int(end_of_day.timestamp()) if end_of_day else 0,
            leak_bytes_hour=base.leak_bytes_hour if leak == base.leak_bytes_hour // MEGABYTE else leak * MEGABYTE,
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        typed = self.cleaned_data
        opened = {*typed.get("inbound_tcp_ports", ()), *_tcp(typed.get("inbound", ()))}
        self._refuse_open_traps(opened & set(typed.get("honeyports", ())))
        return typed

    def _refuse_open_traps(self, both: set[int]) -> None:
        if both:
            text = _("Le port %(port)s ne peut pas être ouvert et servir de piège.") % {"port": min(both)}
            self.add_error("honeyports", text)


def _tcp(rules: Iterable[InboundRule | Opening]) -> set[int]:
    return {rule.port for rule in rules if rule.protocol == "tcp"}
