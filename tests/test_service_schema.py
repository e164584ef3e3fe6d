"""Whatever the OpenAPI document allows, and much that it does not, is answered as the document says, never with 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from service_live import live

from mien.apps.web.settings import ServiceSettings

EXAMPLES = 15
OPERATIONS = [
    ("POST", "/v1/crowd"), ("POST", "/v1/cast"), ("POST", "/v1/imagine"), ("POST", "/v1/describe"),
    ("GET", "/v1/jobs/{id}"),
    ("DELETE", "/v1/jobs/{id}"), ("GET", "/v1/jobs/{id}/result"), ("GET", "/healthz"), ("GET", "/readyz"),
    ("GET", "/metrics"),
]  # fmt: skip


@pytest.fixture(scope="module")
def api() -> Iterator[Any]:
    limits = ServiceSettings(port=0, direct_faces=4, most_faces=12, jobs_waiting=1000, header_seconds=60)
    with live(limits) as running:
        yield schemathesis.openapi.from_url(f"{running.address}/openapi.json")


def test_every_operation_is_tried(api: Any) -> None:
    documented = {(result.ok().method.upper(), result.ok().path) for result in api.get_all_operations()}
    assert documented == set(OPERATIONS)


TRIED = [(*operation, GenerationMode.POSITIVE) for operation in OPERATIONS]
TRIED += [(*operation, GenerationMode.NEGATIVE) for operation in OPERATIONS if operation[0] == "POST"]


@pytest.mark.parametrize(("method", "path", "mode"), TRIED)
def test_answers_are_as_documented(api: Any, method: str, path: str, mode: GenerationMode) -> None:
    operation = api[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    def answered(case: Any) -> None:
        # No schema can say that an age is from 1 to 100 or that words contradict each other: 422 is right there.
        response = case.call_and_validate(timeout=30, excluded_checks=[CHECKS.get_one("positive_data_acceptance")])
        assert response.status_code < 500

    answered()
