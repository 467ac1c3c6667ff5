"""The node's proxy: Envoy as processes, what configures them, and what they tell of requests."""
