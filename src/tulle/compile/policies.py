"""The policies of a world: what they look at, whom they select, and the numbers of their rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import is_
from typing import NamedTuple

from tulle.abi import RuleId
from tulle.model.verdict import FROM_NODE, NOT_ISOLATED, TO_ITSELF, Rule
from tulle.model.world import Workload, World

from .capacity import DENIALS, Limits
from .identities import Distinctions, Matching, labels_of
from .ids import Allocator
from .lines import ParsedPolicy
from .rules import Nodes, Pods, Policy
from .selectors import SelectorIndex, matches

DIRECTIONS = ("ingress", "egress")
BUILTIN = {
    int(RuleId.NOT_ISOLATED): Rule("", builtin=NOT_ISOLATED),
    int(RuleId.HOST): Rule("", builtin=FROM_NODE),
    int(RuleId.SELF): Rule("", builtin=TO_ITSELF),
}
Selected = tuple[ParsedPolicy, ...]  # in order of their names


class PolicyIndex:
    """All policies of a world, parsed, and whom each of them selects."""

    def __init__(self, policies: Sequence[Policy], before: PolicyIndex | None = None) -> None:
        self.policies = tuple(policies)
        known = {id(item.policy): item for item in before.parsed} if before else {}
        self.parsed: tuple[ParsedPolicy, ...] = tuple(
            known.get(id(policy)) or ParsedPolicy(policy) for policy in policies
        )
        self.distinctions = Distinctions(self.parsed)
        self.matching = Matching(self.distinctions.terms)
        if before and before.distinctions.same_peers(self.distinctions):
            self.distinctions = before.distinctions
        if before and before.matching.terms == self.matching.terms:
            self.matching = before.matching
        self._by_labels = SelectorIndex(
            (item.policy.subject.selector, position)
            for position, item in enumerate(self.parsed)
            if isinstance(item.policy.subject, Pods)
        )
        self._of_nodes = [
            (position, item.policy.subject.selector)
            for position, item in enumerate(self.parsed)
            if isinstance(item.policy.subject, Nodes)
        ]

    def holds(self, policies: Sequence[Policy]) -> bool:
        return len(policies) == len(self.policies) and all(map(is_, policies, self.policies))

    def of_workload(self, world: World, workload: Workload) -> dict[str, Selected]:
        """Per direction."""
        return self._chosen(self._by_labels.matching(labels_of(world, workload)))

    def of_host(self, labels: Mapping[str, str]) -> dict[str, Selected]:
        return self._chosen(
            position for position, selector in self._of_nodes if matches(selector, labels)
        )

    def _chosen(self, positions: Iterable[int]) -> dict[str, Selected]:
        chosen = [self.parsed[position] for position in sorted(positions)]
        return {
            direction: tuple(item for item in chosen if item.policy.direction == direction)
            for direction in DIRECTIONS
        }


class Rules(NamedTuple):
    """Every rule that has a number, and so a counter, whether it decides anything or not."""

    numbers: Mapping[Rule, int] = {}
    policies: PolicyIndex | None = None
    complete: bool = False
    denials: tuple[str, ...] = ()  # names of rules that stand in for what does not fit


def number_rules(
    index: PolicyIndex,
    selected: Iterable[ParsedPolicy],
    limits: Limits,
    allocator: Allocator,
    before: Rules,
) -> Rules:
    """A rule keeps its number while its policy stands. Those selected come first if not all fit."""
    if before.policies is index and before.complete:
        allocator.keep("rule", before.denials)
        return before._replace(denials=()) if before.denials else before
    room = limits["rules"] - len(BUILTIN) - DENIALS
    ordered: Iterable[ParsedPolicy] = index.parsed
    complete = sum(len(item.rules) for item in index.parsed) <= room
    if not complete:
        ordered = dict.fromkeys((*selected, *index.parsed))
    numbers: dict[Rule, int] = {}
    for item in ordered:
        if len(numbers) + len(item.rules) <= room:
            for rule, name in zip(item.rules, item.rule_names, strict=True):
                numbers[rule] = allocator.get("rule", name)
    return Rules(numbers, index, complete)
