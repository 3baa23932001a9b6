"""What lies before the guard when it is asked for, and costs nothing when it isn't: a path prefix, and CORS."""

from starlette.middleware.cors import CORSMiddleware

from service.exchange import Application, Receive, Send
from service.settings import Settings

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_TAKES = (
    *("authorization", "x-api-key", "x-request-id", "x-client-id", "traceparent", "tracestate", "content-encoding"),
    *("inference-header-content-length", "x-request-timeout-ms", "x-priority"),
)
_SHOWS = ("x-request-id", "server-timing", "retry-after", "inference-header-content-length")


def in_front(application: Application, settings: Settings) -> Application:
    """Return *application* behind what the settings ask for."""
    if settings.path_prefix:
        application = _strip(application, settings.path_prefix)
    if settings.cors_origins:
        application = CORSMiddleware(
            application,
            allow_origins=settings.cors_origins,
            allow_methods=METHODS,
            allow_headers=_TAKES,
            expose_headers=_SHOWS,
            # credentials are not allowed: keys travel in headers that a script sets, never in cookies
        )
    return application


def _strip(application: Application, prefix: str) -> Application:
    """Take *prefix* off the path where a proxy has left it on."""
    start = prefix + "/"

    async def stripped(scope: dict[str, object], receive: Receive, send: Send) -> None:
        path = scope["path"]
        if isinstance(path, str) and path.startswith(start):
            scope = {**scope, "path": path[len(prefix) :], "root_path": prefix}
        await application(scope, receive, send)

    return stripped  # type: ignore[return-value]
