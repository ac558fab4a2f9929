"""A project of which a run has something for every queue, in a Label Studio in memory."""

from datetime import UTC, datetime, timedelta

from in_memory_label_studio import InMemoryStudio, choices, config, region

from consensus.label_studio import Studio
from consensus.projects.run import run
from consensus.review.queues import refresh
from consensus.review.tabs import show_queues
from consensus.settings import ControlSection, ProjectConfig, ReviewSection
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION

ADMIN, A1, A2, A3, A4, REVIEWER = WHO = tuple(
    f"{name}@example.com" for name in ("admin", "a1", "a2", "a3", "a4", "reviewer")
)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
SETTINGS = ProjectConfig(
    controls={"kind": ControlSection(given="label")}, review=ReviewSection(spot_share=1, spot_order="agreement")
)
RIGHT, DOUBTED, WRONG, TORN, SILENT = range(1, 21), 21, 22, 23, 24
"""Tasks with label cat: confirmed by all, rejected by all but one and by all, undecided, and without a vote."""


def label_studio(*, second: bool = False) -> InMemoryStudio:
    """Four annotators on tasks of a single choice; nobody answers a second one."""
    controls = [choices("kind", "cat", "dog", "owl"), *([choices("size", "big", "small")] if second else [])]
    studio = InMemoryStudio(config(*controls), title="Seven", maximum_annotations=4)
    studio.accounts = dict(enumerate(WHO, start=1))
    votes = {DOUBTED: "dog dog dog cat", WRONG: "dog dog dog dog", TORN: "cat cat dog dog", SILENT: ""}
    for task, said in {**dict.fromkeys(RIGHT, "cat cat cat cat"), **votes}.items():
        studio.add_task({"image": f"{task}.png", "label": "cat"}, task_id=task, overlap=4, is_labeled=bool(said))
        for account, label in enumerate(said.split(), start=2):
            studio.annotate(task, [region("kind", label)], completed_by=account)
    return studio


def edge(studio: InMemoryStudio) -> Studio:
    """The edge of consensus to it."""
    return Studio(studio.client(), "of a test", lambda _: None)


def run_at(
    studio: InMemoryStudio, store: Store, hours: int = 0, settings: ProjectConfig = SETTINGS
) -> dict[str, int]:
    """A run, and the queues and tabs after it; returns what waits in each queue."""
    at = START + timedelta(hours=hours)
    studio.now = at
    run(edge(studio), store, settings, 7, now=lambda: at)
    waiting = refresh(store, 7, settings.review, at)
    show_queues(edge(studio), store.decisions, 7)
    return waiting


def queued(store: Store, queue: str) -> list[int]:
    """Tasks in a queue, in its order."""
    return [row["task"] for row in store.decisions.queue(7, queue)]  # type: ignore[arg-type]


def report_of(store: Store, task: int, control: str = "kind") -> dict[str, tuple[str, float]]:
    """Report and confidence of each label of a task."""
    rows = store.of_tasks(CLASSIFICATION, 7, [task])
    return {row["label"]: (row["report"], row["confidence"]) for row in rows if row["control"] == control}
