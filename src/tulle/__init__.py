"""Tulle: a service mesh woven into the Linux kernel."""

__version__ = "0.1.0"
