"""Who is under which policy sets: one set for each distinct selection of policies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from operator import is_
from typing import NamedTuple

from tulle.abi import PolicySet as Reserved
from tulle.model.verdict import Rule
from tulle.model.world import Key, Refusal, World

from .capacity import DENIALS, LISTENERS, Limits, full
from .cells import Unread
from .fqdns import KIND as SELECTOR
from .http import Held
from .identities import node_labels_of, port_table
from .ids import Allocator
from .lines import Line, ParsedPolicy, in_order
from .members import NONE, Members
from .named_peers import entries_of, spoken_of
from .parts import Part
from .places import Places, Row
from .policies import DIRECTIONS, PolicyIndex, Rules, Selected
from .rule_sets import KIND as RULE_SET
from .rule_sets import Numbering, RuleSet
from .sets import PolicySet, Subject, closed, groups_of, packed_set
from .spoken import Names, Spoken, refusals, spoken_by

Who = Key | None  # a workload of this node, or the node itself
Choice = Mapping[str, Selected]
NOTHING: Mapping[Key, Unread] = {}


class Choices(NamedTuple):
    """The policies that select each subject, per direction."""

    of: Mapping[Who, Choice] = {}
    rows: Mapping[Key, Row] = {}
    policies: PolicyIndex | None = None

    def selected(self) -> Iterator[ParsedPolicy]:
        for choice in self.of.values():
            for chosen in choice.values():
                yield from chosen


class Known(NamedTuple):
    """A set, and what it was made from."""

    lines: tuple[Line, ...]
    selected: Selected
    members: tuple[frozenset[int], ...]  # of each term of the policies
    numbers: tuple[int | None, ...]  # of the rules of the lines
    content: PolicySet
    rule_sets: tuple[RuleSet, ...]
    dns: tuple[RuleSet, ...]  # those that the kernel judges questions by
    spoken: Spoken


class Isolation(NamedTuple):
    sets: Mapping[Who, tuple[int, ...]] = {}  # ingress, egress
    parts: Mapping[Hashable, Part] = {}
    refusals: tuple[Refusal, ...] = ()
    denials: Mapping[Rule, int] = {}  # rules that stand in for what does not fit
    tried: Mapping[Rule, int] = {}
    known: Mapping[tuple[object, ...], Known] = {}
    rule_sets: Mapping[int, RuleSet] = {}  # by number: those that some entry names
    dns: Mapping[int, RuleSet] = {}
    selectors: Mapping[str, int] = {}
    made_from: tuple[object, ...] = ()

    @property
    def listened(self) -> dict[int, RuleSet]:
        """Those that the proxy judges."""
        return {number: item for number, item in self.rule_sets.items() if not item.held}

    @property
    def denial_names(self) -> tuple[str, ...]:
        """Of all that have a number, be it that the first order had to deny and another not."""
        return tuple(map(_name, {**self.tried, **self.denials}))


def choices_of(world: World, index: PolicyIndex, local: Places, before: Choices) -> Choices:
    rows = local.rows
    same = before.policies is index
    host = index.of_host(node_labels_of(world, world.node))
    if same and before.rows is rows and before.of.get(None) == host:
        return before
    found: dict[Who, Choice] = {None: host}
    for key, row in rows.items():
        if same and before.rows.get(key) is row:
            found[key] = before.of[key]
        else:
            found[key] = index.of_workload(world, row.workload)
    return Choices(found, rows, index)


def isolate(
    choices: Choices,
    members: Members,
    rules: Rules,
    limits: Limits,
    allocator: Allocator,
    before: Isolation,
    *,
    stream: bool = False,
    unread: Mapping[Key, Unread] = NOTHING,
) -> Isolation:
    """`before` itself if nothing has changed. What does not fit is denied, by name.

    `unread` are workloads' ports of which the kernel reads no requests, with the reason. Where
    there is not room for all, who asks for most goes last: nobody should lose what he has to
    another namespace's appetite.
    """
    made_from = choices, members, rules, unread
    if not before.denial_names and all(map(is_, made_from, before.made_from or (None,))):
        allocator.keep(RULE_SET)
        allocator.keep(SELECTOR)
        return before
    work = _Work(members, rules, limits, allocator, before, stream, unread)
    sets, tried = work.sets(choices, choices.of), work.denials
    if work.refusals:
        modest = sorted(choices.of, key=work.share_of)
        known = before._replace(known=work.known)
        work = _Work(members, rules, limits, allocator, known, stream, unread)
        sets = work.sets(choices, modest)
    parts: dict[Hashable, Part] = {
        ("set", placed.number): work.part(placed) for placed in work.placed.values()
    }
    for number, item in work.rule_sets.items():
        if item.held:
            parts["http", number] = work.http_part(number, item.held)
    parts |= dict(work.names.parts(work.dns.values(), before.parts))
    return Isolation(
        sets,
        parts,
        (*work.refusals, *refusals((item.lines, item.spoken) for item in work.known.values())),
        work.denials,
        tried,
        work.known,
        work.rule_sets,
        work.dns,
        work.names.selectors,
        made_from,
    )


class _Work:
    """One walk over all subjects."""

    def __init__(
        self,
        members: Members,
        rules: Rules,
        limits: Limits,
        allocator: Allocator,
        before: Isolation,
        stream: bool,
        unread: Mapping[Key, Unread],
    ) -> None:
        self._stream, self._unread = stream, unread
        self._members = members
        self._rules = rules
        self._limits = limits
        self._allocator = allocator
        self._before = before
        self._size = 0  # entries of policies
        self._http: Counter[str] = Counter()  # and of rules of requests, by map
        self._chosen: dict[tuple[object, ...], int] = {}
        self.known: dict[tuple[object, ...], Known] = {}
        self.placed: dict[int, PolicySet] = {}
        self.refusals: list[Refusal] = []
        self.denials: dict[Rule, int] = {}
        self.rule_sets: dict[int, RuleSet] = {}
        self.dns: dict[int, RuleSet] = {}
        self.names = Names(limits)
        self._entries: dict[str, int] = defaultdict(int)  # that each namespace asks for
        self._spoken: dict[str, int] = defaultdict(int)
        self._listeners: dict[str, set[int]] = defaultdict(set)

    def sets(self, choices: Choices, order: Iterable[Who]) -> dict[Who, tuple[int, ...]]:
        return {
            who: tuple(self.set_of(choices, who, direction) for direction in DIRECTIONS)
            for who in order
        }

    def share_of(self, who: Who) -> float:
        """What the namespace asks for, of all that there is."""
        namespace = _namespace(who)
        return max(
            self._entries[namespace] / self._limits["policy"],
            self._spoken[namespace] / self._limits["fqdns"],
            len(self._listeners[namespace]) / self._limits[LISTENERS],
        )

    def set_of(self, choices: Choices, who: Who, direction: str) -> int:
        selected = choices.of[who][direction]
        if not selected:
            return int(Reserved.OPEN)
        ports = port_table(choices.rows[who].workload.ports) if who else ()
        names = {name for item in selected for name in item.named_own}
        used = tuple(port for port in ports if (port[0], port[1]) in names)
        reads = who is not None and any(item.reads_requests for item in selected)
        unread = self._unread.get(who, ()) if who and reads else ()
        subject = Subject(direction, who is None, used, unread)
        key = (subject, tuple(map(id, selected)))
        if key not in self._chosen:
            self._chosen[key] = self._place(key, subject, selected, who)
        return self._chosen[key]

    def part(self, content: PolicySet) -> Part:
        """The same object as long as the set stands."""
        known = self._before.parts.get(("set", content.number))
        rows = self.names.rows(content.number)
        if known and known["policy"] is content.entries and known.get("fqdns", {}) == rows:
            return known
        return {"policy": content.entries} | ({"fqdns": rows} if rows else {})

    def http_part(self, number: int, held: Held) -> Part:
        """The same object as long as the set stands: its number goes by what it says."""
        known = self._before.parts.get(("http", number))
        return known or held.rows(number)

    def _rows(self, known: Known) -> Counter[str]:
        """Entries for rules of requests that are not there yet."""
        found: Counter[str] = Counter()
        for item in known.rule_sets:
            if item.held and item.number not in self.rule_sets:
                found.update(item.held.sizes)
        return found

    def _place(
        self, key: tuple[object, ...], subject: Subject, selected: Selected, who: Who
    ) -> int:
        known, problem = self._known(key, subject, selected)
        content = known.content if known else None
        if known:
            self._entries[_namespace(who)] += len(known.content.entries)
            self._spoken[_namespace(who)] += known.spoken.rows
            self._listeners[_namespace(who)].update(_listening(known.rule_sets))
            problem = problem or self._problem(known)
        if problem or not content:
            whom = f"{who[0]}/{who[1]}" if who else "this node"
            reason = f"{problem}: all {subject.direction} of {whom} is denied"
            self.refusals += [Refusal(item.policy.ref, reason) for item in selected]
            content = closed(self._denial(Rule(subject.direction, builtin=f"refused: {problem}")))
        elif known:
            self._http += self._rows(known)
            self.rule_sets.update((item.number, item) for item in known.rule_sets)
            self.dns.update((item.number, item) for item in known.dns)
            self.names.add(content.number, known.spoken)
        if content.number not in self.placed:
            self.placed[content.number] = content
            self._size += len(content.entries)
        return content.number

    def _known(
        self, key: tuple[object, ...], subject: Subject, selected: Selected
    ) -> tuple[Known | None, str]:
        known = self._before.known.get(key)
        if known is None or not self._holds(known):
            lines = tuple(in_order(selected))
            numbers = tuple(self._rules.numbers.get(line.rule) for line in lines)
            if None in numbers:
                return None, full("rules", self._limits)
            groups = groups_of(subject, lines, self._members)
            listeners = Numbering(lines, self._allocator, host=subject.is_host, stream=self._stream)
            selectors = {name: self._allocator.get(SELECTOR, name) for name in spoken_of(lines)}
            named = entries_of(lines, selectors, self._rules.numbers)
            content = packed_set(groups, lines, self._rules.numbers, listeners, named)
            known = Known(
                lines,
                selected,
                tuple(self._meant(selected)),
                numbers,
                content,
                listeners.made,
                listeners.dns,
                spoken_by(content.number, lines, listeners.dns, selectors),
            )
        for item in (*known.rule_sets, *known.dns):
            self._allocator.get(RULE_SET, item.name)
        for pattern in known.spoken.selectors:
            self._allocator.get(SELECTOR, pattern)
        self.known[key] = known
        return known, ""

    def _holds(self, known: Known) -> bool:
        numbers = (self._rules.numbers.get(line.rule) for line in known.lines)
        return all(map(is_, self._meant(known.selected), known.members)) and (
            tuple(numbers) == known.numbers
        )

    def _meant(self, selected: Selected) -> Iterator[frozenset[int]]:
        for item in selected:
            for term in item.terms:
                yield self._members.of.get(term, NONE)

    def _problem(self, known: Known) -> str:
        content = known.content
        there = self.placed.get(content.number)
        if there is not None and there.digest != content.digest:
            return "its number belongs to another policy set"
        size = 0 if there else len(content.entries)
        if self._size + size + DENIALS > self._limits["policy"]:
            return full("policy", self._limits)
        if problem := self.names.problem(content.number, known.spoken):
            return problem
        listeners = _listening((*self.rule_sets.values(), *known.rule_sets))
        if len(set(listeners)) > self._limits[LISTENERS]:
            return full(LISTENERS, self._limits)
        for name, size in (self._http + self._rows(known)).items():
            if size > self._limits[name]:
                return full(name, self._limits)
        return ""

    def _denial(self, rule: Rule) -> int:
        self.denials[rule] = self._allocator.get("rule", _name(rule))
        return self.denials[rule]


def _listening(rule_sets: Iterable[RuleSet]) -> Iterator[int]:
    return (item.number for item in rule_sets if not item.held)


def _namespace(who: Who) -> str:
    return who[0] if who else ""


def _name(rule: Rule) -> str:
    return f"{rule.direction} {rule}"
