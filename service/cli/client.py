"""Where the service is, what it is asked with, and errors as one line and an exit status."""

import ssl
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import httpx
import typer

Url = Annotated[str, typer.Option(help="Where the service is.", envvar="CONVSERVE_URL")]
Key = Annotated[str | None, typer.Option(help="API key, where keys are asked for.", envvar="CONVSERVE_KEY")]
DEFAULT_URL = "http://127.0.0.1:3000"
ADMIN_TIMEOUT_S = 150.0  # a change is answered when every worker has loaded and proved the version


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    url: str
    key: str | None

    @property
    def options(self) -> dict[str, Any]:
        """What httpx is to know; reading authorities takes longer than a request, so only where there is TLS."""
        verify = ssl.create_default_context() if self.url.startswith("https:") else False
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        return {"base_url": self.url, "headers": headers, "verify": verify}


def fail(text: str) -> NoReturn:
    """Say what is wrong on standard error, in one line, and end with status 1."""
    typer.echo(text, err=True)
    raise typer.Exit(1)


def ask(service: Service, method: str, path: str, content: Any = None) -> Any:
    """Return the JSON that the service answers; anything else ends the command."""
    try:
        with httpx.Client(timeout=ADMIN_TIMEOUT_S, **service.options) as client:
            answer = client.request(method, path, json=content)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        fail(unreachable(service.url, error))
    if answer.status_code != httpx.codes.OK:
        fail(refusal(answer))
    return answer.json()


def unreachable(url: str, error: Exception) -> str:
    """Return in one line that there was no answer, and why."""
    return f"{url}: no answer: {str(error) or type(error).__name__}"


def refusal(answer: httpx.Response) -> str:
    """Return in one line what the service said instead of 200."""
    try:
        said = answer.json()
        text = f"{said['error']} ({said['code']})"
    except (ValueError, KeyError, TypeError):
        text = f"{answer.url} is not this service"
    return f"{answer.status_code}: {text}"
