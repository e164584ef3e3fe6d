"""The tab Character: thirteen pictures of one person, told and kept as the other tabs do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

from browsing import Visit
from studio_live import studio

from mien.apps.studio import character
from mien.apps.studio.character import CharacterTab, make
from mien.apps.studio.state import StudioState
from mien.apps.web.models import ModelSpec
from mien.apps.web.settings import ServiceSettings
from mien.core.errors import WeightsError
from mien.pipelines.character import ROWS, CharacterPart, load_character
from mien.pipelines.pictures import Picture
from mien.pipelines.request import imagine_request


class Discs:
    """Stands for the painter: each picture is of one grey, by its number."""

    def pictures(self, part: CharacterPart) -> list[Picture]:
        return [
            Picture(
                np.full((32, 32, 3), 10 * k, np.uint8),
                {"file": f"{k:05d}.png", "model": "discs", "model_version": "1", "variation": f"no. {k}"},
            )
            for k in range(part.first, part.first + part.count)
        ]


SPEC = ModelSpec(character.MODEL, "faces", "Discs", Discs, make)


@pytest.fixture
def tab() -> Iterator[CharacterTab]:
    """The tab's events with discs for the painter."""
    state = StudioState(ServiceSettings(port=0), [SPEC])
    state.start(warm="")
    yield CharacterTab(state)
    state.stop()


def last(shown: Iterator[Sequence[Any]]) -> Sequence[Any]:
    """What stands there in the end."""
    return list(shown)[-1]


def test_thirteen_pictures_can_be_seen_and_saved(tab: CharacterTab) -> None:
    steps = list(tab.made("a woman of 30 with a tattoo and curly hair", "7"))
    assert "Understood: woman, 30 years, curly hair" in steps[0][0]
    assert "tattoo" in steps[0][0]
    page = steps[-1][2]
    addresses = re.findall(r'<img src="([^"]+)"', page)
    assert len(addresses) == sum(ROWS)
    assert all(tab.state.kept(address) is not None for address in addresses)
    assert [head in page for head in character.HEADS] == [True] * 3
    assert 'download="character-7.png"' in page
    archive = re.search(r'href="([^"]+)" download="character.zip"', page)
    assert archive is not None
    assert tab.state.kept(archive[1]) is not None


@pytest.mark.parametrize(
    ("words", "seed", "sentence"),
    [
        ("", "", "Words: none given; say who it is"),
        ("a woman", "x", "Seed: "),
        ("a woman", "-1", "Seed: "),
        ("two women", "1", "count"),
    ],
)
def test_what_is_wrong_is_told_beside_the_words(tab: CharacterTab, words: str, seed: str, sentence: str) -> None:
    assert sentence in last(tab.made(words, seed))[0]


def test_a_model_that_fails_leaves_a_sentence_and_no_half_sheet() -> None:
    def broken(_: Any, jobs: Sequence[Any]) -> list[Any]:
        return [WeightsError("painter.safetensors: damaged") for _ in jobs]

    state = StudioState(ServiceSettings(port=0), [replace(SPEC, make=broken)])
    state.start(warm="")
    _, status, sheet, _ = last(CharacterTab(state).made("a woman", "1"))
    state.stop()
    assert "damaged" in status
    assert sheet == ""


def test_an_address_tells_a_person_and_others_tell_nothing(tab: CharacterTab) -> None:
    words, seed, *_, page, _ = last(tab.restore({"words": "a woman", "seed": "3"}))
    assert (words, seed) == ("a woman", "3")
    assert "seed=3" in page
    assert list(tab.restore({"words": "a woman"})) == []


def test_rows_are_the_pictures_of_the_command_line() -> None:
    maker, request = load_character(), imagine_request("a man of 40", seed=5, size_px=128).request
    whole = maker.sampler(request).make(0, 3)
    part = load_character().pictures(CharacterPart(request, 2, 1))[0]
    assert part.row["variation"] == "ahead"
    assert np.array_equal(part.image, whole[2])


@pytest.mark.browser
@pytest.mark.slow
def test_a_person_makes_a_character_in_a_browser(visit: Callable[..., Visit]) -> None:
    with studio(SPEC) as address:
        page = visit(address).open("?tab=character&words=a+woman&seed=3")
        page.wait_for_selector("#character-sheet .tile img >> nth=12")
        assert page.inner_text("#character-sheet h3 >> nth=2") == "Ages"
        page.fill("#character-words textarea", "old man, grey beard")
        page.click("#character-go")
        page.wait_for_selector("#character-said :text('Understood: man')")
        page.wait_for_selector("#character-sheet .tile img >> nth=12")
