"""``POST /v1/enrol``: the one endpoint that a box may ask before anybody knows it.

Process: web, behind the front door's listener for boîtiers; elsewhere the address does not exist.
Input:   hostile strangers: body at most 16 KiB, wrong codes limited by network, answers in JSON.
Source:  beffroi_protocol.messages EnrolRequest, EnrolAnswer, Problem.
"""

from __future__ import annotations

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.messages import EnrolAnswer, EnrolRequest, Problem, decode, encode
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from beffroi.boxes import actions
from beffroi.core.identity import limits
from beffroi.core.identity.sign_ins import client_address
from beffroi.lib.errors import BeffroiError, NotFound, TooLarge

MAX_BODY_BYTES = 16 * 1024
_WINDOW_S = 900
_WRONG_CODES = 30


class TooMany(BeffroiError):
    """Too many wrong codes came from this network; wait a quarter of an hour."""

    code = "box.too_many_codes"
    http_status = 429
    retryable = True


@csrf_exempt  # no cookie and no browser: the code is the credential
def enrol(request: HttpRequest) -> HttpResponse:
    try:
        return answer(encode(_enrol(request)), 200)
    except (BeffroiError, ProtocolError) as error:
        return refusal(error)


def body_of_box(request: HttpRequest) -> bytes:
    """What a box posted on its own listener. Errors: NotFound (anywhere else), TooLarge."""
    if request.headers.get("X-Beffroi-Listener") != "box" or request.method != "POST":
        raise NotFound("address")
    length = request.headers.get("Content-Length") or "0"
    if not length.isascii() or not length.isdigit() or int(length[:12]) > MAX_BODY_BYTES:
        raise TooLarge(MAX_BODY_BYTES)
    body = request.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(MAX_BODY_BYTES)
    return body


def _enrol(request: HttpRequest) -> EnrolAnswer:
    body = body_of_box(request)
    network = limits.network_of(client_address(request))
    tried = limits.take("box-enrol", network, limit=_WRONG_CODES, window_s=_WINDOW_S)
    if not tried:
        raise TooMany
    try:
        return actions.enrol(decode(body, EnrolRequest))
    except (actions.EnrolRefused, ProtocolError):
        tried = ""
        raise
    finally:
        limits.give_back(tried)


def refusal(error: BeffroiError | ProtocolError) -> HttpResponse:
    if isinstance(error, BeffroiError):
        return answer(encode(Problem(error.code, str(error), error.retryable)), error.http_status)
    return answer(encode(Problem(error.code, str(error))), 400)


def answer(body: bytes, status: int) -> HttpResponse:
    return HttpResponse(
        body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
