"""The files of a multipart/form-data body that is already in memory; file names are not looked at."""

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import BadMultipart, TooManyImages

_MAX_BOUNDARY_BYTES = 70  # RFC 2046, section 5.1.1
_MAX_LINES = 4_096  # that begin as a boundary does: each costs the parser microseconds, and no image has more than one


def parse(content_type: bytes, body: bytes, max_files: int) -> list[bytes]:
    """Return the content of each file part, in order.

    Raises `BadMultipart`, or `TooManyImages` as soon as there is one part more than *max_files*.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary or len(boundary) > _MAX_BOUNDARY_BYTES:
        raise BadMultipart("multipart body without a usable boundary in its content type")
    if body.count(b"\r\n--") > _MAX_LINES:
        raise BadMultipart(f"a multipart body of more than {_MAX_LINES:,} lines that begin with two hyphens")
    collector = _Collector(max_files)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": collector.begin_part,
            "on_header_field": collector.add_header_name,
            "on_header_value": collector.add_header_value,
            "on_header_end": collector.end_header,
            "on_headers_finished": collector.end_headers,
            "on_part_data": collector.add_data,
            "on_end": collector.end,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BadMultipart("the multipart body cannot be parsed") from error
    if not collector.complete:
        raise BadMultipart("the multipart body has no closing boundary")
    if not collector.files:
        raise BadMultipart("the multipart body holds no file")
    return [b"".join(chunks) for chunks in collector.files]


class _Collector:
    """The parser's callbacks."""

    def __init__(self, max_files: int) -> None:
        self.files: list[list[bytes]] = []
        self.complete = False
        self._max_files = max_files
        self._name = self._value = self._disposition = b""

    def begin_part(self) -> None:
        if len(self.files) == self._max_files:
            raise TooManyImages(f"more than {self._max_files} files in one request")
        self.files.append([])
        self._disposition = b""

    def add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def end_headers(self) -> None:
        if b"filename" not in parse_options_header(self._disposition)[1]:
            raise BadMultipart("a multipart part that is no file; parameters belong into the query string")

    def add_data(self, data: bytes, start: int, end: int) -> None:
        self.files[-1].append(data[start:end])

    def end(self) -> None:
        self.complete = True
