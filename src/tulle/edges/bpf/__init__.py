"""The kernel's BPF side: loading, pinning, maps, links, events."""
