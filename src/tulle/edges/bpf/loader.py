"""Loads the shipped BPF objects through libbpf, onto maps that are already pinned.

libbpf does ELF, BTF and relocation; everything else goes through bpf(2) directly.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

from tulle.abi import ABI_HASH, MAPS
from tulle.btf import read_abi
from tulle.errors import AbiMismatch, Broken, KernelError

from . import syscall
from .maps import Map

_LOG_BYTES = 1 << 20


def _libbpf() -> ctypes.CDLL:
    name = ctypes.util.find_library("bpf") or "libbpf.so.1"
    try:
        library = ctypes.CDLL(name, use_errno=True)
    except OSError as error:
        raise Broken("libbpf.so.1 is not installed (Debian: libbpf1)") from error
    library.libbpf_set_print(None)
    for function in (
        "bpf_object__open_file",
        "bpf_object__find_map_by_name",
        "bpf_object__find_program_by_name",
    ):
        getattr(library, function).restype = ctypes.c_void_p
    return library


class Objects:
    """The pinned maps of one node, and programs loaded onto them."""

    def __init__(self, pins: Path, limits: Mapping[str, int] | None = None) -> None:
        """`pins` is a directory of the node on a BPF file system; `limits` overrides map sizes."""
        self.pins = pins / f"v{ABI_HASH}"
        self.limits = dict(limits or {})
        self.maps: dict[str, Map] = {}
        self._library = _libbpf()
        self.pins.mkdir(parents=True, exist_ok=True, mode=0o700)

    def load(self, name: str, programs: tuple[str, ...]) -> dict[str, int]:
        """Loads an object; descriptors of its programs by name.

        Raises AbiMismatch if the object was built from another abi.h, KernelError with the
        verifier's log if the kernel refuses it.
        """
        with as_file(files("tulle") / "objects" / f"{name}.bpf.o") as path:
            if not path.exists():
                raise Broken(f"{path} is missing: build it with `./run build`")
            found = read_abi(path.read_bytes()).hash
            if found != ABI_HASH:
                raise AbiMismatch(f"{path.name} has ABI {found}, this Tulle speaks {ABI_HASH}")
            return self._load(str(path), programs)

    def _load(self, path: str, programs: tuple[str, ...]) -> dict[str, int]:
        lib = self._library
        handle = ctypes.c_void_p(lib.bpf_object__open_file(path.encode(), None))
        if not handle:
            raise KernelError(ctypes.get_errno(), f"open {path}")
        for name in MAPS:
            self._prepare_map(handle, name)
        logs = {name: self._log_buffer(handle, name) for name in programs}
        if lib.bpf_object__load(handle):
            code = ctypes.get_errno()
            log = "\n".join(buffer.value.decode(errors="replace") for buffer in logs.values())
            raise KernelError(code, f"load {path}", "\n".join(log.splitlines()[-40:]))
        for name in MAPS:
            self._adopt_map(handle, name)
        result = {}
        for name in programs:
            program = ctypes.c_void_p(lib.bpf_object__find_program_by_name(handle, name.encode()))
            result[name] = os.dup(lib.bpf_program__fd(program))
        lib.bpf_object__close(handle)
        return result

    def _log_buffer(self, handle: ctypes.c_void_p, name: str) -> ctypes.Array[ctypes.c_char]:
        found = self._library.bpf_object__find_program_by_name(handle, name.encode())
        if not found:
            raise Broken(f"the object has no program {name}")
        # libbpf keeps the pointer: the buffer must live as long as the object.
        log = ctypes.create_string_buffer(_LOG_BYTES)
        self._library.bpf_program__set_log_buf(
            ctypes.c_void_p(found), log, ctypes.c_size_t(_LOG_BYTES)
        )
        return log

    def _map_handle(self, handle: ctypes.c_void_p, name: str) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._library.bpf_object__find_map_by_name(handle, name.encode()))

    def _prepare_map(self, handle: ctypes.c_void_p, name: str) -> None:
        bpf_map = self._map_handle(handle, name)
        if name in self.limits:
            self._library.bpf_map__set_max_entries(bpf_map, self.limits[name])
        if name not in self.maps and (self.pins / name).exists():
            self.maps[name] = self._map(name, syscall.get_pinned(str(self.pins / name)))
        if name in self.maps and self._library.bpf_map__reuse_fd(bpf_map, self.maps[name].fd):
            raise KernelError(ctypes.get_errno(), f"reuse pinned map '{name}'")

    def _adopt_map(self, handle: ctypes.c_void_p, name: str) -> None:
        if name in self.maps:
            return
        fd = os.dup(self._library.bpf_map__fd(self._map_handle(handle, name)))
        syscall.pin(fd, str(self.pins / name))
        self.maps[name] = self._map(name, fd)

    def _map(self, name: str, fd: int) -> Map:
        return Map(name, fd, self.limits.get(name))

    def close(self) -> None:
        for item in self.maps.values():
            os.close(item.fd)
        self.maps.clear()
