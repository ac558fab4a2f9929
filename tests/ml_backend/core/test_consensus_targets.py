import numpy as np
import pytest

from common.contract import Accusation, ControlKind, signed_meta
from ml_backend.core.consensus_targets import Targets, Verdict, consensus_targets
from ml_backend.core.controls import Control
from ml_backend.core.evidence import Annotation

KIND = Control("kind", "image", ("cat", "dog", "owl"), multiple=False, image_key="image")
TRAITS = Control("traits", "image", ("fur", "wings", "beak"), multiple=True, image_key="image")
CHECKED = Control("kind", "image", ("yes", "no", "unsure"), multiple=False, image_key="image")


def votes(*choices: str | tuple[str, ...] | None, control: str = "kind", truth: bool = False) -> list[Annotation]:
    """An annotation of another annotator for each choice; None is a skipped one."""
    return [
        Annotation(
            number,
            "2026-01-01",
            skipped=choice is None,
            ground_truth=truth,
            choices={control: (choice,) if isinstance(choice, str) else choice or ()},
        )
        for number, choice in enumerate(choices)
    ]


def one_task(control: Control, annotations: list[Annotation], *verdicts: Verdict) -> Targets:
    """The targets of one task, beside another that makes consensus known to the control."""
    return consensus_targets(
        control,
        [annotations, votes(control.labels[0], control=control.name)],
        [list(verdicts), [Verdict("AllConfirmed", control.name, control.labels[0], 1.0)]],
    )


def row(target: Targets) -> tuple[list[float], float, bool, bool]:
    """Shares, weight, known and settled of the first task."""
    return target.shares[0].tolist(), float(target.weights[0]), bool(target.has_target[0]), bool(target.settled[0])


@pytest.mark.parametrize("report", ["AllConfirmed", "Discovered"])
def test_a_settled_label_outweighs_the_votes(report: str) -> None:
    """Two of three annotators said dog, but consensus trusts the third: cat, with its confidence."""
    target = one_task(KIND, votes("dog", "dog", "cat"), Verdict(report, "kind", "cat", 0.75))
    assert row(target) == ([1, 0, 0], 0.75, True, True)


def test_a_misclassified_label_is_taken_out() -> None:
    """Of two votes for cat and one for dog only dog is left, as undecided as votes are."""
    target = one_task(KIND, votes("cat", "cat", "dog"), Verdict("MisClassified", "kind", "cat", 0.125))
    assert row(target) == ([0, 1, 0], 0.5, True, False)


def test_a_misclassified_label_of_two_leaves_the_other() -> None:
    """Where only one other label exists it is right, as surely as the first is wrong."""
    pair = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
    target = one_task(pair, votes("dog", "cat", "dog"), Verdict("MisClassified", "kind", "cat", 0.125))
    assert row(target) == ([0, 1], 0.875, True, True)


def test_not_this_label_alone_says_nothing() -> None:
    """If nobody chose anything else, what is right remains unknown."""
    target = one_task(KIND, votes("cat"), Verdict("MisClassified", "kind", "cat", 0.125))
    assert target.has_target.tolist() == [False, True]
    assert target.weights.tolist() == [0, 1]


def test_what_is_discovered_beside_a_misclassified_label_is_right() -> None:
    """A given label may be refuted and another found: the other is the target."""
    verdicts = Verdict("MisClassified", "kind", "cat", 0.0625), Verdict("Discovered", "kind", "owl", 0.875)
    assert row(one_task(KIND, votes("owl", "owl"), *verdicts)) == ([0, 0, 1], 0.875, True, True)


@pytest.mark.parametrize(
    "earlier", [Verdict("AllConfirmed", "kind", "dog", 0.95), Verdict("MisClassified", "kind", "cat", 0.03)]
)
def test_verdicts_that_contradict_each_other_settle_nothing(earlier: Verdict) -> None:
    """A signed report of an earlier run that was stored again decides nothing: the votes count, and little."""
    now = Verdict("Discovered", "kind", "cat", 0.75)
    for verdicts in ((now, earlier), (earlier, now)):
        assert row(one_task(KIND, votes("cat", "dog"), *verdicts)) == ([0.5, 0.5, 0], 0.25, True, False)


@pytest.mark.parametrize("report", ["Controversial", "NoVotes"])
def test_disputed_votes_count_least(report: str) -> None:
    """A controversial classification leaves the votes, with a quarter of the weight of a sure one."""
    target = one_task(KIND, votes("cat", "dog"), Verdict(report, "kind", "cat", 0.5))
    assert row(target) == ([0.5, 0.5, 0], 0.25, True, False)


def test_votes_without_a_verdict_count_half() -> None:
    """A task with too few votes for consensus still teaches."""
    assert row(one_task(KIND, votes("owl"))) == ([0, 0, 1], 0.5, True, False)


def test_without_consensus_votes_count_fully() -> None:
    """Where consensus never spoke of the control, its verdicts on others change nothing."""
    target = consensus_targets(
        KIND, [votes("cat", "dog"), []], [[Verdict("Discovered", "traits", "fur", 0.9)], []]
    )
    assert target.shares.tolist() == [[0.5, 0.5, 0], [0, 0, 0]]
    assert target.weights.tolist() == [1, 0]
    assert target.settled.tolist() == [False, False]


def test_ground_truth_goes_before_consensus() -> None:
    """An expert's annotation counts fully, whatever the votes came to."""
    target = one_task(KIND, votes("owl", truth=True), Verdict("Discovered", "kind", "cat", 0.9))
    assert row(target) == ([0, 0, 1], 1, True, False)


@pytest.mark.parametrize("annotations", [[], votes(None)])
def test_a_task_that_lost_its_annotations_teaches_nothing(annotations: list[Annotation]) -> None:
    """A report that is older than the deletion of what it was made from is no target; neither is one on skips."""
    assert not one_task(KIND, annotations, Verdict("Discovered", "kind", "cat", 0.9)).has_target[0]


def test_a_label_that_the_control_lost_is_ignored() -> None:
    """A report from before a choice was renamed leaves the votes."""
    assert row(one_task(KIND, votes("dog"), Verdict("Discovered", "kind", "cow", 0.9))) == (
        [0, 1, 0],
        0.5,
        True,
        False,
    )


def test_each_label_of_a_multiple_choice_is_settled_alone() -> None:
    """Fur is confirmed, wings are refuted, and a beak is as the one vote in four says; weights are averaged."""
    annotations = votes(("fur",), ("fur", "wings"), ("fur", "beak"), ("wings",), control="traits")
    verdicts = Verdict("AllConfirmed", "traits", "fur", 0.875), Verdict("MisClassified", "traits", "wings", 0.125)
    target = one_task(TRAITS, annotations, *verdicts)
    assert row(target) == ([1, 0, 0.25], (0.875 + 0.875 + 0.5) / 3, True, True)


def test_nothing_chosen_of_a_multiple_choice_is_a_target() -> None:
    """An annotator who left all boxes empty said that none fits."""
    assert row(one_task(TRAITS, votes((), control="traits"))) == ([0, 0, 0], 0.5, True, False)


def test_a_refuted_given_label_is_the_answer_no() -> None:
    """On a verification a misclassified label shows the annotators' answer, whatever their votes look like."""
    no, yes = (
        Verdict(report, "kind", choice, score, "verification")
        for report, choice, score in (("MisClassified", "no", 0.0625), ("AllConfirmed", "yes", 0.875))
    )
    target = consensus_targets(CHECKED, [votes("yes", "no"), votes("yes", "yes")], [[no], [yes]])
    assert target.shares.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert target.weights.tolist() == [0.9375, 0.875]
    assert target.settled.all()
    asked = consensus_targets(CHECKED, [votes("yes", "no")], [[Verdict("MisClassified", "kind", "no", 0.0625)]])
    assert asked.shares.tolist() == [[1, 0, 0]]


def prediction(**changed: object) -> dict[str, object]:
    """What consensus wrote about task 7."""
    region: dict[str, object] = {"from_name": "kind", "type": "choices", "value": {"choices": ["dog"]}}
    meta = signed_meta("secret", 7, "consensus/Discovered", 0.5, region, "verification")
    whole = {"model_version": "consensus/Discovered", "score": 0.5, "result": [{**region, "meta": meta}]}
    return {**whole, **changed}


def test_what_consensus_signed_is_believed() -> None:
    """Report, control, choice, score and kind are read."""
    assert Verdict.of(prediction(), 7, "secret") == Verdict("Discovered", "kind", "dog", 0.5, "verification")


@pytest.mark.parametrize(
    ("kind", "shown", "choice"),
    [("choices", ["dog"], "cat"), ("choices", [], "cat"), ("verification", ["no"], "no")],
)
def test_a_wrong_label_is_the_one_that_the_region_names(kind: ControlKind, shown: list[str], choice: str) -> None:
    """MisClassified shows what is right; who changes what it calls wrong, or how surely, is not believed."""
    region: dict[str, object] = {"from_name": "kind", "type": "choices", "value": {"choices": shown}}
    wrong, version = Accusation("cat", 0.0625), "consensus/MisClassified"
    meta = signed_meta("secret", 7, version, 0.875, region, kind, wrong, ["4 of 5 say dog"])
    whole = {"model_version": version, "score": 0.875, "result": [{**region, "meta": meta}]}
    assert Verdict.of(whole, 7, "secret") == Verdict("MisClassified", "kind", choice, 0.0625, kind)
    forged = [
        {**meta, "text": ["5 of 5 say dog"]},
        *(
            {**meta, "consensus": {**meta["consensus"], **more}}
            for more in ({"label": "owl"}, {"confidence": 0.5})
        ),
    ]
    for each in forged:
        assert Verdict.of({**whole, "result": [{**region, "meta": each}]}, 7, "secret") is None


@pytest.mark.parametrize(
    ("changed", "task", "secret"),
    [
        ({"model_version": None}, 7, "secret"),
        ({"model_version": "other"}, 7, "secret"),
        ({"model_version": "consensus/MisClassified"}, 7, "secret"),  # the signature is of another report
        ({}, 8, "secret"),  # and of another task
        ({}, 7, "another secret"),
        ({}, 7, ""),
        ({"score": 0.75}, 7, "secret"),  # and of another score
        ({"score": None}, 7, "secret"),
        ({"score": float("nan")}, 7, "secret"),
        ({"score": 1.5}, 7, "secret"),
        ({"score": True}, 7, "secret"),
        *(({"result": result}, 7, "secret") for result in (None, [], {}, [{}], [3], [{"value": 3}])),
        *(
            ({"result": [{"from_name": "kind", "value": {"choices": ["dog"]}, "meta": meta}]}, 7, "secret")
            for meta in (None, {}, {"consensus": {}}, {"consensus": {"kind": "choices", "signature": "é"}})
        ),
    ],
)
def test_what_consensus_did_not_sign_is_no_verdict(changed: dict[str, object], task: int, secret: str) -> None:
    """Whoever forges a report, copies one to another task or changes what it says, is not believed."""
    assert Verdict.of(prediction(**changed), task, secret) is None


def test_a_changed_choice_is_not_believed() -> None:
    """Control and choice are part of what is signed."""
    forged = prediction()
    forged["result"][0]["value"] = {"choices": ["cat"]}  # type: ignore[index]
    assert Verdict.of(forged, 7, "secret") is None


def test_the_annotations_are_not_changed() -> None:
    """Joining twice gives the same."""
    annotations, verdicts = [votes("cat", "dog")], [[Verdict("Discovered", "kind", "dog", 0.9)]]
    first, second = (consensus_targets(KIND, annotations, verdicts) for _ in range(2))
    np.testing.assert_array_equal(first.shares, second.shares)
    np.testing.assert_array_equal(first.weights, second.weights)
