"""The container's health: exit status 0 when the service is ready. Standard library only, the image has no curl."""

import os
import sys
import urllib.request

if __name__ == "__main__":
    port = int(os.environ.get("BENTOML_PORT", "3000"))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            sys.exit(answer.status != 200)
    except OSError as error:  # nobody listens, or an answer that is not 2xx
        sys.exit(f"not ready: {error}")
