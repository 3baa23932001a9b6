"""Load generators, the ceiling and the peers. The service is a URL here; nothing of it is imported but its session."""
