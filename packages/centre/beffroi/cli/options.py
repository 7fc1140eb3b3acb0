"""Where a verb is done, and what every command of a person on a centre takes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from beffroi.lib.config import DEFAULT_STATE, Config, load
from beffroi.lib.errors import BeffroiError


class NoCentre(BeffroiError):
    """{} holds no centre yet. Next: name another directory by --state, or ./beffroi up --check --no-demo --state {}"""

    code = "cli.no_centre"


def run(place: str, arguments: Sequence[str]) -> int:
    """``place``: module below ``beffroi.cli`` and function. A verb loads its own alone: a process needs little, and
    starts soon."""
    module, _, name = place.partition(".")
    function: Callable[[Sequence[str]], int] = getattr(import_module(f"beffroi.cli.{module}"), name)
    return function(arguments)


def take_state(parser: ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="directory of the centre")


class Parser(ArgumentParser):
    """Of a command without verbs, or of each verb of one (``parser_class``): it takes ``--state``."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        take_state(self)


def with_verbs(prog: str) -> tuple[ArgumentParser, Any]:
    """A parser, and where its verbs are added, of which each takes ``--state``."""
    parser = ArgumentParser(prog=prog)
    return parser, parser.add_subparsers(dest="verb", required=True, parser_class=Parser)


def parsed(parser: ArgumentParser, arguments: Sequence[str]) -> tuple[Namespace, Config]:
    """What is asked, and of which centre. Errors: NoCentre, SettingInvalid."""
    options = parser.parse_args(arguments)
    return options, of_centre(options.state)


def of_centre(state: Path) -> Config:
    """Settings of a centre that is there: by a wrong word, nothing is made and no backup is missed. Errors: NoCentre,
    SettingInvalid."""
    state = state.resolve()
    if not (state / "beffroi.toml").exists():
        raise NoCentre(state, state)
    return load(state)
