"""The policies that are in force: all of them, but for want of room some without their rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import is_

from tulle.model.world import IPNetwork, Refusal

from .blocks import borders
from .capacity import Limits, fitting_policies
from .policies import Book
from .rules import Policy


@dataclass(frozen=True, slots=True)
class Library:
    """The rest is what it was made from."""

    book: Book = field(default_factory=lambda: Book(()))
    refusals: tuple[Refusal, ...] = ()
    policies: tuple[Policy, ...] = ()
    others: tuple[IPNetwork, ...] = ()


def library_of(
    policies: tuple[Policy, ...], others: tuple[IPNetwork, ...], limits: Limits, before: Library
) -> Library:
    """`others` are the prefixes that the ipcache needs without any policy."""
    same = len(policies) == len(before.policies) and all(map(is_, policies, before.policies))
    if same and others == before.others:
        return before
    book = _book(policies, before.book)
    needed = borders({*book.distinctions.outside.networks, *others})
    if len(needed) <= limits["ipcache"]:
        return Library(book, (), policies, others)
    strict, refusals = fitting_policies(policies, others, limits)
    return Library(_book(strict, before.book), refusals, policies, others)


def _book(policies: tuple[Policy, ...], before: Book) -> Book:
    return before if before.holds(policies) else Book(policies, before)
