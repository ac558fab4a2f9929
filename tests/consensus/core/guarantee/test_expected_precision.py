import numpy as np
import pytest

from consensus.core.guarantee.expected_precision import LINES, OFF, expected_at_lines, prospect_of


def test_lines_are_the_doubts_thinned_out() -> None:
    """From the strictest to the last, with the tasks up to each and their mean doubt."""
    found = prospect_of(np.repeat(np.linspace(0, 0.4, 101), 2))
    assert len(found.line) == LINES
    assert (found.line[0], found.line[-1]) == (0.0, 0.4)
    assert (found.size[0], found.size[-1]) == (2, 202)
    assert found.doubt[-1] == pytest.approx(0.2)
    assert len(prospect_of(np.zeros(0)).line) == 0


def test_what_is_expected_at_a_line_is_its_tasks_times_the_chance_to_pass() -> None:
    """Four gold tasks in a hundred forgive none at .1: all four must be right. Two in half of them are too few."""
    doubt = 0.1
    found = prospect_of(np.array([doubt] * 50 + [doubt + 1e-9] * 50))
    expected = expected_at_lines(found, 4, 0.1)
    assert expected[0] == 0
    assert expected[1] == pytest.approx(100 * np.mean([(1 - off * doubt) ** 4 for off in OFF]))
