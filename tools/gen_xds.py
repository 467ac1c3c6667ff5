"""Writes src/tulle/xds/descriptors.binpb: the descriptors of all xDS messages that Tulle speaks.

    gen_xds.py SOURCES TARGET

SOURCES is where the package xds-protos was unpacked. Its modules are read, not imported: they would
lay their own `google` and `envoy` over those of other packages. What only annotates (validation
rules, deprecation, versions) is left out; without it the set is a third of its size.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import google.protobuf
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

PROTOBUF = Path(google.protobuf.__file__).parents[2]  # has google/protobuf/*.proto as modules

# Folders (all below) and files, less the suffix; the closure of their imports is what is written.
ROOTS = (
    "envoy/config/accesslog/v3/",
    "envoy/config/bootstrap/v3/bootstrap",
    "envoy/config/cluster/v3/",
    "envoy/config/common/matcher/v3/",
    "envoy/config/core/v3/",
    "envoy/config/endpoint/v3/",
    "envoy/config/listener/v3/",
    "envoy/config/rbac/v3/",
    "envoy/config/route/v3/",
    "envoy/data/accesslog/v3/",
    "envoy/data/core/v3/",
    "envoy/extensions/access_loggers/file/",
    "envoy/extensions/access_loggers/filters/",
    "envoy/extensions/access_loggers/grpc/",
    "envoy/extensions/access_loggers/stats/",
    "envoy/extensions/bootstrap/internal_listener/",
    "envoy/extensions/clusters/",
    "envoy/extensions/common/",
    "envoy/extensions/filters/common/",
    "envoy/extensions/filters/http/buffer/",
    "envoy/extensions/filters/http/cors/",
    "envoy/extensions/filters/http/custom_response/",
    "envoy/extensions/filters/http/ext_authz/",
    "envoy/extensions/filters/http/fault/",
    "envoy/extensions/filters/http/grpc_stats/",
    "envoy/extensions/filters/http/grpc_web/",
    "envoy/extensions/filters/http/header_mutation/",
    "envoy/extensions/filters/http/header_to_metadata/",
    "envoy/extensions/filters/http/health_check/",
    "envoy/extensions/filters/http/jwt_authn/",
    "envoy/extensions/filters/http/local_ratelimit/",
    "envoy/extensions/filters/http/on_demand/",
    "envoy/extensions/filters/http/original_src/",
    "envoy/extensions/filters/http/ratelimit/",
    "envoy/extensions/filters/http/rbac/",
    "envoy/extensions/filters/http/router/",
    "envoy/extensions/filters/http/set_filter_state/",
    "envoy/extensions/filters/http/set_metadata/",
    "envoy/extensions/filters/http/stateful_session/",
    "envoy/extensions/filters/http/upstream_codec/",
    "envoy/extensions/filters/listener/",
    "envoy/extensions/filters/network/connection_limit/",
    "envoy/extensions/filters/network/direct_response/",
    "envoy/extensions/filters/network/ext_authz/",
    "envoy/extensions/filters/network/http_connection_manager/",
    "envoy/extensions/filters/network/local_ratelimit/",
    "envoy/extensions/filters/network/rbac/",
    "envoy/extensions/filters/network/set_filter_state/",
    "envoy/extensions/filters/network/sni_cluster/",
    "envoy/extensions/filters/network/tcp_proxy/",
    "envoy/extensions/filters/udp/",
    "envoy/extensions/formatter/",
    "envoy/extensions/health_check/",
    "envoy/extensions/http/",
    "envoy/extensions/internal_redirect/",
    "envoy/extensions/load_balancing_policies/",
    "envoy/extensions/local_address_selectors/",
    "envoy/extensions/matching/",
    "envoy/extensions/path/",
    "envoy/extensions/rate_limit_descriptors/",
    "envoy/extensions/rbac/",
    "envoy/extensions/regex_engines/",
    "envoy/extensions/request_id/",
    "envoy/extensions/resource_monitors/",
    "envoy/extensions/retry/",
    "envoy/extensions/string_matcher/",
    "envoy/extensions/transport_sockets/http_11_proxy/",
    "envoy/extensions/transport_sockets/internal_upstream/",
    "envoy/extensions/transport_sockets/proxy_protocol/",
    "envoy/extensions/transport_sockets/raw_buffer/",
    "envoy/extensions/transport_sockets/tls/",
    "envoy/extensions/upstreams/",
    "envoy/service/accesslog/v3/",
    "envoy/service/auth/v3/",
    "envoy/service/discovery/v3/",
    "envoy/service/runtime/v3/",
    "envoy/type/",
    "xds/core/v3/",
    "xds/type/",
)
# What the Envoy that we run understands and xds-protos has not yet: (message, field, number, type).
NEWER_FIELDS = (
    (
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        ("enable_retry_after_header", 19, "bool"),
    ),
    (
        "envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget",
        ("budget_interval", 3, "google.protobuf.Duration"),
    ),
)
_CHAIN = "envoy.extensions.filters.http.filter_chain.v3"
NEWER_FILES = {
    f"{_CHAIN.replace('.', '/')}/filter_chain.proto": (
        _CHAIN,
        ("envoy/config/core/v3/extension.proto",),
        {
            "FilterChain": (("filters", 1, "repeated envoy.config.core.v3.TypedExtensionConfig"),),
            "FilterChainConfig": (("default_filter_chain", 1, f"{_CHAIN}.FilterChain"),),
            "FilterChainConfigPerRoute": (("filter_chain", 1, f"{_CHAIN}.FilterChain"),),
        },
    )
}
ANNOTATIONS = (
    "envoy/annotations/",
    "google/api/annotations.proto",
    "udpa/annotations/",
    "validate/",
    "xds/annotations/",
)


def descriptor_in(module: Path) -> FileDescriptorProto:
    """What a generated module passes to AddSerializedFile. Raises ValueError if it does not."""
    for node in ast.walk(ast.parse(module.read_bytes())):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="AddSerializedFile"),
                args=[ast.Constant(value=bytes() as serialised)],
            ):
                return FileDescriptorProto.FromString(serialised)
    raise ValueError(f"{module}: no descriptor in it")


def module_of(proto: str, sources: Path) -> Path:
    """Raises FileNotFoundError if no package has that file."""
    name = proto.removesuffix(".proto") + "_pb2.py"
    for place in (sources, PROTOBUF):
        if (place / name).is_file():
            return place / name
    raise FileNotFoundError(f"{proto}: neither in {sources} nor in protobuf")


def roots(sources: Path) -> Iterator[str]:
    for root in ROOTS:
        pattern = f"{root}**/*_pb2.py" if root.endswith("/") else f"{root}_pb2.py"
        found = sorted(sources.glob(pattern))
        if not found:
            raise FileNotFoundError(f"{root}: not in {sources}")
        for module in found:
            yield module.relative_to(sources).as_posix().removesuffix("_pb2.py") + ".proto"


def without_annotations(file: FileDescriptorProto) -> FileDescriptorProto:
    """The same messages without options that other files define, nor the imports of those files."""
    file.DiscardUnknownFields()  # extensions of options
    kept = [name for name in file.dependency if not name.startswith(ANNOTATIONS)]
    public = {file.dependency[index] for index in file.public_dependency}
    del file.dependency[:], file.public_dependency[:], file.weak_dependency[:]
    file.dependency.extend(kept)
    file.public_dependency.extend(kept.index(name) for name in kept if name in public)
    return file


def closure(sources: Path) -> FileDescriptorSet:
    """Every file after those that it imports."""
    found: dict[str, FileDescriptorProto] = {}

    def add(proto: str) -> None:
        if proto in found:
            return
        file = without_annotations(descriptor_in(module_of(proto, sources)))
        for imported in file.dependency:
            add(imported)
        found[proto] = file

    for proto in roots(sources):
        add(proto)
    return FileDescriptorSet(file=found.values())


def field_of(name: str, number: int, kind: str) -> FieldDescriptorProto:
    """`kind` is `bool` or a message's full name, after `repeated ` perhaps."""
    of = kind.removeprefix("repeated ")
    field = FieldDescriptorProto(name=name, number=number)
    repeated = of != kind
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if of == "bool":
        field.type = field.TYPE_BOOL
    else:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{of}"
    return field


def message_in(files: FileDescriptorSet, name: str) -> DescriptorProto:
    """Raises KeyError if no file has it."""
    for file in files.file:
        for message in file.message_type:
            for full, found in _with_nested(f"{file.package}.{message.name}", message):
                if full == name:
                    return found
    raise KeyError(name)


def _with_nested(name: str, message: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    yield name, message
    for inner in message.nested_type:
        yield from _with_nested(f"{name}.{inner.name}", inner)


def add_newer(files: FileDescriptorSet) -> None:
    """Raises ValueError if xds-protos has one of the fields by now: take it out of the list."""
    for name, field in NEWER_FIELDS:
        message = message_in(files, name)
        if any(field[0] == known.name for known in message.field):
            raise ValueError(f"{name}.{field[0]} is in xds-protos")
        message.field.append(field_of(*field))
    for path, (package, imports, messages) in NEWER_FILES.items():
        file = FileDescriptorProto(name=path, package=package, dependency=imports, syntax="proto3")
        for name, fields in messages.items():
            file.message_type.add(name=name, field=[field_of(*item) for item in fields])
        files.file.append(file)


def main(sources: Path, target: Path) -> None:
    new = target.with_name(f"{target.name}.new")
    files = closure(sources)
    add_newer(files)
    new.write_bytes(files.SerializeToString(deterministic=True))
    new.replace(target)  # in one step: a running test never sees half of it


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
