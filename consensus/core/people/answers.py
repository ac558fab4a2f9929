"""Answers: one row per question that an annotator answered, as the facts about people count them."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags
from consensus.core.votes.classifications import pack, unpack
from consensus.core.votes.votes import NO_LABEL, UNSURE, YES, Votes, spelled_out

YES_CODE, NO_CODE = 0, 1
"""The two answers to a question that is about one label."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Who answered what; unsure votes are no answers.

    A single choice asks one question a task, whose answers are the labels. A multiple choice and a verification
    ask one question a (task, label), whose answers are `YES_CODE` and `NO_CODE`.

    Attributes
    ----------
    question, annotator, answer : (n_rows,) int32
        Ordered by question, then annotator.
    task : (n_questions,) int32
        Code of the task that a question is about.
    topic : (n_questions,) int32
        Code of the label that a question is about; 0 throughout for a single choice.
    n_annotators, n_answers : int
        How many annotators and different answers there are.
    together : int
        How many questions an annotator answers by one annotation: such answers are no independent evidence.
    """

    question: Codes
    annotator: Codes
    answer: Codes
    task: Codes
    topic: Codes
    n_annotators: int
    n_answers: int
    together: int

    def __len__(self) -> int:
        return len(self.question)

    @property
    def n_questions(self) -> int:
        """Number of questions that somebody answered."""
        return len(self.task)


def answers_of(votes: Votes) -> Answers:
    """Turn votes into answers.

    Parameters
    ----------
    votes : Votes
        One stand per annotator and classification (see `consensus.core.votes.votes.latest`).

    Examples
    --------
    >>> codes, names = np.arange(2, dtype=np.int32), np.array(["x", "y"], dtype=object)
    >>> votes = Votes("single", np.zeros_like(codes), codes, codes, np.ones(2, dtype=np.int8), names, names, names)
    >>> answers_of(votes).answer.tolist()
    [0, 1]
    """
    if votes.choice == "single":
        spoken = votes.rows(votes.label != NO_LABEL)
        return _ordered(spoken, spoken.label, np.zeros_like(spoken.label), votes.n_labels, 1)
    each = spelled_out(votes) if votes.choice == "multiple" else votes
    spoken = each.rows(each.vote != UNSURE)
    answer = np.where(spoken.vote == YES, YES_CODE, NO_CODE).astype(np.int32)
    together = max(len(np.unique(spoken.label[answer == YES_CODE])), 1) if votes.choice == "multiple" else 1
    return _ordered(spoken, answer, spoken.label, 2, together)


def _ordered(votes: Votes, answer: Codes, topic: Codes, n_answers: int, together: int) -> Answers:
    keys, question = np.unique(pack(votes.task, topic, votes.n_labels), return_inverse=True)
    task, topics = unpack(keys, votes.n_labels)
    order = np.lexsort((votes.annotator, question))
    return Answers(
        question=question[order].astype(np.int32),
        annotator=votes.annotator[order],
        answer=answer[order].astype(np.int32),
        task=task,
        topic=topics,
        n_annotators=votes.n_annotators,
        n_answers=n_answers,
        together=together,
    )


def chosen(answers: Answers, rows: Flags) -> Answers:
    """Return some of the rows; questions keep their codes, so that some may be without an answer."""
    return Answers(
        answers.question[rows],
        answers.annotator[rows],
        answers.answer[rows],
        answers.task,
        answers.topic,
        answers.n_annotators,
        answers.n_answers,
        answers.together,
    )
