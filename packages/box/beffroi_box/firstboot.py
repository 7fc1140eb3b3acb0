"""A box that nobody has enrolled yet: it protects what it can and waits for its code.

Purpose: rules that let the LAN out and nobody in; the page of the box takes the code (or ``beffroi-box enrol`` does);
         the enrolment goes on until a second person confirmed the fingerprint, also after a power cut.
Process: ``beffroi-box run`` before the agent can start; root.
Input:   a code from anybody in the LAN. It must fit the centre's root key, so a stranger can only give the box to a
         Département that issued a code for it; tries are slowed down.
Fails:   wrong code, unreachable centre: said on the page, and the box waits on.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

from beffroi_protocol.enrolment_code import EnrolmentCode, read_code
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.signing import fingerprint, public_bytes

from beffroi_box import AGENT_VERSION
from beffroi_box.config import BoxConfig, build, keep_setting, load
from beffroi_box.enrol import enrol, serial_of
from beffroi_box.errors import BoxError, IdentityDamaged, NotEnrolled
from beffroi_box.found import read as read_network
from beffroi_box.kernel import Kernel
from beffroi_box.local import Answer, AskEnrol, AskState, LocalSocket, Request, State
from beffroi_box.places import forget, gateways, own_addresses
from beffroi_box.store import Store
from beffroi_box.wanguard import guard_rules

log = logging.getLogger("beffroi_box.firstboot")

TRY_EVERY_S = 3.0
WAIT_S = 20 * 60.0


Place = tuple[tuple[str, ...], tuple[str, ...]]
"""A bridge's default routers and its addresses."""


def guard(config: BoxConfig, place: Place = ((), ())) -> None:
    """Let the LAN out and nobody in. Errors: RulesRefused."""
    kernel = Kernel()
    try:
        routers, own = place
        kernel.apply_rules(guard_rules(config, known=_exists(config.wan), gateways=routers, own=own))
        forget(routers, config.own_interface)  # the rules must hear where they are
    finally:
        kernel.close()


def _place(config: BoxConfig) -> Place:
    if config.mode != "bridge":
        return (), ()
    return gateways(config.own_interface), own_addresses(config.own_interface)


def is_enrolled(store: Store) -> bool:
    """Also with a damaged identity: then the box asks again with its key, not with a code."""
    try:
        store.identity()
    except NotEnrolled:
        return False
    except IdentityDamaged:
        pass
    return True


def _exists(interface: str) -> bool:
    try:
        return bool(socket.if_nametoindex(interface))
    except OSError:
        return False


class FirstBoot:
    def __init__(self, state: Path) -> None:
        self._state = state
        self._store = Store(state)
        self._store.prepare()
        public = public_bytes(self._store.key())
        self._serial, self._fingerprint = serial_of(public), fingerprint(public)
        self._enrolment = ""
        self._tried_at = -TRY_EVERY_S
        self._done = threading.Event()

    def run(self) -> None:
        """Return when the box is enrolled. Errors: RulesRefused, OSError."""
        config = load(self._state)
        guard(config)
        served = LocalSocket(config, self.answer)
        log.info("not enrolled: waits for a code, on the box's page or by beffroi-box enrol")
        self._resume(config)
        stopping = threading.Event()
        thread = threading.Thread(target=served.serve, args=(stopping,), daemon=True)
        thread.start()
        try:
            place: Place = (), ()
            # ``beffroi-box enrol`` writes the identity too.
            while not self._done.wait(1.0) and not is_enrolled(self._store):
                if (now := _place(config)) != place:
                    guard(config, place := now)
        finally:
            time.sleep(1.0)  # the page may ask once more
            stopping.set()
            thread.join()
            served.close()
            # The agent's rules follow within a second; a box without any would let everybody in meanwhile.

    def answer(self, request: Request) -> Answer:
        if isinstance(request, AskState):
            return Answer(state=self._describe())
        if isinstance(request, AskEnrol):
            return Answer(error=self._offer(request))
        return Answer(error="not_enrolled")

    def _describe(self) -> State:
        network, config = read_network(self._state), load(self._state)
        return State(
            self._serial,
            self._fingerprint,
            AGENT_VERSION,
            enrolled=self._done.is_set(),
            centre=config.centre,
            settings_trouble=config.settings_trouble,
            enrolment=self._enrolment,
            mode=network.plan.mode if network.plan else "",
            mode_trouble=network.trouble,
        )

    def _offer(self, asked: AskEnrol) -> str:
        """Begin an enrolment; return the code of an error, "" when it goes on by itself."""
        if self._enrolment in ("asking", "waiting") or self._done.is_set():
            return "busy"
        if time.monotonic() - self._tried_at < TRY_EVERY_S:
            return "too_soon"
        self._tried_at = time.monotonic()
        centre = asked.centre.strip().rstrip("/")
        try:
            code = read_code(asked.code)
            config = load(self._state)
            # The centre is set at the workshop; whoever is in the LAN cannot send the box elsewhere.
            if not config.centre:
                if config.settings_trouble:
                    return "settings"
                if not centre:
                    return "no_centre"
                build(self._state, {"centre": centre}, self._state / "box.toml")
                config = replace(config, centre=centre)
        except (BoxError, ProtocolError) as error:
            return error.code
        self._begin(config, code, self._serial, heard=False)
        return ""

    def _resume(self, config: BoxConfig) -> None:
        """Go on with the code that was typed before a power cut: it was shown once."""
        if (asked := self._store.asked()) is None or not config.centre:
            return
        try:
            self._begin(config, read_code(asked.code), asked.serial, heard=asked.heard)
        except ProtocolError as error:
            log.warning("the enrolment on the disk cannot be used: %s", error)

    def _begin(self, config: BoxConfig, code: EnrolmentCode, serial: str, *, heard: bool) -> None:
        self._enrolment = "waiting" if heard else "asking"

        def keep_centre() -> None:
            """Not before one knows the code: the page asks again for an address with a mistake in it."""
            if load(self._state).centre != config.centre:
                keep_setting(self._state, "centre", config.centre)

        def say(text: str) -> None:
            if text.startswith("Waiting"):
                keep_centre()
                self._enrolment = "waiting"
            log.info("%s", text)

        def work() -> None:
            while not self._done.is_set():
                try:
                    enrol(config, self._store, code, serial=serial, wait_s=WAIT_S, say=say)
                    keep_centre()
                except (BoxError, ProtocolError, OSError) as error:
                    # The centre knows the code, which counts until it says otherwise, however long a person takes.
                    if self._enrolment == "waiting" and self._store.asked() is not None:
                        time.sleep(TRY_EVERY_S)
                        continue
                    self._enrolment = getattr(error, "code", "disk")
                    log.warning("enrolment: %s", error)
                    return
                self._enrolment = "done"
                self._done.set()

        threading.Thread(target=work, daemon=True).start()
