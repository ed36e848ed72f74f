"""What reports become: verdicts with their evidence, figures and cells, through a real coordinator."""

from datetime import UTC, datetime

from orchestrator.contract.catalog import LabelScore
from orchestrator.contract.page import GenerationSample, InferenceSample, LoadSample, PageReport, ValidationOutput
from orchestrator.contract.vocabulary import CacheState, Mark
from tests.integration.coordinator.lab import FORCED, FORCED_IDS, LABELLED, HandAgent, Submitter
from tests.unit.domain.builders import page_report

RIGHT = ValidationOutput(texts=["hello hello", "hello hello"], forced_ids=FORCED_IDS)


def measured(agent: HandAgent, page: PageReport) -> str:
    """The id of the next run, reported with this page."""
    spec = agent.receive()
    agent.start(spec)
    assert agent.report(spec, page=page).json()["counted"] is True
    return spec.run_id


def classified(positive: float) -> PageReport:
    labels = [LabelScore(label="POSITIVE", score=positive), LabelScore(label="NEGATIVE", score=1 - positive)]
    return page_report(
        generation_samples=[],
        inference_samples=[InferenceSample(latency_ms=40, batch=1)] * 20,
        validation=ValidationOutput(labels=[labels]),
    )


def test_wrong_tokens_are_wrong_output_with_evidence(agent: HandAgent, qa: Submitter) -> None:
    qa.submit(variants=[FORCED])
    wrong = RIGHT.model_copy(update={"forced_ids": [*FORCED_IDS[:-1], 1]})
    run = qa.run(measured(agent, page_report(validation=wrong)))
    assert (run["verdict"], run["fault"]["code"], run["phase"]) == ("wrong-output", "wrong-output", "validate")
    assert "3 of 4 forced tokens agree with a reference" in run["fault"]["detail"]
    assert f"number 4: 1 instead of {FORCED_IDS[-1]}" in run["fault"]["detail"]
    assert (run["validation"]["score"], run["validation"]["threshold"]) == (0.75, 0.95)
    (cell,) = qa.cells(agent.device_id)
    assert (cell["fault"], cell["agreement"]["median"], cell["successes"]) == ("wrong-output", 0.75, 0)


def test_the_check_that_was_used_is_named(agent: HandAgent, qa: Submitter) -> None:
    qa.submit(variants=[FORCED], repeats=2)
    forced = qa.run(measured(agent, page_report(validation=RIGHT)))
    unforced = qa.run(measured(agent, page_report(["hello hello", "hello hello"])))
    assert (forced["verdict"], unforced["verdict"]) == ("fits", "fits")
    assert "; forced decoding against a reference" in forced["validation"]["check"]
    assert "first greedy text against a reference; this runtime cannot be forced" in unforced["validation"]["check"]
    assert qa.cells(agent.device_id)[0]["agreement"]["n"] == 2


def test_labels_are_judged_by_the_best_one_and_by_their_scores(agent: HandAgent, qa: Submitter) -> None:
    qa.submit(variants=[LABELLED], repeats=2, workload={"feature-extraction": {"length": 16}})
    right = qa.run(measured(agent, classified(0.97)))
    wrong = qa.run(measured(agent, classified(0.3)))
    assert (right["verdict"], wrong["verdict"]) == ("fits", "wrong-output")
    assert "text 1 is 'NEGATIVE', the reference says 'POSITIVE'" in wrong["fault"]["detail"]
    (cell,) = qa.cells(agent.device_id)
    assert (cell["latency_seconds"]["median"], cell["workload"]) == (0.04, "b1/len16")
    assert cell["decode_tokens_per_second"] is None
    page = qa.text(f"/runs/{right['id']}")
    assert "POSITIVE 0.97, NEGATIVE 0.03" in page


def test_a_figure_that_cannot_be_had_fails_instead_of_being_slow(agent: HandAgent, qa: Submitter) -> None:
    qa.submit(variants=[FORCED])
    sample = GenerationSample(tokens_in=512, tokens_out=1, ttft_ms=100, decode_ms=0)
    run = qa.run(measured(agent, page_report(generation_samples=[sample] * 2, validation=RIGHT)))
    assert (run["verdict"], run["fault"]["code"], run["phase"]) == ("fails", "not-measured", "measure")
    assert "the generations gave 1, 1" in run["fault"]["detail"]
    assert qa.cells(agent.device_id)[0]["fault"] == "not-measured"


def test_sustained_work_has_a_cell_of_its_own_with_a_throttling_ratio(agent: HandAgent, qa: Submitter) -> None:
    qa.submit(variants=[FORCED])
    measured(agent, page_report(validation=RIGHT))
    qa.submit(variants=[FORCED], workload={"text-generation": {"protocol": "sustained"}})
    spec = agent.receive()
    assert spec.workload.model_dump()["repetitions"] == 20
    agent.start(spec)
    speeds = [20.0] * 5 + [16.0] * 10 + [12.0] * 5
    samples = [
        GenerationSample(tokens_in=512, tokens_out=128, ttft_ms=900, decode_ms=127_000 / speed) for speed in speeds
    ]
    agent.report(spec, page=page_report(generation_samples=samples, validation=RIGHT))
    standard, sustained = sorted(qa.cells(agent.device_id), key=lambda cell: str(cell["workload"]))
    assert (standard["workload"], sustained["workload"]) == ("pp512/tg128", "pp512/tg128 sustained")
    assert standard["throttling_ratio"] is None
    assert round(sustained["throttling_ratio"]["median"], 6) == 0.6
    page = qa.text(f"/runs/{spec.run_id}")
    assert "keeps 60 % of its speed" in page
    assert "/charts/next-token" in page
    assert "repetition 20:" in page


def test_cold_and_warm_loads_are_figures(agent: HandAgent, qa: Submitter) -> None:
    qa.submit(variants=[FORCED], workload={"text-generation": {"protocol": "load"}})
    loads = [
        LoadSample(cache=CacheState.COLD, load_ms=5000, network_bytes=7, cache_bytes=0),
        LoadSample(cache=CacheState.WARM, load_ms=800, network_bytes=0, cache_bytes=7),
    ]
    run = measured(agent, page_report(loads=loads, first_inference_ms=1500, validation=RIGHT))
    (cell,) = qa.cells(agent.device_id)
    assert cell["workload"] == "pp512/tg128 load"
    assert (cell["load_seconds"]["median"], cell["warm_load_seconds"]["median"]) == (5.0, 0.8)
    assert cell["first_inference_seconds"]["median"] == 1.5
    page = qa.text(f"/runs/{run}")
    assert "0 B from the network, 7 B from the cache" in page
    assert cell["updated_at"] <= datetime.now(UTC).isoformat()


def test_a_throttled_run_is_marked_and_not_averaged_with_others(agent: HandAgent, qa: Submitter) -> None:
    qa.submit(variants=[FORCED], repeats=3)
    slow = GenerationSample(tokens_in=512, tokens_out=128, ttft_ms=900, decode_ms=127_000 / 2)
    cool = measured(agent, page_report(validation=RIGHT))
    for samples in ([slow] * 2, page_report().generation_samples):
        hot = agent.take()
        agent.report(hot, page=page_report(generation_samples=samples, validation=RIGHT), marks=[Mark.THROTTLED])
        assert qa.run(hot.run_id)["marks"] == ["throttled"]
        assert "↓ throttled" in qa.text(f"/runs/{hot.run_id}")
    assert (qa.run(cool)["marks"], qa.run(hot.run_id)["verdict"]) == ([], "fits")
    (cell,) = qa.cells(agent.device_id)
    assert (cell["runs"], cell["successes"], cell["throttled_runs"]) == (2, 2, 2), "too slow and hot does not count"
    assert cell["decode_tokens_per_second"]["n"] == 1
    assert "↓ throttled 2" in qa.text("/")
