"""The only writes to boîtiers. Each: one transaction of change, audit entry and event.

Input:   ``enrol`` is called by strangers: it tells an unknown, used and expired code alike.
Fails:   closed; a box sees nothing before a person confirmed its fingerprint.
Source:  docs/internals/box.md; docs/security attack 7 and 8.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from datetime import timedelta

import msgspec
from beffroi_protocol.enrolment_code import key_proved, new_code
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import VERSION, EnrolAnswer, EnrolRequest, InboundRule, Policy
from beffroi_protocol.openings import Opening, is_sound
from beffroi_protocol.protected import Floor
from beffroi_protocol.signing import b64, fingerprint, unb64
from django.conf import settings
from django.db import transaction
from django.db.models import Max

from beffroi.boxes.models import Box, BoxPolicy, EnrolmentCode
from beffroi.core.audit import actions as audit
from beffroi.core.communes import queries as communes
from beffroi.core.communes.actions import CollectiviteLeft
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import outbox
from beffroi.core.identity import limits
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Administrator
from beffroi.core.planes.follower import pinned_root
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, NotFound

CODE_LIFE_S = 20 * 60
IDENTITY_RECORDED_S = 3600
OBSERVE_DAYS = 14
REASON_CHARS = 200
HONEYPORTS = (2323, 5555, 6379, 37215)
"""Telnet and Android shells, Redis, a router's hole: what worms try and no town hall's software, printer or
inventory asks for."""
CANARY_NAMES = ("sauvegardes", "mots-de-passe")
"""Names that exist nowhere begin so, and go on as nobody can guess: any page of the web makes browsers ask for a name
that its author knows. Written where an intruder looks (docs/runbooks/box-fleet.md)."""
LEAK_BYTES_HOUR = 2_000_000_000
"""A first backup to a new place is told too, once; a page or a video never is."""
MODES = ("router", "bridge")
MAX_LEAP = 1000
"""So many changes of one policy are lost with a backup, at most."""


class EnrolRefused(BeffroiError):
    """This code is unknown, used or too old: ask the Département for a new one."""

    code = "box.enrol_refused"
    http_status = 403


class SameAdministrator(BeffroiError):
    """Another administrator than the one who issued the code must confirm this box."""

    code = "box.same_administrator"
    http_status = 409


@transaction.atomic
def issue_code(*, actor: Actor, collectivite: Collectivite, replaces: Box | None = None) -> str:
    """Return a code for one box of ``collectivite``; it is shown once.

    ``replaces``: the box whose place the new one takes; it works until the new one is confirmed.
    Errors: NotAllowed, Invalid (the Département has no town hall), Conflict (that box is revoked, or of another
    collectivité).
    """
    actor.require_departement("issue enrolment codes")
    if collectivite.kind == Collectivite.Kind.DEPARTEMENT:
        raise Invalid("collectivité")
    if communes.has_left(collectivite.id):
        raise CollectiviteLeft
    if replaces is not None:
        fits = Box.objects.filter(pk=replaces.pk, collectivite_id=collectivite.id)
        if not fits.exclude(state=Box.State.REVOKED).exists():
            raise Conflict("this box cannot be replaced")
    code = new_code(pinned_root(settings.BEFFROI))
    now = clock.now()
    EnrolmentCode.objects.create(
        locator=code.locator,
        collectivite_id=collectivite.id,
        created_by=actor.id,
        created_at=now,
        expires_at=now + timedelta(seconds=CODE_LIFE_S),
        replaces=replaces.id if replaces is not None else "",
    )
    details = {"replaces": replaces.id} if replaces is not None else None
    audit.record_of(actor, "box:code_issued", collectivite, details)
    return code.text()


@transaction.atomic
def enrol(request: EnrolRequest) -> EnrolAnswer:
    """Answer a box that asks with its code: pending until confirmed, then active.

    The same code and key may ask again at any time; another key with the same code may not. Without a code a confirmed
    box is told who it is, if it proves its key.
    Errors: EnrolRefused, Invalid.
    """
    public_key = _sound_key(request)
    if not request.code:
        return _answer(_known(request, public_key))
    code = EnrolmentCode.objects.select_for_update().filter(locator=request.code).first()
    if code is None:
        raise EnrolRefused
    box = Box.objects.filter(pk=code.box_id).first() if code.used_at else None
    if box is None:
        if code.used_at is not None or code.expires_at <= clock.now():
            raise EnrolRefused
        box = _register(request, code, public_key)
    if box.public_key != request.public_key or box.state == Box.State.REVOKED:
        raise EnrolRefused
    return _answer(box)


def _known(request: EnrolRequest, public_key: bytes) -> Box:
    """A confirmed box that lost its identity file, not its key: nothing new is granted to it. It is what it became
    last: a machine that was moved may still be in service at its former place, too."""
    rows = Box.objects.filter(public_key=request.public_key, state=Box.State.ACTIVE)
    box = rows.order_by("-enrolled_at").first()
    if box is None or not key_proved(public_key, request.proof):
        raise EnrolRefused
    # Whoever heard the proof may send it, too: the box is answered each time, and the audit log not filled.
    if limits.take("box-identity", box.id, limit=1, window_s=IDENTITY_RECORDED_S):
        audit.record_of(Actor("box", box.id, box.collectivite_id), "box:identity_asked", box)
    return box


def _answer(box: Box) -> EnrolAnswer:
    config: Config = settings.BEFFROI
    root = pinned_root(config)
    answer = EnrolAnswer(VERSION, str(box.state), root_public_key=b64(root))
    if box.state != Box.State.ACTIVE:
        return answer
    collectivite = communes.access_collectivite(Actor.system("boxes"), box.collectivite_id)
    return msgspec.structs.replace(
        answer,
        box_id=box.id,
        collectivite_id=box.collectivite_id,
        collectivite_name=collectivite.name,
        delegations=(config.secret("feed-delegation.line").decode(),),
    )


def _register(request: EnrolRequest, code: EnrolmentCode, public_key: bytes) -> Box:
    box = Box.objects.create(
        collectivite_id=code.collectivite_id,
        serial=request.serial,
        public_key=request.public_key,
        fingerprint=fingerprint(public_key),
        agent_version=request.agent_version,
        replaces=code.replaces,
    )
    EnrolmentCode.objects.filter(pk=code.pk).update(used_at=clock.now(), box_id=box.id)
    audit.record_of(Actor("box", box.id, box.collectivite_id), "box:enrolment_asked", box)
    outbox.publish("box:enrolment_asked", {"box_id": box.id}, collectivite_id=box.collectivite_id)
    return box


def confirm(*, actor: Actor, box: Box) -> Box:
    """A person compared the fingerprint with the label.

    Errors: NotAllowed, SameAdministrator, CollectiviteLeft, Conflict, NotFound.

    Where the directory has a second administrator, the one who issued the code may not confirm; a lone
    administrator may, and the audit log says so.
    """
    actor.require_departement("confirm boxes")
    if communes.has_left(box.collectivite_id):  # it asked in the moment of the departure
        raise CollectiviteLeft
    policy = default_policy(settings.BEFFROI, box.collectivite_id)  # asks DNS: before the transaction
    with transaction.atomic():
        code = EnrolmentCode.objects.filter(box_id=box.id).first()
        alone = code is not None and code.created_by == actor.id
        if alone and Administrator.objects.filter(is_active=True).exclude(pk=actor.id).exists():
            raise SameAdministrator
        changed = Box.objects.filter(pk=box.pk, state=Box.State.PENDING).update(
            state=Box.State.ACTIVE, enrolled_at=clock.now(), confirmed_by=actor.id
        )
        box.refresh_from_db()
        if not changed:
            raise Conflict("this box is not waiting for a confirmation")
        audit.record_of(actor, "box:confirmed", box, {"serial": box.serial, "by_issuer": int(alone)})
        outbox.publish("box:confirmed", {"box_id": box.id}, collectivite_id=box.collectivite_id)
        if not BoxPolicy.objects.filter(collectivite_id=box.collectivite_id).exists():
            collectivite = communes.access_collectivite(actor, box.collectivite_id)
            set_policy(actor=actor, collectivite=collectivite, policy=policy)
        old = Box.objects.filter(pk=box.replaces).exclude(state=Box.State.REVOKED).first()
        if old is not None:  # the policy, exceptions and history are the collectivité's: the new box has them
            revoke(actor=actor, box=old)
    return box


@transaction.atomic
def revoke(*, actor: Actor, box: Box) -> Box:
    """End a box's access at once; its stream is closed by the event. Errors: NotAllowed, Conflict."""
    actor.require_departement("revoke boxes")
    changed = (
        Box.objects.filter(pk=box.pk)
        .exclude(state=Box.State.REVOKED)
        .update(state=Box.State.REVOKED, revoked_at=clock.now())
    )
    box.refresh_from_db()
    if not changed:
        raise Conflict("this box is revoked")
    audit.record_of(actor, "box:revoked", box, {"serial": box.serial})
    outbox.publish("box:revoked", {"box_id": box.id}, collectivite_id=box.collectivite_id)
    return box


@transaction.atomic
def set_policy(
    *,
    actor: Actor,
    collectivite: Collectivite,
    policy: Policy,
    reason: str = "",
    restores: int = 0,
    base_version: int | None = None,
    batch: str = "",
) -> int:
    """Give the boxes of ``collectivite`` a new policy; return its version.

    ``base_version``: the version that the change was made from. ``batch``: of a change to many at once.

    Errors: NotAllowed, Invalid, Conflict (another change came in between).
    """
    actor.require_departement("change the policy of boxes")
    reason = " ".join(reason.split())[:REASON_CHARS]
    _check_policy(policy)
    outbox.serialise()
    # The row of the collectivité is the lock: two changes at once get two versions.
    if not Collectivite.objects.select_for_update().filter(pk=collectivite.pk).exists():
        raise NotFound("collectivité")
    rows = BoxPolicy.objects.filter(collectivite_id=collectivite.id)
    last = int(rows.aggregate(last=Max("policy_version"))["last"] or 0)
    if base_version is not None and base_version != last:
        raise Conflict("the policy changed meanwhile")
    version = max(last, _lost_version(collectivite.id, last)) + 1 if last else 1
    BoxPolicy.objects.create(
        collectivite_id=collectivite.id,
        policy_version=version,
        policy=msgspec.to_builtins(policy),
        changed_by=actor.id,
        reason=reason,
        restores=restores,
        batch=batch,
    )
    details: dict[str, str | int] = {"policy_version": version}
    if restores:
        details["restores"] = restores
    why = {"why": reason} if reason else None
    audit.record_of(actor, "box:policy_changed", collectivite, details, personal=why)
    told = {"collectivite_id": collectivite.id, "policy_version": version}
    outbox.publish("box:policy_changed", told, collectivite_id=collectivite.id)
    return version


def _lost_version(collectivite_id: str, last: int) -> int:
    """The highest version that a box in service enforces, 0 for none: above ``last`` where the database was restored
    from a backup. A box takes no number twice, and a hostile one cannot use the numbers up."""
    boxes = Box.objects.filter(collectivite_id=collectivite_id, state=Box.State.ACTIVE)
    sound = boxes.filter(policy_version__lte=last + MAX_LEAP)
    return int(sound.aggregate(most=Max("policy_version"))["most"] or 0)


def default_policy(config: Config, collectivite_id: str) -> Policy:
    """A router that enforces lists at once and default deny after a fortnight of observation; the centre's own names
    and addresses, and the commune's domains, are protected. Traps and the leak watch only tell; DoH passes while it
    observes."""
    names = [
        n for n in (config.box_name, config.portal_name, config.console_name, config.mail_name) if "." in n
    ]
    addresses = [config.listen] if config.listen != "*" else []
    for name in dict.fromkeys(names):
        try:
            addresses += [str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
        except OSError:
            continue
    domains = communes.visible_domains(Actor.system("boxes")).filter(collectivite_id=collectivite_id)
    return Policy(
        centre_names=tuple(dict.fromkeys(names)),
        centre_addresses=tuple(dict.fromkeys(a for a in addresses if _reachable(a))),
        protected_names=tuple(domains.values_list("name", flat=True)),
        portal_url=portal_url(config),
        observe_until=clock.epoch_s() + OBSERVE_DAYS * 86400,
        honeyports=HONEYPORTS,
        # RFC 8375
        canary_names=tuple(f"{one}-{secrets.token_hex(4)}.home.arpa" for one in CANARY_NAMES),
        refuse_doh=True,
        leak_bytes_hour=LEAK_BYTES_HOUR,
    )


def portal_url(config: Config) -> str:
    """Where people of the LAN find the portal; "" while it has no name but this machine's own."""
    return config.portal_origin if "." in config.portal_name else ""


def _reachable(text: str) -> bool:
    """A loopback address is the centre's only for itself."""
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_unspecified or address.is_link_local)


def _check_policy(policy: Policy) -> None:
    if policy.mode not in MODES:
        raise Invalid("mode")
    if not all(0 < port < 65536 for port in policy.inbound_tcp_ports):
        raise Invalid("inbound_tcp_ports")
    rules: tuple[InboundRule | Opening, ...] = (*policy.inbound, *policy.openings)
    open_ports = {*policy.inbound_tcp_ports, *(one.port for one in rules if one.protocol == "tcp")}
    if open_ports & set(policy.honeyports):
        raise Invalid("honeyports")  # whoever uses the service would be taken for an attacker
    relay_ports = {25, 587} if policy.relay is not None else set()
    if relay_ports & set(policy.honeyports):
        raise Invalid("honeyports")
    led = [(one.protocol, one.port) for one in policy.openings]
    # Of two that lead one port to different machines a router could serve one.
    if not all(map(is_sound, policy.openings)) or len(set(led)) < len(led):
        raise Invalid("openings")
    try:
        sources = (text for rule in rules for text in rule.sources)
        for text in (*policy.allow_addresses, *policy.centre_addresses, *sources):
            normalise(Kind.CIDR, text)
        for name in policy.canary_names:
            normalise(Kind.DOMAIN, name)
        Floor((*policy.centre_names, *policy.protected_names), policy.protected_networks)
    except (ValueError, ProtocolError):
        raise Invalid("an address or name of the policy") from None


def _sound_key(request: EnrolRequest) -> bytes:
    try:
        public_key = unb64(request.public_key)
    except ProtocolError:
        raise Invalid("public_key") from None
    if len(public_key) != 32 or b64(public_key) != request.public_key:
        raise Invalid("public_key")
    texts = (request.serial, request.agent_version)
    if not (0 < len(request.serial) <= 64 and len(request.agent_version) <= 40):
        raise Invalid("serial")
    if not all(text.isascii() and (not text or text.isprintable()) for text in texts):
        raise Invalid("serial")
    return public_key
