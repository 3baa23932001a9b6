"""The service beyond what it can take: an open-loop load generator, and what it is used for."""
