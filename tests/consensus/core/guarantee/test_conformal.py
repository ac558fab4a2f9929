from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import few_examples, gold_of, listed_of, question, scored

from consensus.core.arrays import Flags, Floats
from consensus.core.decide.scoring import Scored
from consensus.core.guarantee.conformal import FORGIVEN, NO_GOLD, Grounds, guarantee
from consensus.core.guarantee.gold_sample import most_forgiven, worst_share
from consensus.core.votes.classifications import Classifications, Tally
from consensus.core.votes.votes import NO_LABEL, Choice
from consensus.errors import VotesError


def made(rows: Sequence[tuple[int, int, bool, float]], n_labels: int = 2) -> Scored:
    """A result from rows of (task, label, given, posterior), each with one yes."""
    task, label, is_given, posterior = (np.array(column) for column in zip(*rows, strict=True))
    ones, none = np.ones(len(rows)), np.zeros(len(rows))
    empty = np.zeros(0)
    return Scored(
        classifications=Classifications(
            task.astype(np.int32), label.astype(np.int32), is_given.astype(bool), is_given.astype(bool), n_labels
        ),
        counts=Tally(ones, none, none),
        confidence=posterior / 2,
        posterior=posterior,
        report=np.full(len(rows), "", dtype=object),
        **{name: empty for name in Scored.__dataclass_fields__ if name not in SET},
    )


SET = {"classifications", "counts", "confidence", "posterior", "report"}


def given_labels(posterior: Floats) -> Scored:
    """One task a posterior, of which label 0 is given."""
    return made([(task, 0, True, float(one)) for task, one in enumerate(posterior)])


def draw(
    result: Scored, right: Flags, drawn: np.ndarray, alpha: float, choice: Choice = "each"
) -> tuple[float, int]:
    """Share of the tasks wrong in AllConfirmed that are not gold, and their number."""
    rows = result.classifications
    on_gold = np.isin(rows.task, drawn)
    gold = gold_of(zip(rows.task[on_gold], rows.label[on_gold], right[on_gold], strict=True))
    reported = (guarantee(result, gold, alpha, choice)[0].report == "AllConfirmed") & ~on_gold
    tasks, bad = set(rows.task[reported].tolist()), set(rows.task[reported & ~right].tolist())
    return (len(bad) / len(tasks) if tasks else 0.0), len(tasks)


def mean_over_draws(
    result: Scored, right: Flags, gold: int, alpha: float, draws: int
) -> tuple[float, float, float]:
    """Mean share wrong over draws of gold tasks, its Monte-Carlo error, and the mean number of tasks reported."""
    generator = np.random.default_rng(7)
    tasks = np.unique(result.classifications.task)
    found = [draw(result, right, generator.choice(tasks, gold, replace=False), alpha) for _ in range(draws)]
    wrong, reported = np.array(found).T
    return float(wrong.mean()), float(wrong.std() / draws**0.5), float(reported.mean())


TASK = st.tuples(
    st.sampled_from([0.99, 0.9, 0.8, 0.7, 0.6]), st.booleans(), st.sampled_from([0.95, 0.75, 0.4]), st.booleans()
)


@few_examples
@given(st.lists(TASK, min_size=7, max_size=8), st.integers(3, 6), st.sampled_from([0.15, 0.3, 0.5, 0.6, 0.75]))
def test_over_all_draws_the_share_wrong_is_at_most_alpha(
    tasks: list[tuple[float, bool, float, bool]], n_gold: int, alpha: float
) -> None:
    """Counted draw by draw, whatever the posteriors, ties and truths of tasks with two given labels each."""
    result = made(
        [(task, label, True, row[2 * label]) for task, row in enumerate(tasks) for label in (0, 1)]  # type: ignore[misc]
    )
    right = np.array([row[2 * label + 1] for row in tasks for label in (0, 1)])
    draws = [draw(result, right, np.array(drawn), alpha)[0] for drawn in combinations(range(len(tasks)), n_gold)]
    assert np.mean(draws) <= alpha + 1e-12


def test_where_gold_draws_the_line_the_promise_is_used_up() -> None:
    """The share wrong is just below alpha; had wrong gold been counted one lower, it would be above."""
    posterior = np.linspace(0.999, 0.501, 400)
    right = np.arange(400) < 300
    wrong, error, reported = mean_over_draws(given_labels(posterior), right, 100, 0.05, 300)
    assert 0.035 < wrong <= 0.05 + 3 * error
    assert reported > 0.97 * 225


@pytest.mark.parametrize("gold", [8, 20, 40])
def test_where_the_model_draws_the_line_the_worst_case_is_attained(gold: int) -> None:
    """The worst number of wrong tasks reaches what theory says, below alpha; one more forgiven would break it."""
    size, alpha = 200, 0.05
    forgiven = most_forgiven(size, gold, alpha)
    worst = worst_share(size, gold, forgiven)
    number = next(
        wrong for wrong in range(1, size) if _share(size, wrong, gold, forgiven) == pytest.approx(worst, rel=1e-9)
    )
    result = given_labels(np.full(size, 0.97))
    measured, error, _ = mean_over_draws(result, np.arange(size) >= number, gold, alpha, 1000)
    assert abs(measured - worst) < 4 * error
    assert worst <= alpha < worst_share(size, gold, forgiven + 1)


def _share(size: int, wrong: int, gold: int, forgiven: int) -> float:
    """Expected share wrong where this many are: by the hypergeometric distribution."""
    ways = [np.prod([(size - wrong - i) / (size - i) for i in range(gold)])]
    for k in range(forgiven):
        ways.append(ways[-1] * (wrong - k) * (gold - k) / ((k + 1) * (size - wrong - gold + k + 1)))
    return float(sum(p * (wrong - k) / (size - gold) for k, p in enumerate(ways)))


def grounds_of(result: Scored, gold: list[tuple[int, int, bool]], alpha: float) -> dict[str, Grounds]:
    """The grounds of each report."""
    return {one.report: one for one in guarantee(result, gold_of(gold), alpha, "single")[1]}


def test_each_report_has_its_own_line_and_gold() -> None:
    """Two labels of 40 tasks each way; of the ten gold tasks the report tells what it knows."""
    rows = [
        (task, label, label == 0, 0.99 if (label == 0) == (task < 20) else 0.01)
        for task in range(40)
        for label in (0, 1)
    ]
    gold = [(task, int(task >= 20), True) for task in range(15, 25)]
    result, _ = guarantee(made(rows), gold_of(gold), 0.1, "single")
    given_label, other = result.report[::2].tolist(), result.report[1::2].tolist()
    assert given_label == ["AllConfirmed"] * 20 + ["MisClassified"] * 20
    assert other == [""] * 20 + ["Discovered"] * 20
    expected = Grounds(
        "AllConfirmed", drawn_by_gold=False, candidates=15, gold=5, wrong=0, forgiven=0, tasks=15, needed=0
    )
    assert grounds_of(made(rows), gold, 0.1)["AllConfirmed"] == expected


def test_a_gold_task_is_reported_where_the_report_is_right_about_it() -> None:
    """Of 30 gold tasks one is wrong, which is forgiven, but not reported."""
    result, grounds = guarantee(
        given_labels(np.full(60, 0.99)), gold_of([(n, 0, n > 0) for n in range(30)]), 0.1, "each"
    )
    assert result.report.tolist() == [""] + ["AllConfirmed"] * 59
    assert grounds[0] == Grounds(
        "AllConfirmed", drawn_by_gold=True, candidates=30, gold=30, wrong=1, forgiven=2, tasks=30, needed=0
    )


def test_too_few_gold_tasks_report_nothing_and_say_how_many_are_needed() -> None:
    """At alpha .05 seven are needed where there is room for many; none wrong among three proves nothing."""
    result, grounds = guarantee(
        given_labels(np.full(500, 0.99)), gold_of([(n, 0, True) for n in range(3)]), 0.05, "each"
    )
    assert set(result.report.tolist()) == {""}
    assert grounds[0] == Grounds(
        "AllConfirmed", drawn_by_gold=False, candidates=497, gold=3, wrong=0, forgiven=-1, tasks=0, needed=7
    )
    assert grounds[1] == Grounds(
        "Discovered", drawn_by_gold=False, candidates=0, gold=0, wrong=0, forgiven=-1, tasks=0, needed=0
    )


def test_the_model_leaves_out_what_it_doubts() -> None:
    """Ten gold tasks forgive none of 200; with half of them in doubt it is better to ask for the other half."""
    result = given_labels(np.array([0.999] * 100 + [0.6] * 100))
    reported, grounds = guarantee(result, gold_of([(n, 0, n < 100) for n in range(0, 200, 10)]), 0.05, "each")
    assert reported.report.tolist() == ["AllConfirmed"] * 100 + [""] * 100
    assert (grounds[0].gold, grounds[0].wrong, grounds[0].forgiven) == (10, 0, 0)


def test_other_reports_stay_and_those_of_the_policy_go() -> None:
    """Controversial and NoVotes promise nothing; what nobody voted on is never confirmed."""
    result = given_labels(np.full(4, 0.9))
    result.report[:] = ["AllConfirmed", "Controversial", "NoVotes", "MisClassified"]
    allowed, _ = guarantee(result, NO_GOLD, 0.05, "each")
    assert allowed.report.tolist() == ["", "Controversial", "NoVotes", ""]
    assert result.report.tolist()[0] == "AllConfirmed"
    silent = scored(question(yes=0), listed=listed_of([(0, 0, True)]))
    assert guarantee(silent, NO_GOLD, 0.5, "each")[0].report.tolist() == ["NoVotes"]


def test_what_the_model_thinks_wrong_is_not_confirmed() -> None:
    """However much of it gold would allow."""
    result = given_labels(np.array([0.9] * 50 + [0.4] * 50))
    gold = gold_of([(n, 0, True) for n in range(0, 100, 2)])
    assert guarantee(result, gold, 0.1, "each")[0].report.tolist() == ["AllConfirmed"] * 50 + [""] * 50


@pytest.mark.parametrize(
    ("choice", "gold", "wrong"),
    [
        ("single", [(0, 1, True)], 1),
        ("single", [(0, int(NO_LABEL), True)], 1),
        ("single", [(0, 0, True)], 0),
        ("single", [(0, 1, False)], 1),
        ("each", [(0, 1, True)], 1),
        ("each", [(0, 0, False)], 1),
        ("each", [(0, 0, True)], 0),
    ],
)
def test_what_gold_says_of_a_given_label(choice: Choice, gold: list[tuple[int, int, bool]], wrong: int) -> None:
    """Another right label makes it wrong in a single choice; what gold is silent about counts as wrong."""
    _, grounds = guarantee(given_labels(np.full(4, 0.99)), gold_of(gold), 0.5, choice)
    assert (grounds[0].gold, grounds[0].wrong) == (1, wrong)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_a_guarantee_that_is_no_share_is_refused(alpha: float) -> None:
    """Nothing can be promised of none, and nothing is promised by all."""
    with pytest.raises(VotesError, match=r"the guarantee is .*; use a share between 0 and 1, as in 0.05"):
        guarantee(given_labels(np.full(2, 0.9)), NO_GOLD, alpha, "each")


def test_gold_draws_the_line_where_it_can_forgive_enough() -> None:
    """At alpha .1 with 29 gold tasks among those in question, not with 28."""
    result = given_labels(np.full(100, 0.99))
    drawn = [
        grounds_of(result, [(n, 0, True) for n in range(n_gold)], 0.1)["AllConfirmed"].drawn_by_gold
        for n_gold in (28, 29)
    ]
    assert (drawn, FORGIVEN) == ([False, True], 2)
