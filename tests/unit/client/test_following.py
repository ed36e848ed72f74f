"""The stream of events, as bytes that come in any portions, over connections that break."""

import pytest

from orchestrator.client.errors import ClientError, ProblemError, Unreachable
from orchestrator.client.following import Following, Frame, FrameParser
from orchestrator.contract.events import Event, EventsReset
from orchestrator.contract.views import Problem

EVENT = (
    b'id: 7\nevent: run\ndata: {"id": 7, "topic": "run", "subject": "r-1", "job": "j-1", "device": "lab.one",\n'
    b'data: "state": "queued", "at": "2026-11-21T12:00:00Z"}\n\n'
)
STREAM = b": following\nid: 6\nretry: 1000\n\n" + EVENT + b": still here\r\nid: 9\r\n\r\n: ping\n\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_frames_do_not_depend_on_how_they_are_cut(size: int) -> None:
    parser = FrameParser()
    frames = [frame for start in range(0, len(STREAM), size) for frame in parser.feed(STREAM[start : start + size])]
    assert [(frame.event, frame.id, bool(frame.data)) for frame in frames] == [
        ("", "6", False),
        ("run", "7", True),
        ("", "9", False),
        ("", "9", False),
    ]


def test_a_comment_before_any_id_says_nothing() -> None:
    assert FrameParser().feed(b": hello\n\n") == []
    assert FrameParser().feed("data: ü\n\n".encode()) == [Frame("", "ü", "")]


def test_a_line_without_end_is_refused() -> None:
    parser = FrameParser()
    with pytest.raises(ClientError, match="line without end"):
        for _ in range(40):
            parser.feed(b"x" * 65_536)


def test_it_goes_on_after_what_it_heard_last() -> None:
    following = Following("http://lab", topics=["run"], job="j-1")
    assert "Last-Event-ID" not in following.how["headers"]
    assert following.how["params"] == {"topic": ["run"], "job": "j-1"}
    (event,) = following.heard(STREAM)
    assert isinstance(event, Event)
    assert event.subject == "r-1"
    assert following.how["headers"]["Last-Event-ID"] == "9"


def test_half_an_event_is_forgotten_with_its_connection() -> None:
    following = Following("http://lab", after=6)
    assert following.heard(EVENT[:40]) == []
    assert following.how["headers"]["Last-Event-ID"] == "6"
    assert [told.id for told in following.heard(EVENT)] == [7]


def test_a_reset_is_told() -> None:
    following = Following("http://lab", after=1)
    told = following.heard(b'event: reset\nid: 500\ndata: {"id": 500, "reason": "gone"}\n\n')
    assert told == [EventsReset(id=500, reason="gone")]
    assert following.how["headers"]["Last-Event-ID"] == "500"


def test_pauses_grow_and_begin_anew() -> None:
    following = Following("http://lab")
    silence = Unreachable("http://lab", "down")
    pauses = [following.pause_after(silence) for _ in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 10
    following.heard(STREAM)
    assert following.pause_after(None) == pauses[0]


def test_patience_ends() -> None:
    following = Following("http://lab", patience_seconds=0)
    with pytest.raises(Unreachable, match="down"):
        following.pause_after(Unreachable("http://lab", "down"))


@pytest.mark.parametrize(("status", "final"), [(401, True), (404, True), (422, True), (429, False), (503, False)])
def test_what_another_try_would_not_change_is_raised(status: int, final: bool) -> None:
    following = Following("http://lab")
    refused = ProblemError(Problem(title="no", status=status, detail=""))
    if final:
        with pytest.raises(ProblemError):
            following.pause_after(refused)
    else:
        assert following.pause_after(refused) > 0


def test_an_event_of_another_shape_is_an_error() -> None:
    with pytest.raises(ClientError, match="same version"):
        Following("http://lab").heard(b'data: {"hello": 1}\n\n')
