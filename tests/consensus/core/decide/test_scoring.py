import csv
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import (
    SKIP,
    any_votes,
    chosen,
    few_examples,
    gold_of,
    listed_of,
    posterior_of,
    question,
    scored,
    simulated_choices,
    votes_of,
)

from consensus.core.decide.policies import POLICIES
from consensus.core.decide.scoring import Scored
from consensus.core.decide.thresholds import Thresholds
from consensus.core.votes.votes import Votes, encode, spelled_out
from consensus.errors import VotesError

policies = st.sampled_from(sorted(POLICIES))


def table(votes: Votes, result: Scored) -> dict[tuple[str, str], tuple[float, ...]]:
    """The result by the names of task and label."""
    rows, counts = result.classifications, result.counts
    columns = (rows.given, counts.yes, counts.no, counts.unsure, result.confidence, result.posterior)
    keys = zip(votes.task_names[rows.task], votes.label_names[rows.label], strict=True)
    return dict(zip(keys, zip(*columns, strict=True), strict=True))


def reports(votes: Votes, result: Scored) -> dict[tuple[str, str], str]:
    """The report by the names of task and label."""
    rows = result.classifications
    keys = zip(votes.task_names[rows.task], votes.label_names[rows.label], strict=True)
    return dict(zip(keys, result.report, strict=True))


def permuted(names: np.ndarray, codes: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names in another order, and the codes that keep their meaning."""
    place = np.append(np.argsort(order), -1).astype(np.int32)  # NO_LABEL, the last, stays -1
    return names[order], place[codes]


@few_examples
@given(any_votes(), policies, st.randoms(use_true_random=False))
def test_order_of_rows_and_names_does_not_matter(votes: Votes, policy: str, random: st.DataObject) -> None:
    """Shuffled rows, tasks, annotators and labels give each classification and annotator the same."""
    generator = np.random.default_rng(random.randint(0, 2**32))  # type: ignore[attr-defined]
    rows = votes.rows(generator.permutation(len(votes)))
    task_names, task = permuted(rows.task_names, rows.task, generator.permutation(rows.n_tasks))
    annotators = generator.permutation(rows.n_annotators)
    annotator_names, annotator = permuted(rows.annotator_names, rows.annotator, annotators)
    label_names, label = permuted(rows.label_names, rows.label, generator.permutation(rows.n_labels))
    shuffled = Votes(votes.choice, task, annotator, label, rows.vote, task_names, annotator_names, label_names)
    this, other = scored(votes, policy=policy), scored(shuffled, policy=policy)
    expected, found = table(votes, this), table(shuffled, other)
    assert found.keys() == expected.keys()
    for row, columns in expected.items():
        np.testing.assert_allclose(found[row], columns, atol=1e-9)
    np.testing.assert_allclose(other.trust, this.trust[annotators], atol=1e-9)
    assert other.votes_by_annotator.tolist() == this.votes_by_annotator[annotators].tolist()


@few_examples
@given(any_votes(), policies, st.lists(st.none() | st.floats(0, 1), min_size=5, max_size=5))
def test_every_number_is_a_probability(votes: Votes, policy: str, by_hand: list[float | None]) -> None:
    """Confidence, posterior and trust lie in [0, 1] whatever is voted, and trust set by hand is kept."""
    trust = np.array([np.nan if one is None else one for one in by_hand[: votes.n_annotators]])
    result = scored(votes, trust=trust, policy=policy)
    for column in (result.confidence, result.posterior, result.trust):
        assert ((column >= 0) & (column <= 1)).all()
    kept = ~np.isnan(trust)
    assert result.trust[kept].tolist() == trust[kept].tolist()


@few_examples
@given(any_votes(choices=("single",)))
def test_posterior_of_a_single_choice_sums_to_one(votes: Votes) -> None:
    """Over the labels of each task that has a vote, a skip included."""
    result = scored(votes)
    total = np.bincount(result.classifications.task, result.posterior)
    np.testing.assert_allclose(total[np.unique(votes.task)], 1, atol=1e-9)


@few_examples
@given(any_votes())
def test_equal_trust_is_no_trust(votes: Votes) -> None:
    """Policy label-ai with a trust of 1 for all is the Wilson bound of the plain counts."""
    result = scored(votes, trust=np.ones(votes.n_annotators), policy="label-ai")
    yes, no, unsure = result.counts.yes, result.counts.no, result.counts.unsure
    positive, total, z = 5 + yes, 10 + yes + no + unsure, 1.96
    margin = z * np.sqrt(positive * (total - positive) / total + z**2 / 4)
    np.testing.assert_allclose(result.confidence, (positive + z**2 / 2 - margin) / (total + z**2), atol=1e-12)


@few_examples
@given(any_votes(choices=("multiple",)), policies)
def test_implied_votes_score_as_spelled_out_ones(votes: Votes, policy: str) -> None:
    """A multiple choice is the yes and no that it implies on each label."""
    spelled = spelled_out(votes)
    expected, found = table(votes, scored(votes, policy=policy)), table(spelled, scored(spelled, policy=policy))
    assert found.keys() == expected.keys()
    for row, columns in expected.items():
        np.testing.assert_allclose(found[row], columns, atol=1e-9)


@few_examples
@given(any_votes(choices=("single",), labels=2).filter(lambda votes: votes.n_labels == 2))
def test_two_labels_are_one_question(votes: Votes) -> None:
    """A choice between two labels is a yes or no to the first, and the second is its opposite."""
    pair = votes.rows(votes.label >= 0)
    rows = [
        (task, by, 0, 1 - 2 * label) for task, by, label in zip(pair.task, pair.annotator, pair.label, strict=True)
    ]
    asked = votes_of("each", rows, votes.n_tasks, votes.n_annotators, 1)
    first, both = scored(asked), scored(pair)
    posterior = both.posterior.reshape(-1, 2)
    np.testing.assert_allclose(posterior[:, 0], first.posterior, atol=1e-9)
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(both.trust, first.trust, atol=1e-9)


@pytest.mark.parametrize("n_labels", [2, 3])
def test_unsure_leaves_the_default_policy_alone(n_labels: int) -> None:
    """Skips change the counts of unsure and nothing else under the default policy."""
    answers: dict[tuple[int, int], int | str] = {
        (task, by): (task + (by == 2)) % 2 for task in range(4) for by in (0, 1, 2)
    }
    skips = {(task, 3): SKIP for task in range(4)}
    without = scored(chosen(answers, n_labels, n_annotators=4))
    result = scored(chosen(answers | skips, n_labels))
    assert result.posterior.tolist() == without.posterior.tolist()
    assert result.confidence.tolist() == without.confidence.tolist()
    assert result.report.tolist() == without.report.tolist()
    assert (result.counts.unsure.tolist(), without.counts.unsure.max()) == ([1] * 4 * n_labels, 0)


def test_unsure_leaves_a_question_alone() -> None:
    """A question's unsure votes do not move its posterior, and lower the confidence of label-ai."""
    without = scored(question(3, 1)).posterior
    assert scored(question(3, 1, 5)).posterior.tolist() == pytest.approx(without.tolist(), abs=1e-9)
    all_trusted = {"policy": "label-ai"}
    with_unsure = scored(question(3, 1, 5), trust=np.ones(9), **all_trusted)
    assert with_unsure.confidence < scored(question(3, 1), trust=np.ones(4), **all_trusted).confidence


@pytest.mark.parametrize(("votes", "report"), [(102, ""), (103, "AllConfirmed")])
def test_label_ai_confirms_what_was_given_from_103_votes(votes: int, report: str) -> None:
    """103 unanimous votes of trust 1 confirm a given label, 102 do not."""
    asked = question(votes)
    result = scored(asked, listed=listed_of([(0, 0, True)]), trust=np.ones(votes), policy="label-ai")
    assert result.report.tolist() == [report]


def test_reports_of_a_project_by_hand() -> None:
    """Given and right, given and wrong, candidate and right, and the two that nobody voted on."""
    rows = (
        [(0, by, 0, 1) for by in range(6)]
        + [(0, by, 1, -1) for by in range(6)]
        + [(1, by, 0, 1) for by in range(6)]
    )
    rows += [(1, by, 1, -1) for by in range(6)]
    listed = listed_of([(0, 0, True), (0, 1, True), (1, 0, False), (1, 1, False), (2, 0, True), (2, 1, False)])
    votes = votes_of("each", rows, 3, 6, 2)
    assert reports(votes, scored(votes, listed=listed)) == {
        ("t0", "l0"): "AllConfirmed",
        ("t0", "l1"): "MisClassified",
        ("t1", "l0"): "Discovered",
        ("t1", "l1"): "",
        ("t2", "l0"): "NoVotes",
        ("t2", "l1"): "NoVotes",
    }


def test_skip_alone_leaves_only_what_is_listed_without_votes() -> None:
    """Of three labels of a skipped task the given one lacks votes; under label-ai the skip is a vote."""
    votes, listed = chosen({(0, 0): SKIP}, n_labels=3), listed_of([(0, 1, True)])
    assert scored(votes, listed=listed).report.tolist() == ["", "NoVotes", ""]
    assert scored(votes, listed=listed, policy="label-ai").report.tolist() == ["", "", ""]


def test_thresholds_replace_the_policys() -> None:
    """A lower line confirms what the policy's own does not."""
    votes, listed = question(2), listed_of([(0, 0, True)])
    easy = Thresholds(confirm=0.25, reject=0.1, controversial_votes=5)
    assert scored(votes, listed=listed, policy="label-ai").report.tolist() == [""]
    assert scored(votes, listed=listed, policy="label-ai", thresholds=easy).report.tolist() == ["AllConfirmed"]


def test_votes_by_annotator_count_submissions() -> None:
    """Two labels chosen in one submission are one, a skip is one, and each question is one."""
    multiple = votes_of("multiple", [(0, 0, 0, 1), (0, 0, 1, 1), (1, 0, -1, 0), (0, 1, 0, 1)], 2, 3, 2)
    assert scored(multiple).votes_by_annotator.tolist() == [2, 1, 0]
    assert scored(spelled_out(multiple)).votes_by_annotator.tolist() == [4, 2, 0]


@pytest.mark.parametrize("n_labels", [2, 3])
def test_gold_raises_the_trust_of_those_who_agree(n_labels: int) -> None:
    """Where two contradict each other and have little trust, gold decides whom to trust and whom to believe."""
    votes = chosen({(task, by): (task + by) % 2 for task in range(8) for by in range(2)}, n_labels)
    before, after = scored(votes), scored(votes, gold=gold_of([(task, task % 2, True) for task in range(6)]))
    assert before.trust[0] == pytest.approx(before.trust[1], abs=1e-9)
    assert before.trust[0] < 0.3
    assert after.trust[0] > 0.5
    assert after.trust[1] < before.trust[1] / 2
    assert posterior_of(after, 8, n_labels)[7].argmax() == 1


@pytest.mark.parametrize("n_labels", [2, 3])
def test_trust_set_by_hand_decides(n_labels: int) -> None:
    """One who is trusted outweighs three who are not."""
    votes = chosen({(task, by): int(by == 0) for task in range(2) for by in range(4)}, n_labels)
    result = scored(votes, trust=np.array([0.95, 0.1, 0.1, 0.1]))
    assert posterior_of(result, 2, n_labels).argmax(axis=1).tolist() == [1, 1]


def test_trust_of_more_than_one_counts_as_such_under_label_ai() -> None:
    """One vote of trust 100 with label-ai is a hundred votes of trust 1."""
    one = scored(question(1), trust=np.array([100.0]), policy="label-ai")
    assert one.confidence == pytest.approx(scored(question(100), trust=np.ones(100), policy="label-ai").confidence)
    assert one.trust.tolist() == [100]


@pytest.mark.parametrize("policy", ["default", "label-ai"])
@pytest.mark.parametrize("wrong", [-0.1, -np.inf, np.inf, 1e300])
def test_impossible_trust_is_refused(policy: str, wrong: float) -> None:
    """The message names the annotator, the value, the policy and the limits."""
    with pytest.raises(
        VotesError, match=rf"annotator 'a1' is {re.escape(f'{wrong:g}')}; for policy {policy} .* between 0 and"
    ) as error:
        scored(question(3), trust=np.array([0.5, wrong, np.nan]), policy=policy)
    assert str(error.value).endswith("1" if policy == "default" else "1e+06")


def test_trust_over_one_is_refused_by_the_default_policy() -> None:
    """1 is the most that the default policy can believe."""
    scored(question(1), trust=np.array([1.0]))
    with pytest.raises(VotesError, match=r"is 1\.5; for policy default it must be between 0 and 1"):
        scored(question(1), trust=np.array([1.5]))


@pytest.mark.parametrize("size", [1, 3])
def test_trust_of_another_number_of_annotators_is_refused(size: int) -> None:
    """Each annotator has a trust, to be learned or set."""
    with pytest.raises(VotesError, match=rf"shape \({size},\) is set for 2 annotators"):
        scored(question(2), trust=np.ones(size))


def test_unknown_policy_is_refused() -> None:
    """The message names the policies there are."""
    names = "default, majority, wilson, dawid-skene, label-ai"
    with pytest.raises(VotesError, match=f"policy 'strict' is unknown; use one of {names}"):
        scored(question(1), policy="strict")


@pytest.mark.parametrize("row", [(1, 0, True), (0, 3, True), (0, -1, True), (-1, 0, True)])
def test_what_has_no_name_is_refused(row: tuple[int, int, bool]) -> None:
    """A listed or gold classification outside the names is refused, and lands on no other task."""
    votes = chosen({(0, 0): 0}, n_labels=3)
    with pytest.raises(VotesError, match=r"a listed classification has a (task|label) outside the [13] "):
        scored(votes, listed=listed_of([row]))
    with pytest.raises(VotesError, match=r"a gold classification has a (task|label) outside the [13] "):
        scored(votes, gold=gold_of([row]))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("choice", ["single", "multiple", "each"])
@pytest.mark.parametrize("n_labels", [0, 1, 2, 3])
def test_no_votes_at_all(choice: str, n_labels: int, policy: str) -> None:
    """Without a vote all that is listed lacks votes, and annotators have the trust of newcomers."""
    votes = votes_of(choice, [], 2, 3, n_labels)  # type: ignore[arg-type]
    listed = listed_of([(task, label, label == 0) for task in range(2) for label in range(n_labels)])
    result = scored(votes, listed=listed, policy=policy)
    assert result.report.tolist() == ["NoVotes"] * 2 * n_labels
    assert (result.trust == result.trust[0]).all()
    assert result.votes_by_annotator.tolist() == [0, 0, 0]


@pytest.mark.parametrize("choice", ["single", "multiple", "each"])
def test_nothing_at_all(choice: str) -> None:
    """Without tasks, annotators and labels the result is empty."""
    result = scored(votes_of(choice, [], 0, 0, 0))  # type: ignore[arg-type]
    assert (len(result.report), len(result.trust)) == (0, 0)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("n_labels", [1, 2, 3, 7])
def test_only_skips(n_labels: int, policy: str) -> None:
    """Skips alone decide nothing."""
    votes = chosen({(task, by): SKIP for task in range(2) for by in range(3)}, n_labels)
    result = scored(votes, policy=policy)
    assert result.report.tolist() == [""] * 2 * n_labels
    assert result.counts.unsure.tolist() == [3] * 2 * n_labels


@pytest.mark.parametrize("n_labels", [2, 3])
def test_one_annotator_alone_does_not_decide(n_labels: int) -> None:
    """Whoever votes alone is believed more than not, and confirms nothing."""
    result = scored(chosen({(task, 0): task % n_labels for task in range(12)}, n_labels))
    posterior = posterior_of(result, 12, n_labels)
    assert posterior.argmax(axis=1).tolist() == [task % n_labels for task in range(12)]
    assert set(result.report) == {""}


@pytest.mark.parametrize(
    ("choice", "n_labels"), [("single", 2), ("single", 3), ("single", 10_000), ("multiple", 2), ("multiple", 300)]
)
def test_a_hundred_who_agree_on_everything(choice: str, n_labels: int) -> None:
    """Unanimity is confirmed without overflow, the other labels are rejected, all are trusted alike."""
    answers = {(task, by): task % 2 for task in range(2) for by in range(100)}
    votes = chosen(answers, n_labels, choice=choice)  # type: ignore[arg-type]
    listed = listed_of([(0, 0, True), (0, 1, True), (1, 1, False)])
    result = scored(votes, listed=listed)
    found = reports(votes, result)
    assert [found["t0", "l0"], found["t0", "l1"], found["t1", "l1"]] == [
        "AllConfirmed",
        "MisClassified",
        "Discovered",
    ]
    np.testing.assert_allclose(result.trust, result.trust[0], atol=1e-9)
    assert result.trust[0] > 0.9


def test_ten_thousand_labels_and_few_votes() -> None:
    """Two who agree of two among ten thousand labels outweigh a third, and the rest shares next to nothing."""
    answers = {(task, by): 17 if by < 2 else 9_000 + task for task in range(3) for by in range(3)}
    posterior = posterior_of(scored(chosen(answers, 10_000)), 3, 10_000)
    assert posterior.argmax(axis=1).tolist() == [17, 17, 17]
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("n_annotators", [2, 10, 100])
@pytest.mark.parametrize("n_labels", [2, 4])
def test_a_draw_stays_a_draw(n_annotators: int, n_labels: int) -> None:
    """As many votes for one label as for another leave both as probable, however many there are."""
    posterior = scored(chosen({(0, by): by % 2 for by in range(n_annotators)}, n_labels)).posterior
    assert posterior[0] == pytest.approx(posterior[1], abs=1e-9)
    assert posterior[0] > 0.2


def test_an_annotators_own_vote_does_not_raise_its_trust() -> None:
    """Whoever votes alone on a hundred more tasks, any way, stays as trusted as a newcomer."""
    shared = {(task, by): task % 3 for task in range(9) for by in range(4)}
    for answer in (0, 1, 2):
        alone = {(task, 4): answer for task in range(9, 109)}
        trust = scored(chosen(shared | alone, 3, n_annotators=6)).trust
        assert trust[4] == trust[5]


def test_annotators_without_votes_change_nothing() -> None:
    """Accounts that never voted leave the others' trust and the result as they are."""
    answers = {(task, by): (task * by) % 3 for task in range(6) for by in range(4)}
    without, result = scored(chosen(answers, 3)), scored(chosen(answers, 3, n_annotators=50))
    np.testing.assert_allclose(result.trust[:4], without.trust, atol=1e-9)
    np.testing.assert_allclose(result.confidence, without.confidence, atol=1e-9)


def test_wrong_given_labels_are_caught() -> None:
    """Of simulated labels given wrongly most are reported, and next to none of the right ones are."""
    votes, truth = simulated_choices(np.array([0.95, 0.9, 0.85, 0.8, 0.75, 0.3]), 400, 5, per_task=5, seed=2)
    wrong = np.arange(400) % 5 == 0
    given = np.where(wrong, (truth + 1) % 5, truth)
    result = scored(votes, listed=listed_of([(task, label, True) for task, label in enumerate(given)]))
    accused = (result.report == "MisClassified").reshape(400, 5).any(axis=1)
    assert accused[wrong].mean() > 0.8
    assert accused[~wrong].mean() < 0.02


@pytest.mark.parametrize("n_labels", [2, 3, 70])
def test_a_start_from_the_last_run_gives_the_same(n_labels: int) -> None:
    """With a witness or without, starting from the very votes' own result moves posteriors by less than 0.002."""
    votes, truth = simulated_choices(np.array([0.9, 0.8, 0.7, 0.6]), 150, n_labels, 3, seed=4)
    listed = listed_of([(task, label, True) for task, label in enumerate(truth) if task % 2])
    for given_labels in (listed_of(), listed):
        cold = scored(votes, listed=given_labels)
        warm = scored(votes, listed=given_labels, start=cold.start)
        np.testing.assert_allclose(warm.posterior, cold.posterior, atol=2e-3)


def _published(shared_data: Path, name: str) -> tuple[Votes, np.ndarray]:
    """Votes of a published crowd, and the code of each task's true label."""
    with (shared_data / name / "votes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (shared_data / name / "truth.csv").open(encoding="utf-8") as file:
        truth = {row["task"]: row["label"] for row in csv.DictReader(file)}
    (task, tasks), (by, annotators), (label, labels) = (
        encode([row[column] for row in rows]) for column in ("task", "annotator", "label")
    )
    votes = Votes("single", task, by, label, np.ones(len(rows), dtype=np.int8), tasks, annotators, labels)
    code = {name: at for at, name in enumerate(labels)}
    return votes, np.array([code[truth[one]] for one in tasks])


@pytest.mark.parametrize(
    ("name", "accuracy", "confirmed", "right_of_confirmed"),
    [("bluebirds", 0.88, 0.6, 0.93), ("dog", 0.83, 0.5, 0.87), ("labelme", 0.78, 0.4, 0.88)],
)
def test_published_crowds(
    shared_data: Path, name: str, accuracy: float, confirmed: float, right_of_confirmed: float
) -> None:
    """On votes of real crowds labels are right as with good methods, more so where confirmed, and believed so."""
    votes, truth = _published(shared_data, name)
    result = scored(votes)
    posterior = posterior_of(result, votes.n_tasks, votes.n_labels)
    right = posterior.argmax(axis=1) == truth
    sure = (result.report == "Discovered").reshape(posterior.shape).any(axis=1)
    assert right.mean() >= accuracy
    assert posterior.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.08)
    assert sure.mean() >= confirmed
    assert right[sure].mean() >= right_of_confirmed


def test_classes_stay_what_they_are_where_second_votes_are_asked_for(shared_data: Path) -> None:
    """One vote for each picture of a real crowd, and a second for the least sure: still right in most cases."""
    votes, truth = _published(shared_data, "dog")
    order = np.random.default_rng(0).permutation(len(votes))
    by_task = order[np.argsort(votes.task[order], kind="stable")]
    first = np.unique(votes.task[by_task], return_index=True)[1]
    one = scored(votes.rows(np.sort(by_task[first])))
    unsure = np.argsort(posterior_of(one, votes.n_tasks, votes.n_labels).max(axis=1), kind="stable")[:400]
    two = scored(votes.rows(np.sort(np.append(by_task[first], by_task[first[unsure] + 1]))))
    right = [
        (posterior_of(some, votes.n_tasks, votes.n_labels).argmax(axis=1) == truth).mean() for some in (one, two)
    ]
    assert right[1] > right[0] - 0.02


@pytest.mark.parametrize("n_labels", [64, 65, 300])
def test_trust_means_the_same_however_many_labels_there_are(n_labels: int) -> None:
    """Annotators who are right in 95, 90 and 70 of 100 have about that trust, asked label by label or not."""
    votes, _ = simulated_choices(np.repeat([0.95, 0.9, 0.7], 4), 600, n_labels, per_task=4, seed=3)
    result = scored(votes)
    assert result.trust.reshape(3, 4).mean(axis=1) == pytest.approx([0.95, 0.9, 0.7], abs=0.07)
    assert (result.trust_low <= result.trust).all()
    assert (result.trust <= result.trust_high).all()
    by_hand = scored(votes, trust=np.append(0.5, np.full(11, np.nan)))
    assert (by_hand.trust[0], by_hand.trust_low[0]) == (0.5, 0.5)
