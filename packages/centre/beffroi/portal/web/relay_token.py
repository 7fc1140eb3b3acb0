"""``POST /v1/mail-token``: a box asks for a minute's right to send as the mailbox of its relay.

Process: web, behind the front door's listener for boîtiers; elsewhere the address does not exist.
Input:   hostile strangers: body at most 16 KiB. The box's signature says who asks; its row, the policy in force and the
         commune's mailboxes say what it gets, anew each time: who was revoked sends no more when the last token ends.
Source:  beffroi_protocol.mail_token; docs/decisions/0045-relay-on-the-boitier.md.
"""

from __future__ import annotations

from beffroi_protocol.errors import MessageMalformed, ProtocolError
from beffroi_protocol.mail_token import MailToken
from beffroi_protocol.messages import encode
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from beffroi.boxes import api, relay
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import BeffroiError
from beffroi.mail import projections, tokens
from beffroi.mail import queries as mail


@csrf_exempt  # no cookie and no browser: the signature is the credential
def mail_token(request: HttpRequest) -> HttpResponse:
    try:
        return api.answer(encode(_token(api.body_of_box(request))), 200)
    except (BeffroiError, ProtocolError) as error:
        return api.refusal(error)


def _token(body: bytes) -> MailToken:
    """Errors: as ``relay.asked``; RelayOff also where the commune has no such functional mailbox any more;
    RelayNotReady until the mail door enforces this policy."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        raise MessageMalformed("not a request") from None
    box, version, wanted = relay.asked(text)
    mailboxes = mail.functional_mailboxes(Actor.system("boxes"), box.collectivite_id)
    if not mailboxes.filter(address=wanted.sender.lower()).exists():
        raise relay.RelayOff
    login, token = tokens.sending_token(settings.BEFFROI, wanted.sender.lower())
    # What a policy has just allowed would else be refused for good, while the worker is late.
    if projections.relay_version(settings.BEFFROI, login=login) < version:
        raise relay.RelayNotReady(f"policy {version}")
    return MailToken(1, wanted.sender, login, token, tokens.LIFE_S)
