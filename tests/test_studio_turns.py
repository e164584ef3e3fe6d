"""What a stopped turn says last: words of older work that arrive late do not stand over those of the newer turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

from service_live import FAKES, fake_crowd
from studio_live import held

from mien.apps.studio import crowd, describe
from mien.apps.studio.state import StudioState
from mien.apps.web.settings import ServiceSettings


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def state(gate: threading.Event) -> Iterator[StudioState]:
    """A studio whose models wait for the gate."""
    found = StudioState(ServiceSettings(stop_seconds=2), [*(held(spec, gate) for spec in (*FAKES, fake_crowd()))])
    found.start()
    yield found
    gate.set()
    found.stop()


def test_a_stopped_crowd_ends_with_the_word_of_the_stop(state: StudioState) -> None:
    tab, session = crowd.CrowdTab(state), crowd.CrowdSession()
    making = tab.again(session)
    assert "Making faces" in next(making)[2]
    stopped = list(tab.act(session, "stop", -1, -1))
    assert "Stopped" in stopped[-1][2]
    assert list(making)[-1][2] == stopped[-1][2]


def test_an_older_crowd_ends_with_what_the_newer_says(state: StudioState, gate: threading.Event) -> None:
    tab, session = crowd.CrowdTab(state), crowd.CrowdSession()
    old = tab.again(session)
    next(old)
    new = tab.again(session)
    next(new)
    gate.set()
    assert "faces: " in list(new)[-1][2]
    assert list(old)[-1][2] == session.said


def test_a_stopped_reading_ends_with_the_word_of_the_stop(state: StudioState) -> None:
    tab, session = describe.DescribeTab(state), describe.DescribeSession()
    session.token = state.take_in("a.png", np.zeros((32, 32, 3), np.uint8))
    reading: Iterator[Any] = tab.again(session, False)
    assert "Reading" in next(reading)[2]
    assert list(tab.act(session, "stop", -1, -1))[-1][2] == describe.STOPPED
    assert list(reading)[-1][2] == describe.STOPPED
