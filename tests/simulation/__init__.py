"""Seeded simulation of the whole immunity protocol in virtual time. See docs/internals/simulation.md."""
