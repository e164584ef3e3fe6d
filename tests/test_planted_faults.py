"""The short list of planted faults: the whole run is ``python tests/planted_faults.py``."""

from __future__ import annotations

import pytest
from planted_faults import ALL, FAULTS, LAST_DAY, SOURCE, Fault, noticed


def test_every_fault_can_be_planted() -> None:
    """The line that a fault replaces is still there, once; a fault that cannot be planted proves nothing."""
    for fault in ALL:
        assert (SOURCE / fault.file).read_text().count(fault.old) == 1, fault.name
        assert fault.old != fault.new
    assert len({fault.name for fault in ALL}) == len(ALL) == 80


@pytest.mark.parametrize("fault", [FAULTS[3], FAULTS[8], FAULTS[13]], ids=lambda fault: fault.name)
def test_tests_notice(fault: Fault) -> None:
    assert noticed(fault, ("test_papers_as_printed.py",)) is not None


def test_tests_notice_a_fault_of_draw() -> None:
    assert noticed(LAST_DAY[2], ("test_papers_draw.py",)) is not None


def test_what_changes_nothing_survives() -> None:
    """Else the run would call every fault noticed."""
    harmless = Fault("a comment", "core/losses.py", "# Others.", "# The others.")
    assert noticed(harmless, ("test_core_losses.py",)) is None
