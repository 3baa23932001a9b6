"""The container's health: exit status 0 when the service is ready. Standard library only, the image has no curl."""

import os
import ssl
import sys
import urllib.request

if __name__ == "__main__":
    side_port = os.environ.get("CONVSERVE_METRICS_PORT")  # answers without TLS
    port = int(side_port or os.environ.get("BENTOML_PORT", "3000"))
    tls = "CONVSERVE_TLS_CERTIFICATE" in os.environ and not side_port
    # the certificate is for the name that clients use, which is not this one
    context = ssl._create_unverified_context() if tls else None  # noqa: S323, SLF001
    try:
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/readyz"
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:  # noqa: S310 (ours)
            sys.exit(answer.status != 200)
    except OSError as error:  # nobody listens, or an answer that is not 2xx
        sys.exit(f"not ready: {error}")
