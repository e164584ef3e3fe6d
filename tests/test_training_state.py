"""What a run says it has seen before another starts with its networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.core.files import write_json
from mien.training.state import initial_weights, write_checkpoint


@pytest.mark.parametrize("before", [{}, {"images_before": 100}, {"codes_before": 70}])
def test_what_was_seen_adds_up_over_runs(before: dict[str, int], tmp_path: Path) -> None:
    groups = {"network-density": {"a": torch.zeros(2)}, "average-density": {"a": torch.ones(2)}}
    write_checkpoint(tmp_path, 3, groups, {}, keep=1)
    write_json(tmp_path / "run.json", {"config": before, "loop": {"batch_size": 4}, "processes": 2})
    weights, seen = initial_weights(tmp_path)
    assert seen == 3 * 4 * 2 + sum(before.values())
    assert torch.equal(weights["density"]["a"], torch.ones(2))
