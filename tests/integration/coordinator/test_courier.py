"""Attempts on their way to a real broker, one at a time and many at once."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.job import TextGenerationWorkload, Timeouts
from orchestrator.contract.vocabulary import Backend
from orchestrator.contract.wire import device_queue
from orchestrator.dispatch.broker import EmbeddedBroker
from orchestrator.dispatch.courier import CeleryCourier
from orchestrator.services.ports import CourierError
from tests.unit.domain.builders import variant


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    running = EmbeddedBroker(tmp_path / "broker")
    running.start()
    yield running
    running.stop()


def specs(number: int) -> list[AttemptSpec]:
    return [
        AttemptSpec(
            run_id=f"r-{one}",
            number=1,
            device_id=f"device-{one % 3}",
            browser="chrome",
            variant=variant(),
            backend=Backend.WASM,
            workload=TextGenerationWorkload(),
            timeouts=Timeouts(),
            page_build="0" * 64,
        )
        for one in range(number)
    ]


def test_a_port_that_somebody_takes_at_the_last_moment_is_left_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.dispatch.broker._becomes_free", lambda port: True)
    directory = tmp_path / "broker"
    directory.mkdir()
    running = EmbeddedBroker(directory)
    with socket.create_server(("127.0.0.1", 0)) as quicker:
        taken = quicker.getsockname()[1]
        (directory / "port").write_text(str(taken))
        running.start()
    try:
        with redis.Redis.from_url(running.url) as client:
            assert client.ping()
    finally:
        running.stop()
    remembered = (directory / "port").read_text()
    assert f":{remembered}/" in running.url
    assert remembered != str(taken)


@pytest.mark.parametrize("number", [1, 120])
def test_each_attempt_is_in_the_queue_of_its_device(broker: EmbeddedBroker, number: int) -> None:
    courier = CeleryCourier(broker.url)
    courier.send(specs(number))
    courier.close()
    client = redis.Redis.from_url(broker.url)
    lengths = [client.llen(device_queue(f"device-{one}")) for one in range(3)]
    client.close()
    assert lengths == [len(range(one, number, 3)) for one in range(3)]


@pytest.mark.parametrize("number", [1, 3])
def test_a_broker_that_went_away_is_said_and_comes_back(broker: EmbeddedBroker, number: int) -> None:
    courier = CeleryCourier(broker.url)
    courier.send(specs(1))
    broker.stop()
    with pytest.raises(CourierError):
        courier.send(specs(number))
    broker.start()
    courier.send(specs(number))
    courier.close()
