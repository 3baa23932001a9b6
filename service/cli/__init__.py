"""The verbs of `python -m service`. But for `doctor` and `keys` they are clients: they see the service as a URL."""
