"""Where a verb is done, and what every command of a person on a centre takes."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from beffroi.lib.config import DEFAULT_STATE


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
