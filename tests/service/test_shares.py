"""service/shares.py: what one client may take of a device."""

from service.shares import _REMEMBERED, Client, Shares

IMAGE_S = 0.1


def make_shares() -> Shares:
    """A half of the device; five images or one second of the queue."""
    return Shares(0.5, images=5, seconds=1.0)


def known(shares: Shares, client: str, now: float = 0.0) -> Client:
    """The books of a client, who has not asked."""
    return shares._clients.get(client) or shares._new(client, now)


def take(shares: Shares, client: str, images: int, image_s: float, now: float) -> None:
    """Give a client room, whether it may have it or not."""
    shares.take(known(shares, client, now), images, image_s, now)


def complaint(shares: Shares, client: str, images: int, image_s: float, now: float) -> str | None:
    """Ask for room; say why there is none."""
    answer = shares.ask(client, images, image_s, now)
    return answer if isinstance(answer, str) else None


def use(shares: Shares, client: str, images: int, now: float, *, each_s: float = IMAGE_S) -> None:
    """Let a client run images."""
    take(shares, client, images, each_s, now)
    shares.give_back(client, images)


def test_a_client_alone_may_use_the_device_all_the_time() -> None:
    """The part of it that it uses is nobody else's."""
    shares = make_shares()

    for n in range(100):
        take(shares, "a", 1, IMAGE_S, n * IMAGE_S)
        assert complaint(shares, "a", 1, IMAGE_S, n * IMAGE_S) is None
        shares.give_back("a", 1)


def test_a_client_alone_may_hold_more_than_its_share() -> None:
    """In images and in time; until another asks, or waits."""
    shares = make_shares()
    for _ in range(50):
        assert complaint(shares, "a", 1, IMAGE_S, 0.0) is None
        take(shares, "a", 1, IMAGE_S, 0.0)
    assert shares.alone("a", 0.0)

    assert complaint(shares, "b", 1, IMAGE_S, 0.1) is None
    take(shares, "b", 1, IMAGE_S, 0.1)

    assert "the limit is 5" in str(complaint(shares, "a", 1, IMAGE_S, 9.0))  # b still waits
    shares.give_back("b", 1)
    assert "the limit is 5" in str(complaint(shares, "a", 1, IMAGE_S, 59.0))  # and will find free places
    assert complaint(shares, "a", 1, IMAGE_S, 61.0) is None


def test_the_share_in_time_is_free_again_soon() -> None:
    """Places are kept free for a neighbour for longer than time is."""
    shares = make_shares()
    complaint(shares, "b", 1, IMAGE_S, 0.0)
    for _ in range(4):
        take(shares, "a", 1, IMAGE_S, 0.0)

    assert "longer than the 1 s" in str(complaint(shares, "a", 1, 1.0, 1.0))
    assert complaint(shares, "a", 1, 1.0, 3.0) is None
    assert complaint(shares, "a", 2, 1.0, 3.0) is not None


def test_what_is_beyond_the_share_yields_from_the_start() -> None:
    """Though nobody else asks yet; what is within it does not, nor does one large request."""
    shares = make_shares()
    for held in range(10):
        assert shares.beyond(known(shares, "a"), 1, IMAGE_S) == (held >= 5)
        take(shares, "a", 1, IMAGE_S, 0.0)
        assert shares.yields("a", 0.0) == (held >= 5)
    take(shares, "b", 8, IMAGE_S, 0.0)

    assert not shares.yields("b", 0.0)


def test_who_used_more_than_its_part_waits_with_one_request_while_others_ask() -> None:
    """However many connections it has; when the others are gone, no more."""
    shares = make_shares()
    use(shares, "greedy", 20, 0.0)  # two seconds of the device
    assert complaint(shares, "polite", 1, IMAGE_S, 0.1) is None

    take(shares, "greedy", 1, IMAGE_S, 0.1)

    assert "more than 50% of the device" in str(complaint(shares, "greedy", 1, IMAGE_S, 0.1))
    assert complaint(shares, "greedy", 1, IMAGE_S, 2.5) is None


def test_what_was_used_is_paid_off_in_time() -> None:
    """At the rate of the share."""
    shares = make_shares()
    use(shares, "a", 20, 0.0)
    take(shares, "a", 1, IMAGE_S, 0.0)
    for now, may in ((0.5, False), (1.0, False), (2.5, True)):
        complaint(shares, "b", 1, IMAGE_S, now)
        assert (complaint(shares, "a", 1, IMAGE_S, now) is None) == may


def test_who_holds_nothing_may_always_ask() -> None:
    """Whatever it has used, and however large the request is."""
    shares = make_shares()
    use(shares, "a", 100, 0.0)
    complaint(shares, "b", 1, IMAGE_S, 0.1)

    assert complaint(shares, "a", 50, IMAGE_S, 0.1) is None


def test_bursts_within_the_share_are_welcome() -> None:
    """A polite client beside a greedy one may hold several images."""
    shares = make_shares()
    use(shares, "greedy", 50, 0.0)
    for _ in range(4):
        assert complaint(shares, "polite", 1, IMAGE_S, 0.1) is None
        take(shares, "polite", 1, IMAGE_S, 0.1)
    assert complaint(shares, "polite", 1, IMAGE_S, 0.1) is None


def test_clients_without_end_take_no_memory_without_end() -> None:
    """Who owes nothing is forgotten, who holds something is not."""
    shares = make_shares()
    take(shares, "holds", 1, IMAGE_S, 0.0)

    for n in range(3 * _REMEMBERED):
        use(shares, f"client {n}", 1, n * 1.0, each_s=0.01)

    assert len(shares._clients) <= _REMEMBERED + 1
    shares.give_back("holds", 1)


def test_a_newcomer_disturbs_who_was_alone() -> None:
    """Once, until there is calm again."""
    shares = make_shares()
    complaint(shares, "a", 1, IMAGE_S, 100.0)
    shares.disturbed = False  # by the first client ever
    complaint(shares, "a", 1, IMAGE_S, 101.0)
    assert not shares.disturbed

    complaint(shares, "b", 1, IMAGE_S, 102.0)
    assert shares.disturbed
    shares.disturbed = False
    for now in (102.1, 102.2, 103.0):
        complaint(shares, "a", 1, IMAGE_S, now)
        complaint(shares, "b", 1, IMAGE_S, now)
    assert not shares.disturbed
    complaint(shares, "a", 1, IMAGE_S, 120.0)
    assert shares.disturbed
