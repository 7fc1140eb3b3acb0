"""What the agent and the relay say to one another, over a Unix socket of the relay's user.

Purpose: the relay knows no key, no policy and no file of the box: it is told what is wanted, and given a token when it
         has something to send.
Input:   the relay talks to whatever is plugged into the LAN: its requests are hostile. No request can do more than ask
         for a minute's right to send as the policy's mailbox, or tell a number.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from beffroi_protocol.relaying import Reason, Relay

from beffroi_box.config import BoxConfig
from beffroi_box.local import asked


class Order(msgspec.Struct):
    """``relay`` None: none is wanted; what waits from before is left to its owner for its days, and to nobody else.
    ``listen``: the box's own IPv4 addresses in the LAN; ``centre``: where the centre was found; ``ca``: as PEM;
    ``owner``: the collectivité that the box serves, "" from an agent that does not say it; ``now``: epoch seconds by
    signed time, whatever the machine's clock says, 0 from an agent that does not say it."""

    relay: Relay | None
    listen: tuple[str, ...]
    centre: tuple[str, ...]
    ca: str = ""
    owner: str = ""
    now: int = 0


class AskOrder(msgspec.Struct, tag="order", tag_field="ask"):
    pass


class AskMailToken(msgspec.Struct, tag="mail_token", tag_field="ask"):
    pass


class TellRelayed(msgspec.Struct, tag="relayed", tag_field="ask"):
    """Since it was told last, of one device; ``waiting``: mails on the disk now; ``trouble``: what holds them up.
    ``ended``: no relay is wanted, and nothing is left to do."""

    device: str
    sent: int
    refused: int
    reason: Reason
    waiting: int
    trouble: str = ""
    ended: bool = False


class RelayAnswer(msgspec.Struct):
    """``error``: a code, "" when it worked."""

    error: str = ""
    order: Order | None = None
    login: str = ""
    token: str = ""


RelayRequest = AskOrder | AskMailToken | TellRelayed
REQUESTS = msgspec.json.Decoder(RelayRequest)
ANSWER_TIMEOUT_S = 45.0


def socket_path(config: BoxConfig) -> Path:
    return config.run_directory / "relay.sock"


def ask(path: Path, request: RelayRequest) -> RelayAnswer:
    """Ask the agent. Errors: OSError (it does not answer), ValueError (no sound answer)."""
    return asked(path, request, RelayAnswer, timeout_s=ANSWER_TIMEOUT_S)
