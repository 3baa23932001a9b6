"""service/protocol.py and service/exchange.py, on real sockets: requests and answers."""

import asyncio

import pytest

from tests.service.site import CLOSE, get, post, serving, statuses, talk


async def test_a_request_is_answered_with_head_and_body() -> None:
    """Status line, the server's date, the application's headers, the body."""
    async with serving() as site:
        answer = await talk(site, post(b"hello", CLOSE))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 22:22:03 GMT\r\n")
    assert b"\r\ncontent-length: 5" in head
    assert b"\r\nconnection: close" in head
    assert body == b"hello"


async def test_a_request_may_come_in_any_pieces() -> None:
    """Byte by byte it is the same request."""
    async with serving() as site:
        whole = post(b"hello", CLOSE)
        answer = await talk(site, *(whole[i : i + 1] for i in range(len(whole))))

    assert answer.endswith(b"\r\n\r\nhello")


async def test_chunked_bodies_are_read() -> None:
    """However they are cut."""
    head = f"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{CLOSE}\r\n\r\n".encode()
    async with serving() as site:
        answer = await talk(site, head, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")

    assert answer.endswith(b"\r\n\r\nabcde")


async def test_trailers_are_no_headers() -> None:
    """They come when headers have been looked at; in one read with them they would change the request."""
    head = f"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{CLOSE}\r\n\r\n".encode()
    async with serving() as site:
        answer = await talk(site, head + b"3\r\nabc\r\n0\r\nContent-Encoding: gzip\r\nHost: y\r\n\r\n")

    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"0\r\n" + b"X: y\r\n", b"5;"], ids=["value", "lines", "chunk"])
async def test_nothing_between_two_pieces_of_a_body_is_endless(endless: bytes) -> None:
    """Trailers and the size of a chunk may be as long as a head, not longer."""
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    piece = endless.partition(b"\r\n")[2] * 1_000 if endless.endswith(b"\n") else b"a" * 8_000
    async with serving() as site:
        answer = await talk(site, head + endless, *(piece for _ in range(40)))

    assert statuses(answer) == [431]


async def test_who_hangs_up_behind_a_pipelined_request_is_not_worked_for() -> None:
    """While there were two, nothing was read; when the second is the last, a hang-up is heard again."""
    async with serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(get("/where") + get("/wait"))
        assert (await reader.readuntil(b"/where ")).startswith(b"HTTP/1.1 200")
        await site.began.wait()

        writer.close()

        async with asyncio.timeout(5):
            await site.cancelled.wait()


async def test_a_large_body_does_not_pile_up() -> None:
    """More than the high-water mark comes through whole."""
    body = bytes(range(256)) * 8_000
    async with serving() as site:
        answer = await talk(site, post(body, CLOSE))

    assert answer.endswith(body)


async def test_a_large_answer_waits_for_its_reader() -> None:
    """And arrives whole."""
    async with serving() as site:
        answer = await talk(site, get("/long", CLOSE))

    assert len(answer.partition(b"\r\n\r\n")[2]) == 4_000_000


async def test_connections_are_kept() -> None:
    """Requests one after the other on one connection, until the client closes it."""
    async with serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        for i in range(3):
            writer.write(post(b"%d" % i))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"connection: close" not in head
            assert await reader.readexactly(1) == b"%d" % i
        writer.close()

    assert site.state.total_requests == 3


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Also when the first takes longest, and a bad one among them ends the connection."""
    async with serving() as site:
        async with asyncio.TaskGroup() as group:
            talking = group.create_task(talk(site, get("/wait") + post(b"2") + post(b"3") + b"nonsense\r\n\r\n"))
            await site.began.wait()
            site.go_on.set()
        answer = talking.result()

    assert statuses(answer) == [200, 200, 200, 400]
    assert answer.index(b"waited") < answer.index(b"\r\n\r\n2") < answer.index(b"\r\n\r\n3")


@pytest.mark.parametrize(
    ("request_line", "seen"),
    [
        ("GET /where?a=b&c HTTP/1.1", b"GET /where a=b&c"),
        ("GET /wh%65re HTTP/1.1", b"GET /where "),
        ("GET http://x/where?q HTTP/1.1", b"GET /where q"),
    ],
)
async def test_targets_are_understood(request_line: str, seen: bytes) -> None:
    """With a query, escaped, or in the form that proxies get."""
    async with serving() as site:
        answer = await talk(site, f"{request_line}\r\nHost: x\r\n{CLOSE}\r\n\r\n".encode())

    assert answer.endswith(b"\r\n\r\n" + seen)


@pytest.mark.parametrize("target", ["*", "/where/%ff%00", "/%2e%2e/where", "//where"])
async def test_odd_targets_are_not_found(target: str) -> None:
    """And nothing worse."""
    async with serving() as site:
        assert statuses(await talk(site, get(target, CLOSE))) == [404]


async def test_head_has_no_body() -> None:
    """But the length that GET would have."""
    async with serving() as site:
        answer = await talk(site, get("/where", CLOSE).replace(b"GET", b"HEAD", 1))

    assert b"content-length: 12\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_http_1_0_connections_are_closed() -> None:
    """As their clients expect."""
    async with serving() as site:
        answer = await talk(site, b"GET /where HTTP/1.0\r\n\r\n")

    assert statuses(answer) == [200]
    assert b"connection: close" in answer
