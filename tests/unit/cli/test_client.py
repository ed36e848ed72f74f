"""The SDK: models in and out, every failure a `ClientError`."""

import httpx
import pytest

from orchestrator.client import Client, ClientError, ProblemError, Unreachable
from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import Health, Problem, ProblemField
from orchestrator.contract.vocabulary import RunState
from tests.ports import free_port
from tests.unit.cli import matrix_samples, samples
from tests.unit.cli.conftest import FakeCoordinator


def test_what_the_coordinator_says_comes_out_as_it_went_in(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/matrix", matrix_samples.demo_matrix())
    coordinator.answer("GET /api/v1/jobs", [samples.job()])
    coordinator.answer("GET /api/v1/jobs/job-1", samples.job())
    coordinator.answer("GET /api/v1/runs/run-7", samples.out_of_memory_run())
    coordinator.answer("GET /api/v1/devices", [samples.device()])
    coordinator.answer("GET /api/v1/devices/this-machine", samples.device())
    coordinator.answer("GET /api/v1/models", [samples.variant_view()])
    with Client(coordinator.url) as client:
        assert client.matrix() == matrix_samples.demo_matrix()
        assert client.jobs() == [samples.job()]
        assert client.job("job-1") == samples.job()
        assert client.run("run-7") == samples.out_of_memory_run()
        assert client.devices() == [samples.device()]
        assert client.device("this-machine") == samples.device()
        assert client.models() == [samples.variant_view()]


def test_a_probe_is_a_job_like_any_other(coordinator: FakeCoordinator) -> None:
    coordinator.answer("POST /api/v1/jobs", samples.job(), status=201)
    with Client(coordinator.url) as client:
        assert client.probe("emulated") == samples.job()
        client.probe()
    bodies = [body for _, _, _, body in coordinator.requests]
    assert bodies == [
        {"name": "probe", "variants": ["probe"], "devices": "emulated"},
        {"name": "probe", "variants": ["probe"], "devices": "true"},
    ]


def test_only_the_filters_that_are_given_are_sent(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/runs", [samples.run()])
    with Client(coordinator.url) as client:
        client.runs()
        client.runs(job="job-1", state=RunState.FINISHED, limit=3)
    assert coordinator.asked("GET /api/v1/runs") == [
        "/api/v1/runs",
        "/api/v1/runs?job=job-1&state=finished&limit=3",
    ]


def test_a_job_is_sent_under_its_wire_names_with_key_and_token(coordinator: FakeCoordinator) -> None:
    coordinator.answer("POST /api/v1/jobs", samples.job(), status=201)
    with Client(coordinator.url, token="s3cret") as client:
        client.submit(samples.job_spec(), idempotency_key="k1")
    ((_, _, headers, body),) = coordinator.requests
    assert headers["Idempotency-Key"] == "k1"
    assert headers["Authorization"] == "Bearer s3cret"
    assert body["workload"]["text-generation"]["prompt_tokens"] == 32
    assert JobSpec.model_validate(body) == samples.job_spec()


def test_a_problem_is_raised_with_its_fields(coordinator: FakeCoordinator) -> None:
    problem = Problem(
        title="Invalid request",
        status=422,
        detail="nothing was created",
        errors=[ProblemField(field="variants[0]", value="nope", allowed="a variant of the catalog")],
    )
    coordinator.answer("POST /api/v1/jobs", problem, status=422)
    with Client(coordinator.url) as client, pytest.raises(ProblemError) as caught:
        client.submit({"variants": ["nope"]})
    assert caught.value.problem == problem


def test_an_error_that_is_no_problem_keeps_its_status(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/matrix", b"<html>Bad gateway</html>", status=502)
    with Client(coordinator.url) as client, pytest.raises(ProblemError) as caught:
        client.matrix()
    assert caught.value.problem.status == 502
    assert "Bad gateway" in caught.value.problem.detail


def test_an_answer_of_another_shape_is_an_error(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/matrix", b'{"hello": 1}')
    with Client(coordinator.url) as client, pytest.raises(ClientError, match="same version"):
        client.matrix()


def test_nobody_there_names_the_address_and_what_to_do() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url) as client, pytest.raises(Unreachable, match=f"{url}.*fitmatrix up"):
        client.matrix()


def test_silence_is_bounded() -> None:
    def never(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("silence", request=request)

    with Client("http://lab", transport=httpx.MockTransport(never)) as client, pytest.raises(Unreachable, match="time"):
        client.devices()


@pytest.mark.parametrize("url", ["http://[", "no scheme", "ftp://lab", "http://lab:port"])
def test_a_bad_address_is_unreachable(url: str) -> None:
    with pytest.raises(Unreachable), Client(url) as client:
        client.matrix()


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_id_cannot_climb_in_the_path(coordinator: FakeCoordinator, name: str) -> None:
    with Client(coordinator.url) as client, pytest.raises(ClientError, match="not an id"):
        client.run(name)
    assert coordinator.requests == []


def test_an_id_stays_one_part_of_the_path(coordinator: FakeCoordinator) -> None:
    with Client(coordinator.url) as client, pytest.raises(ProblemError):
        client.run("../matrix?x=1")
    assert [path for _, path, *_ in coordinator.requests] == ["/api/v1/runs/..%2Fmatrix%3Fx%3D1"]


def test_not_ready_is_an_answer(coordinator: FakeCoordinator) -> None:
    sick = Health(status="unavailable", checks={"broker": "does not answer"})
    coordinator.answer("GET /readyz", sick, status=503)
    with Client(coordinator.url) as client:
        assert client.ready() is False
        assert client.health() == sick
        coordinator.answer("GET /readyz", Health(status="ok", checks={}))
        assert client.ready() is True
