"""Keeps this agent's programs on the node's interfaces."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from tulle.edges import netlink, netns
from tulle.edges.bpf.datapath import Datapath, Role
from tulle.errors import KernelError


class Hooks:
    """By filters on workloads' interfaces, which are ours alone, and by tcx on all others.

    `node_netns` None is the caller's own.
    """

    def __init__(self, datapath: Datapath, node_netns: Path | None) -> None:
        self._datapath, self._netns = datapath, node_netns
        self._attached: dict[int, Role] = {}
        self._trusted = False  # nobody else has taken them away since

    def attach(self, interfaces: Mapping[int, Role], *, only_new: bool = False) -> None:
        """To each ifindex what its role says; `only_new`: leave what an earlier agent attached to
        workloads, and those that are not named. Raises KernelError.
        """
        if not only_new:
            trusted, self._trusted = self._trusted, True
            known = interfaces.keys() if trusted else ()
            self._attached = {i: role for i, role in self._attached.items() if i in known}
        fresh = {i: interfaces[i] for i in interfaces.keys() - self._attached.keys()}
        if fresh:
            netns.run_in(self._netns, partial(self._attach_all, fresh, only_new))

    def _attach_all(self, interfaces: Mapping[int, Role], only_new: bool) -> None:
        pods = [index for index, role in interfaces.items() if role == "pod"]
        programs = self._datapath.programs("pod")
        for index in netlink.put_filters(pods, programs, keep=only_new) if pods else ():
            self._attached[index] = "pod"
            # An earlier version's links come before filters, and end some time after their pins.
            if not only_new and self._datapath.is_attached(index):
                self._datapath.attach(index, "pod")
        for index in interfaces.keys() - set(pods):
            if only_new and self._datapath.is_attached(index):
                continue
            try:
                self._datapath.attach(index, interfaces[index])
            except KernelError as error:
                if error.errno != errno.ENODEV:  # it ended meanwhile
                    raise
            else:
                self._attached[index] = interfaces[index]

    def keep(self, ending: Collection[int]) -> None:
        """Drop the links of all others. One that is ending may have its interface still: without
        hooks it would be open to all, and those of an earlier version had links.
        """
        pods = {index for index, role in self._attached.items() if role == "pod"}
        self._datapath.keep((self._attached.keys() | ending) - pods)

    def forget(self) -> None:
        """Attach all anew next time: somebody else may have taken them away.

        Unlike the others it may be called while they run: what they keep is not touched.
        """
        self._trusted = False
