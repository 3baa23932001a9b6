"""service/admission.py: who may wait, and for how long the others are sent away."""

from time import perf_counter
from typing import Any

import pytest

from service.admission import Priority, Room, RoomLimits, parse_priority
from service.errors import BadParameter, ClientLimit, Overloaded
from tests.service.device import claim


def make_room(*, image_s: float = 0.0, busy_s: float = 0.0, **limits: Any) -> Room:
    """Room for ten images of known cost before a device that is busy for a while."""
    room = Room(RoomLimits(**{"capacity": 10, **limits}))
    room.image_s = image_s
    room.busy_until = perf_counter() + busy_s if busy_s else 0.0
    return room


def others_ask(room: Room) -> None:
    """Somebody else has just been served."""
    room.admit(1, claim("another"))
    room.leave(1, claim("another"))


def test_a_client_that_holds_its_share_is_refused_and_another_served() -> None:
    """The greedy one gets an error of its own and a time to come back."""
    room = make_room(client_share=0.5)
    others_ask(room)
    for _ in range(5):
        room.admit(1, claim("greedy"))

    with pytest.raises(ClientLimit, match="5 of your images wait, the limit is 5") as refused:
        room.admit(1, claim("greedy"))
    room.admit(5, claim("polite"))

    assert refused.value.headers[0][0] == b"retry-after"
    assert room.waiting == 10


def test_what_left_is_no_longer_held() -> None:
    """A share is of what waits, not of what ever came."""
    room = make_room(client_share=0.2)
    for _ in range(100):
        room.admit(2, claim("a"))
        room.leave(2, claim("a"))

    assert room.waiting == 0


def test_a_client_that_holds_nothing_may_come_with_more_than_its_share() -> None:
    """One large request is not greed."""
    room = make_room(client_share=0.2)
    others_ask(room)

    room.admit(8, claim("a"))

    with pytest.raises(ClientLimit):
        room.admit(1, claim("a"))


def test_a_share_is_of_the_time_too() -> None:
    """Where images are slow, few of them are a lot."""
    room = make_room(image_s=0.3, max_queue_s=2.0, client_share=0.5)
    others_ask(room)
    for _ in range(3):
        room.admit(1, claim("greedy"))

    with pytest.raises(ClientLimit, match="longer than the 1 s of one client"):
        room.admit(1, claim("greedy"))
    room.admit(1, claim("polite"))


def test_a_client_alone_may_fill_the_queue() -> None:
    """Nobody else wants what it would leave free; what is full is full all the same."""
    room = make_room(image_s=0.1, max_queue_s=2.0, client_share=0.2)
    for _ in range(10):
        room.admit(1, claim("a"))

    with pytest.raises(Overloaded, match="the queue is full"):
        room.admit(1, claim("a"))


def test_a_client_alone_may_fill_two_batches_however_slow() -> None:
    """The limit of the wait would else keep batches from becoming full."""
    room = make_room(image_s=0.5, max_queue_s=1.0, client_share=0.5, batch=4)
    for _ in range(9):  # the ninth waits for four seconds, which is twice as long as a batch
        room.admit(1, claim("a"))

    with pytest.raises(Overloaded, match=r"the wait is 4\.50 s, the limit is 4 s"):
        room.admit(1, claim("a"))


def test_a_client_alone_that_says_how_long_it_waits_may_wait_so_long() -> None:
    """Then that is the limit, and it is refused only when it cannot be met."""
    room = make_room(image_s=1.0, max_queue_s=2.0, client_share=0.5, capacity=100)
    for _ in range(8):
        room.admit(1, claim("a", within_s=8.5, patient=True))

    with pytest.raises(Overloaded, match="longer than the request's time"):
        room.admit(1, claim("a", within_s=8.5, patient=True))
    with pytest.raises(Overloaded, match="the limit is 2 s"):
        room.admit(1, claim("a"))


def test_beside_others_nobody_waits_longer_than_the_limit() -> None:
    """However patient: a long queue would be for everybody."""
    room = make_room(image_s=1.0, max_queue_s=2.0, client_share=0.9)
    for name in ("a", "b", "c"):
        room.admit(1, claim(name, patient=True))

    with pytest.raises(Overloaded, match="the limit is 2 s"):
        room.admit(1, claim("d", patient=True))


def test_who_waits_behind_everybody_is_not_waited_for() -> None:
    """But by those who wait there as well."""
    room = make_room(image_s=0.5, max_queue_s=2.0, client_share=0.5, capacity=100, batch=4)
    for _ in range(8):
        room.admit(1, claim("greedy"))

    room.admit(1, claim("polite"), {"greedy": 6})

    with pytest.raises(Overloaded, match="the wait is"):
        room.admit(1, claim("late"), {"late": 1, "greedy": 5})


def test_those_behind_share_batches_only_while_nobody_else_asks() -> None:
    """And then no longer ones than a client's share of the wait, so that whoever comes does not wait long."""
    room = make_room(image_s=0.1, max_queue_s=1.0, client_share=0.5)
    room.admit(1, claim("a"))
    assert room.together(perf_counter()) == 5

    others_ask(room)

    assert room.together(perf_counter()) == 1


def test_a_wait_above_the_limit_is_refused() -> None:
    """As estimated from the running batch and what waits."""
    room = make_room(image_s=0.1, busy_s=0.5, max_queue_s=1.0)
    room.admit(7, claim())

    with pytest.raises(Overloaded, match=r"the wait is 1\.\d+ s, the limit is 1 s"):
        room.admit(1, claim())


def test_a_deadline_that_cannot_be_met_is_refused_at_once() -> None:
    """The rest of the running batch counts, and the image's own time."""
    room = make_room(image_s=0.1, busy_s=0.5)

    with pytest.raises(Overloaded, match="takes longer than the request's time"):
        room.admit(1, claim(within_s=0.55))

    room.admit(1, claim(within_s=0.7))


def test_a_free_device_is_tried() -> None:
    """However pessimistic the estimate is: it could not be mended if nothing ever ran."""
    room = make_room(image_s=1000.0)

    room.admit(1, claim(within_s=0.01))

    assert room.waiting == 1


def test_the_time_to_come_back_is_honest_and_spread() -> None:
    """What waits, times what an image takes, and up to two seconds more."""
    room = make_room(image_s=1.5)
    room.admit(10, claim())

    seconds = {room.retry_after_s() for _ in range(200)}

    assert seconds <= {15, 16, 17}
    assert len(seconds) > 1


def test_only_what_goes_before_counts_as_wait() -> None:
    """A high priority does not wait for the normal ones."""
    room = make_room(image_s=0.1, max_queue_s=0.5)
    room.admit(6, claim())

    with pytest.raises(Overloaded):
        room.admit(1, claim())
    room.admit(1, claim(priority=Priority.HIGH))


def test_the_service_time_is_a_running_mean() -> None:
    """The first batch sets it, later ones move it."""
    room = make_room()
    room.begin(4)
    room.end(4, 0.4)
    room.end(2, 0.4)

    assert room.image_s == pytest.approx(0.1 + 0.2 * 0.1)


def test_priorities_have_names() -> None:
    """And no others."""
    assert [parse_priority(name) for name in ("high", "Normal", " LOW ")] == list(Priority)
    with pytest.raises(BadParameter, match="X-Priority: must be high, normal or low"):
        parse_priority("0")
