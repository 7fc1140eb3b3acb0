"""The agent of the boîtier in a town hall; runs with Debian's own Python packages only."""

AGENT_VERSION = "0.1.0"
