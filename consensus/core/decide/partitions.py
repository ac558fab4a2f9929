"""Score votes in parts, each of some of the tasks, that need not be in one memory nor on one machine.

A pass says what holds for all parts (whether the given labels have something to say), one lays the items out, the
rounds of learning take sums from each part's items (`consensus.core.model.em`), and a last pass decides. The steps
are those of `consensus.core.decide.scoring.score`, and so are the numbers, up to the rounding of sums.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.decide.policies import POLICIES
from consensus.core.decide.scoring import Scored, check_codes, check_trust, decide
from consensus.core.decide.thresholds import Thresholds
from consensus.core.model.em import Over
from consensus.core.model.given_label_voter import add_witness, said_by_witness, says
from consensus.core.model.models import Size, lay_out
from consensus.core.model.trust import Learned
from consensus.core.model.voters import Heard, hear, learn_heard, look_up_heard
from consensus.core.votes.classifications import Classifications, Gold, Listed, classify, lists_all_of
from consensus.core.votes.label_matrix import Items
from consensus.core.votes.votes import Votes

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the tasks, with all votes on them.

    Attributes
    ----------
    votes : Votes
        Tasks are named and numbered within the part, annotators and labels as in all parts.
    listed : Listed
    gold : Gold
    """

    votes: Votes
    listed: Listed
    gold: Gold


class Parts(Protocol):
    """Where parts are: in memory, on disk, on other machines."""

    @property
    def nobody(self) -> Votes:
        """No votes on no tasks, with the choice, the annotators and the labels of all parts."""
        ...

    @property
    def n_tasks(self) -> int:
        """Tasks of all parts."""
        ...

    @property
    def n_votes(self) -> int:
        """Votes of all parts."""
        ...

    def over(self, function: Callable[[Part], Found], /) -> Iterable[Found]:
        """Call a function with each part and yield what it returns, in the order of the parts."""
        ...

    def keep(self, function: Callable[[Part], Items], /) -> tuple[Over, Size]:
        """Make each part's items and keep them for the rounds of learning; `Items.first` counts on through all."""
        ...


@dataclass(frozen=True, eq=False)
class Ground:
    """What holds for all parts before anything is learned.

    Attributes
    ----------
    all_labels : bool
        Whether the labels of a task that nobody chose are classified too.
    witness : bool
        Whether the given labels are heard.
    """

    all_labels: bool
    witness: bool

    def hear(self, part: Part) -> tuple[Classifications, Heard]:
        """Find the rows of the result that a part has, and what is heard of them."""
        rows = classify(part.votes, part.listed, all_labels=self.all_labels)
        heard = part.votes
        if self.witness:
            heard = add_witness(heard, rows, said_by_witness(heard, rows, part.listed))
        return rows, hear(part.votes, heard, rows)


@dataclass(frozen=True, eq=False)
class Ruling:
    """All that is needed to decide on a part.

    Attributes
    ----------
    ground : Ground
    learned : Learned
    fixed_trust : (n_annotators,) float64
    policy : str
    thresholds : Thresholds or None
    """

    ground: Ground
    learned: Learned
    fixed_trust: Floats
    policy: str
    thresholds: Thresholds | None

    def score(self, part: Part) -> Scored:
        """Score a part; its `votes_by_annotator` are those of the part."""
        rows, heard = self.ground.hear(part)
        model = POLICIES[self.policy].model
        laid = lay_out(heard.votes, heard.classifications, part.gold)
        belief = look_up_heard(model, lambda function: [function(laid.items)], laid, self.learned, heard)
        return decide(part.votes, rows, heard, belief, self.fixed_trust, self.policy, self.thresholds)


def learn_parts(
    parts: Parts, fixed_trust: Floats, policy: str = "default", thresholds: Thresholds | None = None
) -> Ruling:
    """Learn from all parts what is needed to decide on each.

    Parameters
    ----------
    parts : Parts
    fixed_trust : (n_annotators,) float64
        Trust set by hand, NaN where it is to be learned.
    policy : str
        A key of `consensus.core.decide.policies.POLICIES`.
    thresholds : Thresholds, optional
        The policy's own by default.

    Returns
    -------
    Ruling

    Raises
    ------
    VotesError
        As `consensus.core.decide.scoring.score`.
    """
    check_trust(fixed_trust, parts.nobody, policy)
    ground = _ground_of(parts)
    over, size = parts.keep(partial(_items_of, ground))
    learned = learn_heard(
        POLICIES[policy].model, over, size, np.minimum(fixed_trust, 1.0), int(ground.witness), None
    )
    return Ruling(ground, learned, fixed_trust, policy, thresholds)


def _ground_of(parts: Parts) -> Ground:
    choice = parts.nobody.choice
    all_labels = lists_all_of(choice, parts.n_tasks, parts.n_votes, parts.nobody.n_labels)
    unheard = Ground(all_labels, witness=False)
    n_said, n_given = np.sum(list(parts.over(partial(_said_in, unheard))), axis=0, initial=0).tolist()
    return Ground(all_labels, witness=says(choice, n_said, n_given))


def _said_in(ground: Ground, part: Part) -> tuple[int, int]:
    """Of how many classifications the given labels speak, and how many of these are given."""
    check_codes(part.votes, part.listed, part.gold)
    if not len(part.listed.task):
        return 0, 0
    rows, _ = ground.hear(part)
    said = said_by_witness(part.votes, rows, part.listed)
    return int(said.sum()), int(rows.given[said].sum())


def _items_of(ground: Ground, part: Part) -> Items:
    _, heard = ground.hear(part)
    return lay_out(heard.votes, heard.classifications, part.gold).items
