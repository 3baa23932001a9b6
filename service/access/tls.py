"""TLS of the service's own port, from files. Usually a proxy ends TLS; this is for where there is none."""

import ssl

from service.settings import InvalidSettings, Settings


def context(settings: Settings) -> ssl.SSLContext | None:
    """Return what connections are encrypted with (TLS 1.2 at least), None if they are not.

    Raises `InvalidSettings` when the files don't make a server certificate.
    """
    if settings.tls_certificate is None:
        return None
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # an encrypted key would make OpenSSL ask on the terminal
        made.load_cert_chain(settings.tls_certificate, settings.tls_key, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise InvalidSettings(
            f"CONVSERVE_TLS_CERTIFICATE={settings.tls_certificate}, CONVSERVE_TLS_KEY={settings.tls_key}: {reason}"
        ) from error
    if settings.tls_client_ca is not None:
        try:
            made.load_verify_locations(settings.tls_client_ca)
        except (OSError, ssl.SSLError) as error:
            raise InvalidSettings(f"CONVSERVE_TLS_CLIENT_CA={settings.tls_client_ca}: {error}") from error
        made.verify_mode = ssl.CERT_REQUIRED
    return made
