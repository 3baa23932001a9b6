"""What of the access settings can only be found out by looking: asked once, before the start, to refuse it."""

import socket
import tempfile

from service.access import keys, tls
from service.access.keys import InvalidKeyFile
from service.settings import InvalidSettings, Settings


def check(settings: Settings) -> None:
    """Raise `InvalidSettings` with one line when keys, TLS files, or where metrics go can't be used."""
    if settings.keys_file is not None:
        try:
            keys.read(settings.keys_file)
        except InvalidKeyFile as error:
            raise InvalidSettings(f"CONVSERVE_KEYS_FILE: {error}") from error
    tls.context(settings)
    if settings.metrics_dir is not None:
        try:
            settings.metrics_dir.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=settings.metrics_dir).close()
        except OSError as error:
            raise InvalidSettings(f"CONVSERVE_METRICS_DIR={settings.metrics_dir}: {error.strerror}") from error
    if settings.metrics_port is not None:
        address = (settings.metrics_host, settings.metrics_port)
        try:
            family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            raise InvalidSettings(f"CONVSERVE_METRICS_PORT={settings.metrics_port}: {error.strerror}") from error
