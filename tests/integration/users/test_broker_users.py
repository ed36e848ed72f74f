"""Agents at the broker: a real server, real kombu and Celery, and what each agent's user may do there."""

import logging
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.wire import device_queue, private_keys
from orchestrator.dispatch.broker import EmbeddedBroker, find_server
from orchestrator.dispatch.broker_access import BrokerUsers, user_name
from orchestrator.dispatch.courier import CeleryCourier
from orchestrator.domain.access import digest_secret
from orchestrator.domain.records import Agent, DeviceRecord
from orchestrator.store.database import Database
from tests.integration.agents_host.lab import DEVICE, MODEL, Lab, attempt
from tests.ports import free_port
from tests.unit.domain.builders import device
from tests.waiting import wait_until

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A = Agent("host-1", "lab-a", "1", digest_secret("a"), NOW)
B = Agent("lab-b", "lab-b", "1", digest_secret("b"), NOW)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path_factory.mktemp('database') / 'fitmatrix.db'}")) as database:
        database.migrate()
        with database.write() as tx:
            for agent, device_id in ((A, "lab-a.desk"), (A, DEVICE), (B, "lab-b.desk"), (B, "lab-a.desk2")):
                tx.agents.put(agent)
                tx.devices.put(DeviceRecord(device(device_id), agent.id, NOW, NOW))
        yield database


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Iterator[Lab]:
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    with closing(Lab(tmp_path)) as lab:
        yield lab


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(tmp_path / "guarded-broker")
    broker.start()
    yield broker
    broker.stop()


@contextmanager
def kept(database: Database, url: str, agents_url: str | None = None) -> Iterator[BrokerUsers]:
    users = BrokerUsers(database, url, agents_url or url)
    users.start()
    try:
        yield users
    finally:
        users.stop()


@contextmanager
def as_agent(users: BrokerUsers, agent: Agent) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(users.address(agent))
    try:
        wait_until(lambda: _is_let_in(client), what=f"{agent.id} being let in")
        yield client
    finally:
        client.close()


def _is_let_in(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.AuthenticationError:
        return False


def test_an_agent_touches_the_queues_of_its_own_devices_and_nothing_else(
    database: Database, broker: EmbeddedBroker
) -> None:
    with (
        kept(database, broker.url) as users,
        as_agent(users, A) as one,
        as_agent(users, B) as two,
        closing(redis.Redis.from_url(broker.url)) as coordinator,
    ):
        mine, others = device_queue("lab-a.desk"), device_queue("lab-b.desk")
        for queue in (mine, others, device_queue("lab-a.desk2")):
            coordinator.lpush(queue, "attempt")
        assert one.brpop([mine, f"{mine}\x06\x163"], timeout=1) == (mine.encode(), b"attempt")
        for queue in (others, f"{others}\x06\x163", device_queue("lab-a.desk2"), f"_kombu.binding.{others}"):
            for command in (("BRPOP", queue, 1), ("LPUSH", queue, "x"), ("LLEN", queue), ("SADD", queue, "x")):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    one.execute_command(*command)  # type: ignore[no-untyped-call]  # redis leaves it untyped
        forbidden: list[tuple[Any, ...]] = [
            ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("SCAN", 0), ("MONITOR",), ("CONFIG", "GET", "*"),
            ("ACL", "LIST"), ("ACL", "SETUSER", "me", "on"), ("CLIENT", "LIST"), ("CLIENT", "KILL", "TYPE", "normal"),
            ("SHUTDOWN",), ("PUBLISH", "x", "y"), ("SUBSCRIBE", "x"), ("SCRIPT", "FLUSH"),
            ("EVAL", f"return redis.call('LLEN', '{others}')", 0), ("HGET", "unacked", "x"), ("SAVE",),
            ("HGET", private_keys(B.id)["unacked_key"], "x"),
        ]  # fmt: skip
        for command in forbidden:
            with pytest.raises(redis.exceptions.NoPermissionError):
                one.execute_command(*command)  # type: ignore[no-untyped-call]  # redis leaves it untyped
        assert two.brpop([others], timeout=1) == (others.encode(), b"attempt")
        assert coordinator.llen(device_queue("lab-a.desk2")) == 1


def test_a_worker_and_a_courier_do_all_they_do_and_nothing_of_it_is_refused(
    database: Database, broker: EmbeddedBroker, lab: Lab
) -> None:
    with kept(database, broker.url) as users, closing(redis.Redis.from_url(broker.url)) as admin:
        lab.coordinator.broker_url = users.address(A)
        lab.start()
        send(broker.url, lab, "run-1")
        assert lab.coordinator.report_of("run-1").fault is None
        assert admin.execute_command("ACL", "LOG") == []  # type: ignore[no-untyped-call]  # redis leaves it untyped
        # The broker dies and comes back with nothing in its memory.
        os.kill(int(admin.info("server")["process_id"]), signal.SIGKILL)
        wait_until(lambda: _has_user(admin, user_name(A.id)), what="the agent's user at the new broker")
        send(broker.url, lab, "run-2")
        assert lab.coordinator.report_of("run-2").fault is None
        assert admin.hlen(private_keys(A.id)["unacked_key"]) == 0
        lab.stop()


def send(broker_url: str, lab: Lab, run_id: str) -> None:
    payload = attempt(run_id, lab.coordinator.build.id, "finish", 1, MODEL, DEVICE)
    courier = CeleryCourier(broker_url)
    try:
        courier.send([AttemptSpec.model_validate(payload)])
    finally:
        courier.close()


def _has_user(client: redis.Redis, name: str) -> bool:
    try:
        return name in client.acl_users()
    except redis.ConnectionError:
        return False


def test_a_revoked_agents_connections_end(database: Database, broker: EmbeddedBroker) -> None:
    with kept(database, broker.url) as users, as_agent(users, A) as one:
        one.ping()
        _change(database, replace(A, revoked_at=NOW))
        users.refresh([A.id])
        with pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
            one.ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(users.address(A)).ping()
        _change(database, A)
        users.refresh([A.id])
        assert redis.Redis.from_url(users.address(A)).ping()


def test_a_device_that_moves_takes_its_queue_along(database: Database, broker: EmbeddedBroker) -> None:
    moving = DeviceRecord(device("lab-a.phone"), A.id, NOW, NOW)
    queue = device_queue("lab-a.phone")
    with database.write() as tx:
        tx.devices.put(moving)
    with kept(database, broker.url) as users, as_agent(users, A) as one, as_agent(users, B) as two:
        assert one.llen(queue) == 0
        with database.write() as tx:
            tx.devices.put(replace(moving, agent_id=B.id))
        users.refresh([A.id, B.id])
        assert two.llen(queue) == 0
        with pytest.raises(redis.exceptions.NoPermissionError):
            one.llen(queue)


def test_a_new_token_means_a_new_password(database: Database, broker: EmbeddedBroker) -> None:
    with kept(database, broker.url) as users, as_agent(users, A):
        before = users.address(A)
        again = replace(A, token_digest=digest_secret("another"))
        assert users.address(again) != before
        _change(database, again)
        users.refresh([A.id])
        assert redis.Redis.from_url(users.address(again)).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(before).ping()
        _change(database, A)


def test_every_coordinator_knows_the_same_passwords(database: Database, broker: EmbeddedBroker) -> None:
    with kept(database, broker.url) as one, kept(database, broker.url) as other:
        assert one.address(A) == other.address(A)
        assert one.address(A) != one.address(B)
        password = urlsplit(one.address(A)).password
        assert password
        assert password not in broker.url


@pytest.mark.parametrize(
    ("rules", "password", "why"),
    [
        (["requirepass word", 'rename-command ACL ""'], "word", "unknown command"),
        (["requirepass word", "user default on >word ~* +@all -acl"], "word", "no permissions"),
        ([], "", "asks for no password"),
    ],
)
def test_a_broker_without_users_is_shared_and_that_is_said_once(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, rules: list[str], password: str, why: str
) -> None:
    with plain_server(tmp_path, *rules) as port:
        url = f"redis://:{password}@127.0.0.1:{port}/0" if password else f"redis://127.0.0.1:{port}/0"
        with kept(database, url, "redis://shared/0") as users, caplog.at_level(logging.WARNING):
            users.refresh([A.id])
            users.refresh([B.id])
            wait_until(lambda: users.address(A) == "redis://shared/0", what="the shared address")
        said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(said) == 1, said
        assert why in said[0]
        assert "share one password" in said[0]


@contextmanager
def plain_server(directory: Path, *rules: str) -> Iterator[int]:
    port = free_port()
    config = directory / "server.conf"
    config.write_text("\n".join(["bind 127.0.0.1", f"port {port}", 'save ""', f"dir {directory}", *rules, ""]))
    process = subprocess.Popen([find_server(), str(config)], stdout=subprocess.DEVNULL)
    try:

        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(answers, what="a server")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def _change(database: Database, agent: Agent) -> None:
    with database.write() as tx:
        tx.agents.put(agent)
