"""Ours beside the tools people would otherwise use: `python benchmarks/peers.py`, see docs/peers.md."""
