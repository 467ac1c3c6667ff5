"""Keeps this agent's programs on the node's interfaces."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tulle.edges import netns
from tulle.edges.bpf.datapath import Datapath, Role
from tulle.errors import KernelError


class Hooks:
    """`node_netns` None is the caller's own."""

    def __init__(self, datapath: Datapath, node_netns: Path | None) -> None:
        self._datapath, self._netns = datapath, node_netns
        self._attached: set[int] = set()
        self._trusted = False  # nobody else has taken them away since

    def attach(self, interfaces: Mapping[int, Role], *, only_new: bool = False) -> None:
        """To each ifindex what its role says; `only_new`: leave what an earlier agent attached, and
        those that are not named. Raises KernelError.
        """
        if not only_new:
            trusted, self._trusted = self._trusted, True
            self._attached &= interfaces.keys() if trusted else set()
        fresh = {index: interfaces[index] for index in interfaces.keys() - self._attached}
        if only_new:
            known = self._datapath.is_attached
            fresh = {index: role for index, role in fresh.items() if not known(index)}
        if fresh:
            netns.run_in(self._netns, partial(self._attach_all, fresh))

    def _attach_all(self, interfaces: Mapping[int, Role]) -> None:
        for ifindex, role in interfaces.items():
            try:
                self._datapath.attach(ifindex, role)
            except KernelError as error:
                if error.errno != errno.ENODEV:  # it ended meanwhile
                    raise
            else:
                self._attached.add(ifindex)

    def keep(self, ending: set[int]) -> None:
        """Drop the hooks of all others. One that is ending may have its interface still: without
        hooks it would be open to all.
        """
        self._datapath.keep(self._attached | ending)

    def forget(self) -> None:
        """Attach all anew next time: somebody else may have taken them away.

        Unlike the others it may be called while they run: what they keep is not touched.
        """
        self._trusted = False
