"""The bytes of a manifest file → objects, and one error for each document that is not one.

A document's errors stay its own: text is cut at the `---` lines before YAML reads it, so a syntax
error does not reach the next document.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from tulle.errors import ManifestError
from tulle.model.cilium import (
    CiliumClusterwideNetworkPolicy,
    CiliumEgressGatewayPolicy,
    CiliumLoadBalancerIPPool,
    CiliumNetworkPolicy,
)
from tulle.model.cluster_policy import ClusterNetworkPolicy
from tulle.model.kinds import KINDS, KubernetesObject
from tulle.model.kubernetes import NetworkPolicy, ObjectRef
from tulle.model.traffic import AuthPolicy, RateLimitPolicy

from . import quick
from .fields import FieldError, Path, quote
from .schema import reword, type_of, versions_of, without_nulls
from .syntax import is_dns_label, is_dns_subdomain
from .tree import Budget, FileLimit, Tree, Value, YamlError, compose, walk
from .validate import CLUSTER_SCOPED, DEFAULT_NAMESPACE, validate

MAX_BYTES = 1 << 20
MAX_OBJECTS = 10_000  # of one file, refused ones included

API_VERSIONS: dict[str, tuple[str, ...]] = {name: versions_of(kind) for name, kind in KINDS.items()}

_SELECTING = (
    NetworkPolicy,
    CiliumNetworkPolicy,
    CiliumClusterwideNetworkPolicy,
    CiliumEgressGatewayPolicy,
    CiliumLoadBalancerIPPool,
    ClusterNetworkPolicy,
    AuthPolicy,
    RateLimitPolicy,
)
_OF_CLUSTERS = ("ServiceExport", "ServiceImport")  # that are joined, by their API servers
_CONFIDENTIAL_REASON = "must be text: put it in quotes"
_LIST_FIELDS = {"apiVersion", "kind", "items", "metadata"}
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what YAML 1.1 ends a line at
_DOCUMENT_START = re.compile(r"(?:\A|(?<=[\r\n\x85\u2028\u2029]))(?=---(?:[ \t\r\n]|\Z))")
_TAG_DIRECTIVE = re.compile("(?:^|[\r\n\x85\u2028\u2029])%TAG")
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Placed:
    """An accepted object and where it begins."""

    obj: KubernetesObject
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class BadDocument:
    """A refused document; `ref` is what it says it is, None if that cannot be read."""

    error: ManifestError
    ref: ObjectRef | None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file holds, in order."""

    objects: tuple[Placed, ...] = ()
    errors: tuple[BadDocument, ...] = ()


def refuse_file(reason: str, file: str, line: int = 0, column: int = 0) -> Parsed:
    """A file of which nothing can be used."""
    error = ManifestError(reason, file=file, line=line, column=column)
    return Parsed(errors=(BadDocument(error, None),))


def parse(data: bytes, file: str) -> Parsed:
    """Read a file's bytes: YAML or JSON, any number of documents, `kind: List` taken apart.

    Never raises for what `data` holds. `file` is only named in the errors.
    """
    if len(data) > MAX_BYTES:
        return refuse_file(f"is larger than {MAX_BYTES >> 20} MiB: split it", file)
    if (value := quick.read(data)) is not None and (parsed := _read_quickly(value, data, file)):
        return parsed
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        return refuse_file("is not UTF-8 text", file, *_position(data, error.start))
    if bad := _NOT_TEXT.search(text):
        place = _position(text.encode(), len(text[: bad.start()].encode()))
        return refuse_file(f"character U+{ord(bad[0]):04X} is not allowed", file, *place)
    reader = _Reader(file)
    try:
        for line, chunk in _chunks(text):
            reader.read(chunk, line)
    except FileLimit as limit:
        return refuse_file(str(limit), file)
    return Parsed(tuple(reader.objects), tuple(reader.errors))


def _read_quickly(root: Value, data: bytes, file: str) -> Parsed | None:
    """What `root`, which is all of `data`, holds; None if any of it is refused."""
    start = 1 + data.count(b"\n", 0, data.index(b"{"))
    paths = list(_objects(root))
    if len(paths) > MAX_OBJECTS:
        return None
    lines = [start] if paths == [()] else quick.lines_of_items(data)
    tree = Tree(root, (start, 1), {})
    try:
        return Parsed(
            tuple(
                Placed(_convert(tree.value_at(path), tree, path, may_hold_nulls=False), file, line)
                for path, line in zip(paths, lines, strict=True)
            )
        )
    except FieldError:
        return None


def _position(data: bytes, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a byte."""
    before = data[:offset]
    return before.count(b"\n") + 1, offset - before.rfind(b"\n")


def _chunks(data: str) -> Iterator[tuple[int, str]]:
    """Pieces that each begin at a `---` line, with the number of their first line."""
    line = 1
    for chunk in _DOCUMENT_START.split(data):
        lines = _BREAK.split(chunk)
        if not all(_is_remark(text) for text in lines):
            yield line, chunk
        line += len(lines) - 1


def _is_remark(line: str) -> bool:
    """Blank, a comment or a directive."""
    return not line.strip() or line.lstrip()[0] == "#" or line[0] == "%"


@dataclass(slots=True)
class _Reader:
    """Collects the objects and errors of one file."""

    file: str
    objects: list[Placed] = field(default_factory=list)
    errors: list[BadDocument] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)

    def read(self, chunk: str, line: int) -> None:
        try:
            if _TAG_DIRECTIVE.search(chunk):
                raise YamlError("%TAG directives are not supported", (line, 1))
            tree = compose(chunk, line, self.budget)
        except YamlError as error:
            reason = _CONFIDENTIAL_REASON if _is_confidential(error.path) else error.reason
            refused = FieldError(reason, *error.path)
            self._refuse(refused, error.mark, _identity(error.partial))
            return
        if tree is not None:
            for path in _objects(tree.root):
                self._take(tree, path)

    def _take(self, tree: Tree, base: Path) -> None:
        value = tree.value_at(base)
        try:
            obj = _convert(value, tree, base)
        except FieldError as error:
            self._refuse(error, tree.place(error.path), _identity(value))
        else:
            self.objects.append(Placed(obj, self.file, tree.place(base)[0]))
            self._count()

    def _refuse(self, error: FieldError, mark: tuple[int, int], ref: ObjectRef | None) -> None:
        line, column = mark
        placed = ManifestError(
            error.reason, file=self.file, line=line, column=column, field=error.field
        )
        self.errors.append(BadDocument(placed, ref))
        self._count()

    def _count(self) -> None:
        if len(self.objects) + len(self.errors) > MAX_OBJECTS:
            raise FileLimit(f"holds more than {MAX_OBJECTS} objects: split it")


def _is_confidential(path: Path) -> bool:
    """Whether something within a Secret's contents is wrong, whatever kind it says it is."""
    inside = path[2:] if path[:1] == ("items",) else path
    return len(inside) > 1 and inside[0] in ("data", "stringData")


def _objects(root: Value) -> Iterator[Path]:
    """Paths of the objects in a document; a List is taken apart, an empty document has none."""
    if not isinstance(root, dict) or root.get("kind") != "List":
        return iter([()] if root is not None else [])
    items = root.get("items")
    if root.get("apiVersion") != "v1" or not isinstance(items, list) or set(root) - _LIST_FIELDS:
        return iter([()])  # _bad_list says why
    return (("items", index) for index in range(len(items)))


def _convert(
    value: Value, tree: Tree, base: Path, *, may_hold_nulls: bool = True
) -> KubernetesObject:
    """The object at `base`; raises FieldError with the path from the document's root."""
    cls = _class_of(value, base)
    if may_hold_nulls:
        if cls in _SELECTING and isinstance(value, dict):
            _check_nulls(value, base)
        value = without_nulls(value, type_of(cls))
    try:
        obj = msgspec.convert(value, cls)
    except msgspec.ValidationError as error:
        raise reword(error, cls, tree, base) from error
    try:
        return validate(obj)
    except FieldError as error:
        raise FieldError(error.reason, *base, *error.path) from error


def _class_of(value: Value, base: Path) -> type[KubernetesObject]:
    if not isinstance(value, dict):
        raise FieldError("must be an object: a mapping with apiVersion, kind and metadata", *base)
    for name in ("kind", "apiVersion"):
        if not isinstance(value.get(name), str):
            raise FieldError("is required, as text", *base, name)
    kind, version = str(value["kind"]), str(value["apiVersion"])
    if kind == "List":
        raise _bad_list(value, base)
    if kind not in KINDS:
        near = difflib.get_close_matches(kind[:64], KINDS, 1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise FieldError(f"{quote(kind)} is not a kind that Tulle accepts{hint}", *base, "kind")
    if kind in _OF_CLUSTERS:
        raise FieldError(f"{kind} means nothing in a file: API servers have it", *base, "kind")
    if version not in API_VERSIONS[kind]:
        known = " or ".join(API_VERSIONS[kind])
        reason = f"{quote(version)} is not accepted; {kind} is read as {known}"
        raise FieldError(reason, *base, "apiVersion")
    return KINDS[kind]


def _bad_list(value: dict[str, Value], base: Path) -> FieldError:
    if base:
        return FieldError("a List cannot stand in a List", *base, "kind")
    if value["apiVersion"] != "v1":
        return FieldError("must be v1 for a List", "apiVersion")
    if unknown := set(value) - _LIST_FIELDS:
        return FieldError("is not a field of a List", min(unknown))
    return FieldError("must be a list of objects", "items")


def _check_nulls(value: dict[str, Value], base: Path) -> None:
    """An API server takes null as absent, which often means everybody: a slip must not open."""
    for name in ("spec", "specs"):
        for path, item in walk(value.get(name, {}), (name,)):
            if item is None:
                reason = "is null: give it a value ([] or {} for an empty one), or leave it out"
                raise FieldError(reason, *base, *path)


def _identity(value: Value) -> ObjectRef | None:
    """What a refused document says it is, if it says so well enough to be known by it."""
    if not isinstance(value, dict) or not isinstance(metadata := value.get("metadata"), dict):
        return None
    kind, name = value.get("kind"), metadata.get("name")
    namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
    if not (isinstance(kind, str) and isinstance(name, str) and isinstance(namespace, str)):
        return None
    if kind not in KINDS or not is_dns_subdomain(name) or not is_dns_label(namespace):
        return None
    return ObjectRef(kind, "" if kind in CLUSTER_SCOPED else namespace, name)
