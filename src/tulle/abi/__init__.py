"""The border to the kernel, generated from the BPF objects' BTF."""

from ._generated import *  # noqa: F403
