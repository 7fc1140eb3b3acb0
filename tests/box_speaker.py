"""A boîtier's own client as a process that can be stopped: it acknowledges once, then says that it is there.

Called: box_speaker.py STATE NAME PORT ADDRESS BOX_ID VERSION, the box's private key (base64) on standard input.
Ends:   with the connection.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from beffroi_box.client import Centre, SignedSession
from beffroi_box.config import BoxConfig
from beffroi_protocol.messages import VERSION, Ack, AckBatch, encode
from beffroi_protocol.signing import unb64
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAUSE_S = 0.3
TRIES = 100


def main() -> None:
    state, name, port, address, box_id, version = sys.argv[1:]
    config = BoxConfig(
        state=Path(state),
        centre=f"https://{name}:{port}",
        centre_addresses=(address,),
        ca=str(Path(state) / "tls" / "ca.pem"),
    )
    key = Ed25519PrivateKey.from_private_bytes(unb64(sys.stdin.read()))
    session = SignedSession(Centre(config), lambda: box_id, key)
    for left in reversed(range(TRIES)):
        try:
            response = session.open_feed("/v1/feed?since=box:0:0:", read_timeout_s=20)
            break
        except Exception:
            if not left:
                raise
            session.close()
            time.sleep(PAUSE_S)
    session.say(encode(AckBatch(VERSION, (Ack("box", 1, int(version), 1000),), 1, "0.1.0")))
    threading.Thread(target=lambda: _speak(session), daemon=True).start()
    while response.readline():
        pass


def _speak(session: SignedSession) -> None:
    while True:
        session.say(b"")
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
