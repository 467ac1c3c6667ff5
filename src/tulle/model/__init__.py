"""Frozen types that everything else speaks in. Imports nothing of Tulle but errors."""
