"""From an attempt's raw report to figures and a verdict."""

from dataclasses import dataclass

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.catalog import Variant
from orchestrator.contract.fault import Fault
from orchestrator.contract.job import Criteria, ProbeWorkload, TextGenerationWorkload, Workload
from orchestrator.contract.page import PageReport, ValidationOutput
from orchestrator.contract.views import RunFigures, ValidationResult
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase, Verdict
from orchestrator.domain.figures import run_figures
from orchestrator.domain.validation import check_output


@dataclass(frozen=True)
class Judgement:
    verdict: Verdict
    fault: Fault | None
    phase: Phase | None
    figures: RunFigures
    validation: ValidationResult | None


def judge(report: AttemptReport, variant: Variant, workload: Workload, criteria: Criteria) -> Judgement:
    """The verdict of a run whose attempt ended without infrastructure trouble.

    In this order: a fault, a page that did not come to its end, an output that is wrong, a figure that decides and
    was not measured, a criterion that is not met. A probe fits when it has been made: it has no criteria.
    """
    figures = run_figures(report, workload)
    if report.fault is not None:
        return _failed(Verdict.FAILS, report.fault, figures)
    page = report.page
    if page is None or not page.completed:
        fault = _fault(FaultCode.UNKNOWN, report.phase, "the page neither completed nor said why")
        return _failed(Verdict.FAILS, fault, figures)
    result = None
    if variant.validation is not None:
        result = check_output(variant.validation, page.validation or ValidationOutput(), variant.weights)
        figures = figures.model_copy(update={"agreement": result.score})
        if not result.passed:
            fault = _fault(FaultCode.WRONG_OUTPUT, Phase.VALIDATE, result.detail)
            return _failed(Verdict.WRONG_OUTPUT, fault, figures, result)
    lacking = _what_was_not_measured(page, workload, figures)
    if lacking is not None:
        return _failed(Verdict.FAILS, _fault(FaultCode.NOT_MEASURED, Phase.MEASURE, lacking), figures, result)
    slow = _is_too_slow(figures, criteria)
    return Judgement(Verdict.TOO_SLOW if slow else Verdict.FITS, None, None, figures, result)


def _is_too_slow(figures: RunFigures, criteria: Criteria) -> bool:
    """Whether a figure that was measured breaks its criterion."""
    decode, ttft, latency = figures.decode_tokens_per_second, figures.ttft_seconds, figures.latency_seconds
    return (
        (decode is not None and decode < criteria.min_decode_tokens_per_second)
        or (ttft is not None and ttft > criteria.max_ttft_seconds)
        or (latency is not None and latency > criteria.max_latency_seconds)
    )


def _what_was_not_measured(page: PageReport, workload: Workload, figures: RunFigures) -> str | None:
    """Why the figure that decides is missing; None where it is there."""
    if isinstance(workload, ProbeWorkload):
        return None if page.probe else "the page completed without a probe's result"
    if isinstance(workload, TextGenerationWorkload):
        if figures.decode_tokens_per_second is not None and figures.ttft_seconds is not None:
            return None
        counts = ", ".join(str(sample.tokens_out) for sample in page.generation_samples) or "none"
        return (
            f"no decode speed: of {workload.generated_tokens} tokens that were asked for, the generations gave "
            f"{counts}; a speed needs tokens after the first chunk"
        )
    return None if figures.latency_seconds is not None else "no latency: not one inference was timed"


def _failed(verdict: Verdict, fault: Fault, figures: RunFigures, result: ValidationResult | None = None) -> Judgement:
    return Judgement(verdict, fault, fault.phase, figures, result)


def _fault(code: FaultCode, phase: Phase, detail: str) -> Fault:
    return Fault(origin=FaultOrigin.PAGE, code=code, phase=phase, transient=False, detail=detail)
