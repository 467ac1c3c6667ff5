"""What objects say of proxy scopes, in annotations and labels."""

from __future__ import annotations

from tulle.model.kubernetes import ObjectMeta
from tulle.model.scopes import MEMORY, SCOPE, bytes_of, scope_asked

from .fields import FieldError, quote

# By kind, what it may ask for; the last is an Envoy of its own.
SCOPES = {
    "Namespace": ("node", "namespace"),
    "Gateway": ("node", "workload"),
    "Service": ("node", "workload"),
}
LEAST_BYTES = 64 << 20  # two Envoys that serve little


def check_proxy_scope(kind: str, metadata: ObjectMeta) -> None:
    """Raises FieldError."""
    for place, texts in (("annotations", metadata.annotations), ("labels", metadata.labels)):
        if SCOPE in texts:
            _check_scope(kind, texts[SCOPE], "metadata", place, SCOPE)
    if MEMORY in metadata.labels:
        raise FieldError("is read as an annotation only", "metadata", "labels", MEMORY)
    annotated, labelled = metadata.annotations.get(SCOPE), metadata.labels.get(SCOPE)
    if annotated and labelled and annotated != labelled:
        reason = f"{quote(annotated)} is not what the label says, {quote(labelled)}"
        raise FieldError(reason, "metadata", "annotations", SCOPE)
    if MEMORY in metadata.annotations:
        _check_memory(kind, metadata)


def _check_scope(kind: str, text: str, *path: str) -> None:
    values = SCOPES.get(kind)
    if values is None:
        raise FieldError(f"{quote(SCOPE)} means nothing on a {kind}", *path)
    if text not in values:
        allowed = " or ".join(map(quote, values))
        raise FieldError(f"{quote(text)} must be {allowed} on a {kind}", *path)


def _check_memory(kind: str, metadata: ObjectMeta) -> None:
    path, text = ("metadata", "annotations", MEMORY), metadata.annotations[MEMORY]
    limit, own = bytes_of(text), SCOPES[kind][-1]
    if limit is None:
        raise FieldError(f"{quote(text)} is no quantity, as 512Mi is", *path)
    if not LEAST_BYTES <= limit < 1 << 63:
        raise FieldError(f"{quote(text)} must be 64Mi at least, and below 8Ei", *path)
    if scope_asked(metadata) != own:
        raise FieldError(f"is for a proxy of its own: {SCOPE} must be {quote(own)}", *path)
