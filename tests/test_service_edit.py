"""`POST /v1/edit` in the test process: options of the address, what is refused before the photo is decoded."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from test_service_api import wait_until

from mien.apps.service.app import create_app
from mien.apps.web.models import EDIT_TEXTS, ModelSpec, PhotoJob, read_edit
from mien.apps.web.settings import ServiceSettings
from mien.core.images import encode_png
from mien.core.photos import decode_photo
from mien.pipelines.photo_edit import ABOUT
from mien.pipelines.pictures import Picture

PHOTO = np.full((40, 50, 3), 90, np.uint8)
JOBS: list[PhotoJob] = []


def brighter(_: Any, jobs: Sequence[PhotoJob]) -> list[list[Picture]]:
    JOBS.extend(jobs)
    row = {"file": "00000.png", "seed": None, "index": 0, "model": "fake", "model_version": "1"}
    return [[Picture(np.asarray(job.photo + 50, np.uint8), dict(row), ABOUT)] for job in jobs]


def test_a_photo_is_edited_and_wrong_options_are_told() -> None:
    spec = ModelSpec(
        "edit", "photo", "x", lambda: None, brighter, options={"crop": "square"}, texts=EDIT_TEXTS, check=read_edit
    )
    with TestClient(create_app(ServiceSettings(), specs=[spec])) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)

        def send(query: str, data: bytes = encode_png(PHOTO)) -> Any:
            return client.post(f"/v1/edit?{query}", content=data, headers={"Content-Type": "image/png"})

        answer = send("age=60&words=smiling&crop=true")
        assert answer.status_code == 200, answer.text
        (face,) = answer.json()["faces"]
        assert decode_photo(base64.b64decode(face["png"])).mean() == pytest.approx(140, abs=3)
        assert JOBS[-1].options == {"crop": True, "words": "smiling", "avoid": "", "age": "60", "sex": ""}
        for query, words in (
            ("", "nothing to change given"),
            ("sex=robot", "sex: 'robot' given; allowed: female, male"),
            ("age=old", "age: 'old' given"),
            ("year=60", "year: no such parameter here; allowed: crop, words, avoid, age, sex"),
        ):
            refused = send(query, b"no picture at all")
            assert refused.status_code == 422
            assert words in refused.json()["error"]
        assert len(JOBS) == 1
