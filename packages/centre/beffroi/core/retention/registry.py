"""What is kept for a time only, and for how long: each application says it of its own tables in its ``retention.py``,
which is loaded by who asks, not by every process.

Order:   a category with a lower ``order`` goes first, so that what refers to something goes before, or asks whether it
         is still there. A row that another application still needs is held (``hold``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils.module_loading import autodiscover_modules

from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

Due = Callable[[datetime], QuerySet[Any]]
Erase = Callable[[list[Any]], int]
_ALL = Q()


@dataclass(frozen=True)
class Before:
    """Due are the rows of a table whose ``field``, a moment, lies before the cut-off, and that are ``where``."""

    table: type[Model]
    field: str
    where: Q = _ALL

    def __call__(self, cutoff: datetime) -> QuerySet[Any]:
        return self.table._default_manager.filter(self.where, **{f"{self.field}__lt": cutoff})


@dataclass(frozen=True)
class BeforeDay:
    """Due are the rows of a table whose ``day`` is before the one of the cut-off."""

    table: type[Model]

    def __call__(self, cutoff: datetime) -> QuerySet[Any]:
        return self.table._default_manager.filter(day__lt=cutoff.date())


class CategoryNameTaken(BeffroiError):
    """Two categories of the retention are named {}."""

    code = "retention.name_taken"


@dataclass(frozen=True)
class Category:
    """``due``: the rows whose time is over at a cut-off; asked again inside of the transaction that deletes.
    ``kept``: a setting of the centre in days, or a number of days. ``erase``: what to do with their keys instead of
    deleting the rows; returns how many. ``held_as``: the kind of object that others may hold. ``batch``: rows of one
    transaction; on SQLite a decision waits no longer than for these."""

    name: str
    order: int
    kept: str | int
    due: Due
    erase: Erase | None = None
    held_as: str = ""
    batch: int = 200

    def cutoff(self, now: datetime, config: Config) -> datetime:
        days = getattr(config, self.kept) if isinstance(self.kept, str) else self.kept
        return now - timedelta(days=days)


_categories: dict[str, Category] = {}
_holds: dict[str, list[Callable[[Collection[str]], set[str]]]] = {}


@cache
def _load() -> None:
    autodiscover_modules("retention")


def category(one: Category) -> None:
    """Errors: CategoryNameTaken."""
    present = _categories.get(one.name)
    # A module that is imported a second time registers the same again: that is no conflict.
    if present is not None and _said(present.due) != _said(one.due):
        raise CategoryNameTaken(one.name)
    _categories[one.name] = one


def _said(due: Due) -> object:
    return due if isinstance(due, Before | BeforeDay) else getattr(due, "__qualname__", due)


def categories() -> list[Category]:
    """Of every application, in the order in which they are purged."""
    _load()
    return sorted(_categories.values(), key=lambda one: (one.order, one.name))


def hold[F: Callable[[Collection[str]], set[str]]](kind: str) -> Callable[[F], F]:
    """Register ``f(ids)``: which of these objects of the kind must stay, whatever their age."""

    def register(function: F) -> F:
        known = _holds.setdefault(kind, [])
        if all(one.__qualname__ != function.__qualname__ for one in known):
            known.append(function)
        return function

    return register


def held(kind: str, ids: Collection[str]) -> set[str]:
    """Those of these objects that any application still needs."""
    _load()
    return set().union(*(one(ids) for one in _holds.get(kind, [])))
