"""Benchmarks that print rows of work, unit, ours, peer, peer_name, ratio, target, met, measured in one run."""
