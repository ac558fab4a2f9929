"""What a guarantee rests on, in words."""

import math
from collections.abc import Sequence

from consensus.core.guarantee.conformal import Grounds


def guarantee_lines(alpha: float, gold_tasks: int, n_tasks: int, grounds: Sequence[Grounds]) -> list[str]:
    """Say what is guaranteed, and of each report why it holds what it holds.

    Parameters
    ----------
    alpha : float
        In (0, 1).
    gold_tasks, n_tasks : int
        Tasks whose truth is known, and all tasks.

    Examples
    --------
    >>> why = Grounds("Discovered", False, candidates=40, gold=4, wrong=0, forgiven=-1, tasks=0, needed=7)
    >>> for line in guarantee_lines(0.05, 50, 500, [why]):
    ...     print(line)
    Guarantee on 50 gold tasks drawn at random: the expected share of a report that is wrong is at most 0.05
      Discovered: nothing; 4 gold tasks are among the 44 in question, 7 are needed, so about 80 in all
    """
    head = (
        f"Guarantee on {gold_tasks} gold tasks drawn at random: the expected share of a report that is wrong is "
        f"at most {alpha:g}"
    )
    return [head, *(f"  {reason.report}: {_why(reason, n_tasks)}" for reason in grounds)]


def _why(reason: Grounds, n_tasks: int) -> str:
    size = reason.candidates + reason.gold
    if size == 0:
        return "nothing; the model is sure enough of no task"
    wrong_gold = (
        f"{reason.wrong} of {reason.gold} gold tasks in question would be wrong there, "
        f"{max(reason.forgiven, 0)} may be"
    )
    if reason.tasks:
        return f"{reason.tasks} tasks; {wrong_gold}"
    if reason.forgiven >= 0 or reason.drawn_by_gold:
        return f"nothing; {wrong_gold}"
    in_all = math.ceil(reason.needed * max(n_tasks, size) / size)
    return (
        f"nothing; {reason.gold} gold tasks are among the {size} in question, {reason.needed} are needed, "
        f"so about {in_all} in all"
    )
