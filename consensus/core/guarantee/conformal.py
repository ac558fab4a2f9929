"""Reports with a guarantee: gold tasks, drawn at random, say how much may be put into a report."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from common.contract import ReportName
from consensus.core.arrays import Codes, Flags, Floats
from consensus.core.decide.scoring import Scored
from consensus.core.guarantee.expected_precision import expected_at_lines, prospect_of
from consensus.core.guarantee.gold_sample import fewest_gold, most_forgiven
from consensus.core.votes.classifications import Classifications, Gold, truth_of
from consensus.core.votes.votes import Choice
from consensus.errors import VotesError

EVEN = 0.5
"""Posterior on whose right side a classification must lie: no label is confirmed that the model thinks wrong."""
FORGIVEN = 2
"""Wrong gold tasks that must be affordable for gold to draw the line; with fewer, all or nothing reports more."""
ROUNDING = 1 + 1e-12
"""Lest the rounding of a product refuse what is just allowed."""

NO_GOLD = Gold(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=bool))
"""What a fit may know of gold that calibrates: nothing."""


@dataclass(frozen=True)
class Grounds:
    """Why a report with a guarantee holds what it holds; all numbers are tasks.

    Attributes
    ----------
    drawn_by_gold : bool
        Whether gold drew the line (conformal selection), or allowed or forbade the model's line.
    candidates : int
        In question, gold left out.
    gold : int
        Gold tasks among those in question.
    wrong : int
        Gold tasks that would be wrong in the report: at its line or, where it is empty, among all in question.
    forgiven : int
        How many of them may be wrong, or -1: `gold` is too little for any.
    tasks : int
        In the report, gold left out.
    needed : int
        Where `gold` is too little: the fewest gold tasks among those in question that could do; else 0.
    """

    report: ReportName
    drawn_by_gold: bool
    candidates: int
    gold: int
    wrong: int
    forgiven: int
    tasks: int
    needed: int


@dataclass(frozen=True, eq=False)
class _Question:
    """The classifications that a report is about, from the surest on, and their tasks.

    Attributes
    ----------
    row : (n,) int64
        Positions in the result.
    doubt : (n,) float64
        Posterior probability that the row would be wrong in the report, ascending.
    enters : (n_tasks,) float64
        Doubt from which on a task is in the report.
    fails : (n_gold,) float64
        Doubt from which on a gold task is wrong in the report, infinite where it never is.
    is_gold : (n_tasks,) bool
    """

    row: np.typing.NDArray[np.intp]
    doubt: Floats
    enters: Floats
    fails: Floats
    is_gold: Flags

    def sizes(self, line: float) -> tuple[int, int, int]:
        """Tasks with at most this doubt that are not gold, gold tasks among them, and those that are wrong."""
        inside = self.enters <= line
        return (
            int((inside & ~self.is_gold).sum()),
            int((inside & self.is_gold).sum()),
            int((self.fails <= line).sum()),
        )


_ABOUT: dict[ReportName, tuple[Callable[[Classifications], Flags], bool]] = {
    "AllConfirmed": (lambda rows: rows.given, True),
    "Discovered": (lambda rows: ~rows.given, True),
    "MisClassified": (lambda rows: rows.given, False),
}
"""Report to which classifications it is about, and whether it says that they are right."""


def guarantee(scored: Scored, gold: Gold, alpha: float, choice: Choice) -> tuple[Scored, list[Grounds]]:
    """Put into AllConfirmed, Discovered and MisClassified what gold tasks allow, in the place of the policy's own.

    Of each of the three reports: over the random draw of the gold tasks, the expected share of tasks that are
    wrong in it, among its tasks that are not gold, is at most `alpha`; a report that is empty has no wrong share.
    A task is wrong in a report that says something untrue of any of its labels. Nothing is assumed of the model
    or the annotators. Gold tasks are reported where the report is right about them.

    Where gold affords `FORGIVEN` wrong tasks, it draws the line (conformal selection). With less gold the model
    draws the line, where it expects most to be reported, and gold allows all or nothing (`most_forgiven`).

    Parameters
    ----------
    scored : Scored
        Of a fit that gold did not teach.
    gold : Gold
        Of tasks drawn at random. A label `NO_LABEL` is one that is not among the names. For a single choice the
        right labels suffice; elsewhere a classification of a gold task that gold does not name counts as wrong
        in whatever report.
    alpha : float
        In (0, 1).
    choice : {"single", "multiple", "each"}
        Of the votes.

    Returns
    -------
    scored : Scored
        With other reports.
    grounds : list of Grounds
        One per report with a guarantee.

    Raises
    ------
    VotesError
        Where `alpha` is out of its range.

    References
    ----------
    Y. Jin and E. J. Candès, "Selection by prediction with conformal p-values", Journal of Machine Learning
    Research 24 (2023), no. 244. https://jmlr.org/papers/v24/22-1176.html
    """
    check_alpha(alpha)
    rows = scored.classifications
    known_right, known_wrong = truth_of(rows, gold, choice)
    on_gold = np.isin(rows.task, gold.task)
    report = scored.report.copy()
    report[np.isin(report, list(_ABOUT))] = ""
    grounds = []
    for name, (about, says_right) in _ABOUT.items():
        doubt = 1 - scored.posterior if says_right else scored.posterior
        voted = scored.counts.yes + scored.counts.no > 0
        proven = known_right if says_right else known_wrong
        question = _question(about(rows) & voted & (doubt < EVEN), doubt, rows.task, on_gold, proven)
        line, why = _draw_line(name, question, alpha)
        inside = question.row[question.doubt <= line]
        report[inside[~on_gold[inside] | proven[inside]]] = name
        grounds.append(why)
    return replace(scored, report=report), grounds


def check_alpha(alpha: float) -> None:
    """Refuse a guarantee that is no share.

    Raises
    ------
    VotesError
        Where it does not lie between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise VotesError(f"the guarantee is {alpha:g}; use a share between 0 and 1, as in 0.05")


def _question(candidates: Flags, doubt: Floats, task: Codes, on_gold: Flags, proven: Flags) -> _Question:
    row = np.flatnonzero(candidates)
    row = row[np.argsort(doubt[row], kind="stable")]
    _, of_task = np.unique(task[row], return_inverse=True)
    n_tasks = int(of_task.max(initial=-1)) + 1
    enters, fails, is_gold = np.full(n_tasks, np.inf), np.full(n_tasks, np.inf), np.zeros(n_tasks, dtype=bool)
    np.minimum.at(enters, of_task, doubt[row])
    np.minimum.at(fails, of_task, np.where(proven[row], np.inf, doubt[row]))
    is_gold[of_task] = on_gold[row]
    return _Question(row, doubt[row], enters, fails[is_gold], is_gold)


def _draw_line(report: ReportName, question: _Question, alpha: float) -> tuple[float, Grounds]:
    """Doubt up to which classifications are reported, below 0 for none, and why.

    The way and the model's line depend on how many tasks are gold; would they depend on which are, or on what
    these say, the promise would not hold.
    """
    candidates, gold, _ = question.sizes(EVEN)
    if alpha * (gold + 1) >= 1 + FORGIVEN:
        return _line_by_gold(report, question, alpha, candidates, gold)
    prospect = prospect_of(question.enters)
    expected = expected_at_lines(prospect, gold, alpha)
    best = int(np.argmax(expected)) if expected.any() else -1  # where nothing can pass, say so of all
    return _line_by_model(report, question, alpha, float(prospect.line[best]) if len(prospect.line) else -1.0)


def _line_by_gold(
    report: ReportName, question: _Question, alpha: float, candidates: int, gold: int
) -> tuple[float, Grounds]:
    """Conformal selection: the last line with (1 + wrong gold) * candidates / (gold + 1) <= alpha * reported."""
    lines = np.unique(question.enters)
    wrong = np.searchsorted(np.sort(question.fails), lines, side="right")
    reported = np.searchsorted(np.sort(question.enters[~question.is_gold]), lines, side="right")
    affordable = alpha * reported * (gold + 1) / max(candidates, 1) * ROUNDING
    good = np.flatnonzero(1 + wrong <= affordable)
    last = int(good[-1]) if good.size else -1
    why = Grounds(
        report=report,
        drawn_by_gold=True,
        candidates=candidates,
        gold=gold,
        wrong=int(wrong[last]),
        forgiven=int(affordable[last]) - 1,
        tasks=int(reported[last]) if good.size else 0,
        needed=0,
    )
    return (float(lines[last]) if good.size else -1.0), why


def _line_by_model(report: ReportName, question: _Question, alpha: float, line: float) -> tuple[float, Grounds]:
    """All or nothing up to a line, as the gold tasks there allow."""
    candidates, gold, wrong = question.sizes(line)
    size = candidates + gold
    forgiven = most_forgiven(size, gold, alpha) if size else -1
    allowed = wrong <= forgiven
    why = Grounds(
        report=report,
        drawn_by_gold=False,
        candidates=candidates,
        gold=gold,
        wrong=wrong,
        forgiven=forgiven,
        tasks=candidates if allowed else 0,
        needed=fewest_gold(size, alpha) if size and forgiven < 0 else 0,
    )
    return (line if allowed else -1.0), why
