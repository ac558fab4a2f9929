"""Given labels that nobody has voted on, and that the model finds wrong."""

from in_memory_label_studio import region
from made_projects import PROJECT, InMemoryProject

from common.contract import GivenLabel, given_part
from common.label_studio.suggestions import suggested_region
from consensus.assist.unvoted import fill_unvoted
from consensus.projects.run import run
from consensus.settings import ProjectConfig
from consensus.store.store import Store

SETTINGS = ProjectConfig.model_validate({"controls": {"kind": {"given": "label"}}})


def test_the_most_likely_wrong_come_first(store: Store) -> None:
    """By the probability of the given label where the suggestion tells it, without what was voted on or agrees."""
    made = InMemoryProject(tasks=0)
    alternatives = {"alternatives": [{"choices": ["dog"], "score": 0.04}]}
    shown = [
        ("cat", 0.9, {}, "cat"),
        ("cat", 0.95, alternatives, "dog"),
        ("cat", 0.99, {}, "owl"),
        ("cat", 0.97, {}, "dog"),
        ("cat", 0.3, {}, "dog"),  # less sure than where cat was given
    ]
    for number, (label, score, meta, given) in enumerate(shown):
        suggestion = {"model_version": "m1", "result": [region("kind", label, score=score, meta=meta)]}
        data = {"image": "x.png", "label": given}
        made.server.add_task(data, predictions=[suggestion], task_id=101 + number)
    made.server.annotate(104, [region("kind", "dog")], completed_by=2)
    made.later()
    run(made.studio, store, SETTINGS, PROJECT, now=made.now)
    assert fill_unvoted(made.studio, store, SETTINGS, PROJECT, made.now()) == 2
    first, second = store.decisions.queue(PROJECT, "unvoted")
    assert (first["task"], first["detail"]["by"]) == (103, "what the suggestion leaves over")
    assert (second["task"], second["priority"]) == (102, 0.04)
    assert (second["detail"]["given"], second["detail"]["suggestion"]) == (["dog"], "cat")
    made.server.annotate(103, [region("kind", "owl")], completed_by=2)
    made.later()
    run(made.studio, store, SETTINGS, PROJECT, now=made.now)
    assert fill_unvoted(made.studio, store, SETTINGS, PROJECT, made.now()) == 1


def test_a_project_without_a_run_or_suggestions_has_none(store: Store) -> None:
    """No error, and nothing is read for it."""
    made = InMemoryProject(tasks=2)
    assert fill_unvoted(made.studio, store, SETTINGS, PROJECT, made.now()) == 0
    for task in made.tasks:
        made.server.tasks[task]["data"]["label"] = "dog"
    made.server.project["model_version"] = ""
    run(made.studio, store, SETTINGS, PROJECT, now=made.now)
    assert fill_unvoted(made.studio, store, SETTINGS, PROJECT, made.now()) == 0


def test_what_the_model_says_of_the_given_label_goes_before_its_scores(store: Store) -> None:
    """Wrong rather than right puts a task in the queue, though its image alone may say otherwise."""
    made = InMemoryProject(tasks=0)
    shown = [("dog", 0.6, 0.02), ("dog", 0.6, 0.7), ("cat", 0.9, 0.4), ("dog", 0.99, 0.01)]
    for number, (label, score, right) in enumerate(shown):
        about = suggested_region("kind", "image", [], [label], {label: score}) | given_part(
            GivenLabel("cat", right)
        )
        suggestion = {"model_version": "m1", "result": [about], "score": score}
        made.server.add_task({"image": "x.png", "label": "cat"}, predictions=[suggestion], task_id=101 + number)
    made.later()
    run(made.studio, store, SETTINGS, PROJECT, now=made.now)
    assert fill_unvoted(made.studio, store, SETTINGS, PROJECT, made.now()) == 3
    queue = store.decisions.queue(PROJECT, "unvoted")
    assert [(row["task"], row["priority"]) for row in queue] == [(104, 0.01), (101, 0.02), (103, 0.4)]
    assert {row["detail"]["by"] for row in queue} == {"probability of the given label"}


def test_a_verification_that_the_model_denies_waits_as_well(store: Store) -> None:
    """Where annotators are asked whether the given label is right, and nobody has; once, if stored twice."""
    config = """<View><Image name="image" value="$image"/><Header value="Is it a $label?"/>
    <Choices name="check" toName="image"><Choice value="yes"/><Choice value="no"/></Choices></View>"""
    made = InMemoryProject(tasks=0)
    made.server.project["label_config"] = config
    for number, right in enumerate((0.1, 0.9, 0.02)):
        about = given_part(GivenLabel("cat", right))
        about |= suggested_region("check", "image", [], ["no"], {"no": 1 - right})
        suggestion = {"model_version": "m1", "result": [about], "score": 1 - right}
        data = {"image": "x.png", "label": "cat"}
        made.server.add_task(data, predictions=[suggestion] * (1 + number), task_id=101 + number)
    made.server.add_task({"image": "x.png", "label": "dog"}, task_id=104)
    made.later()
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    assert fill_unvoted(made.studio, store, ProjectConfig(), PROJECT, made.now()) == 2
    queue = store.decisions.queue(PROJECT, "unvoted")
    assert [(row["task"], row["detail"]["suggestion"]) for row in queue] == [(103, "no"), (101, "no")]


def test_a_suggestion_by_names_of_before_is_read_by_those_of_today(store: Store) -> None:
    """Choices were renamed, and the model's predictions are older than that."""
    settings = ProjectConfig.model_validate(
        {"controls": {"kind": {"given": "label", "renamed": {"tabby": "cat", "hound": "dog"}}}}
    )
    made = InMemoryProject(tasks=0)
    about = suggested_region("kind", "image", [], ["hound"], {"hound": 0.6}) | given_part(
        GivenLabel("tabby", 0.02)
    )
    suggestion = {"model_version": "m1", "result": [about], "score": 0.6}
    made.server.add_task({"image": "x.png", "label": "tabby"}, predictions=[suggestion], task_id=101)
    made.later()
    run(made.studio, store, settings, PROJECT, now=made.now)
    assert fill_unvoted(made.studio, store, settings, PROJECT, made.now()) == 1
    [row] = store.decisions.queue(PROJECT, "unvoted")
    assert (row["priority"], row["detail"]["given"], row["detail"]["suggestion"]) == (0.02, ["cat"], "dog")
