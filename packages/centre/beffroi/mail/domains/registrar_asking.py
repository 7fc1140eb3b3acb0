"""What the console asks of the process that holds the keys of providers.

Process: console, command line; STATE/registrar/registrar.sock.
Fails:   RegistrarRefused with a code, which ``portal.registrar_words`` turns into what to do next.
Source:  mail/domains/registrar.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from beffroi.lib import asked, clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict
from beffroi.mail.domains import registrar
from beffroi.mail.domains.difference import Difference, Row, difference, planned
from beffroi.mail.domains.records import Record

TIMEOUT_S = registrar.TASK_S + 6


class RegistrarRefused(Conflict):
    """The provider's interface was not used: {}"""

    code = "mail.registrar_refused"

    def __init__(self, reason: str, wrote: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wrote = wrote  # as of ``Done``: before it was cut


@dataclass(frozen=True)
class State:
    """``provider``: "" where no key is kept; ``changed_at``: of the last change that can be taken back, or None."""

    provider: str
    since: datetime | None
    changed_at: datetime | None
    steps: int


@dataclass(frozen=True)
class Done:
    """``refused``: "name type" -> code; ``wrote``: steps of the last change, None where none was made or taken back;
    ``left``: what still differs, after writing."""

    refused: Mapping[str, str]
    wrote: int | None
    left: Difference = field(default_factory=Difference)


def state(config: Config, domain: str) -> State:
    """Errors: RegistrarRefused."""
    answer = _ask(config, "state", domain)
    return State(
        answer["provider"], clock.moment(answer["since"]), clock.moment(answer["changed_at"]), answer["steps"]
    )


def keep(config: Config, domain: str, provider: str, keys: Mapping[str, str]) -> None:
    """Hand a key over; it is kept when the provider let us in. Errors: RegistrarRefused."""
    _ask(config, "keep", domain, provider=provider, keys=dict(keys))


def forget(config: Config, domain: str) -> None:
    _ask(config, "forget", domain)


def look(config: Config, domain: str, plan: Sequence[Record]) -> Difference:
    """What would change. Errors: RegistrarRefused."""
    return _difference(_ask(config, "look", domain, records=_packed(plan)), plan)


def apply(
    config: Config, domain: str, plan: Sequence[Record], *, mark: str, replace: Collection[str]
) -> Done:
    """Change what was shown (``Difference.mark``), of what is another's only ``replace`` (``Clash.key``).

    Errors: RegistrarRefused ("changed": the zone is not any more what was shown).
    """
    answer = _ask(config, "apply", domain, records=_packed(plan), mark=mark, replace=sorted(replace))
    return Done(answer["refused"], answer.get("wrote"), _difference(answer, plan))


def undo(config: Config, domain: str) -> Done:
    """Take the last change back. Errors: RegistrarRefused."""
    answer = _ask(config, "undo", domain)
    return Done(answer["refused"], answer.get("wrote"))


def answers(config: Config) -> bool:
    try:
        state(config, "probe.invalid")
    except RegistrarRefused:
        return False
    return True


def _packed(plan: Sequence[Record]) -> list[list[str]]:
    return [[one.name, one.type, one.data, purpose] for one, purpose in planned(plan)]


def _difference(answer: Mapping[str, Any], plan: Sequence[Record]) -> Difference:
    present, ours = ({Row(*one) for one in answer[name]} for name in ("present", "ours"))
    return difference(present, planned(plan), ours)


def _ask(config: Config, verb: str, domain: str, **values: Any) -> dict[str, Any]:
    try:
        request = {"verb": verb, "domain": domain, **values}
        answer = next(asked.answers(registrar.socket_path(config.state), request, timeout_s=TIMEOUT_S))
    except (OSError, ValueError, StopIteration):
        raise RegistrarRefused("away") from None
    if not answer.get("ok"):
        raise RegistrarRefused(str(answer.get("code", "odd")), answer.get("wrote"))
    return answer
