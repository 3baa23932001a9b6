"""service/rollout/peers.py: workers see each other, and no dead ones."""

from pathlib import Path

from service.rollout.peers import Peers, Standing


def test_workers_see_where_the_others_stand(tmp_path: Path) -> None:
    """From the moment that they start until they stop."""
    one, two = Peers(tmp_path), Peers(tmp_path)
    one.start()
    assert one.others() == []
    two.start()
    assert [(peer.generation, peer.troubles) for peer in one.others()] == [(0, {})]

    two.say(Standing(2, 7, {"lenet/3": "a long reason " * 20}, {"lenet/4": "new"}))
    assert one.others() == [Standing(2, 7, {"lenet/3": "a long reason " * 20}, {"lenet/4": "new"})]
    two.say(Standing(2, 8))  # shorter than before
    assert one.others() == [Standing(2, 8)]

    two.stop()
    assert one.others() == []
    one.stop()
    assert list(tmp_path.glob("*.worker")) == []


def test_what_a_dead_worker_left_counts_for_nothing(tmp_path: Path) -> None:
    """Its lock is gone; the next worker clears it away."""
    (tmp_path / "1-abc.worker").write_text('{"pid": 1, "generation": 3, "troubles": {}, "notices": {}}')
    peers = Peers(tmp_path)

    assert peers.others() == []
    peers.start()

    assert [path.name for path in tmp_path.glob("*.worker")] != ["1-abc.worker"]
    assert not (tmp_path / "1-abc.worker").exists()
    peers.stop()


def test_one_leads_until_it_ends(tmp_path: Path) -> None:
    """Then another may."""
    one, two = Peers(tmp_path), Peers(tmp_path)
    one.start()
    two.start()

    assert one.leads()
    assert one.leads()
    assert not two.leads()
    one.stop()
    assert two.leads()
    two.stop()
