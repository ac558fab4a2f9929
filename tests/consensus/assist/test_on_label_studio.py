"""Accepting, auditing and taking back on a real Label Studio."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from administrator import Administrator
from in_memory_label_studio import choices, config, region

from common.contract import MACHINE_ACCOUNT, decision_in
from common.errors import RefusedError
from consensus.assist.accept import Request, accept, offer
from consensus.assist.suggestions import read_suggestions
from consensus.assist.undo import undo
from consensus.label_studio import Studio
from consensus.projects.run import run
from consensus.settings import ProjectConfig
from consensus.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import RunningLabelStudio

pytestmark = pytest.mark.server

FIELDS = "id,overlap,is_labeled,annotations,predictions,completed_by,result,ground_truth,model_version"
WAITING = 30


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


class Made:
    """A project of suggestions with scores from 1 down to 0.5, of which two people have judged the first three."""

    def __init__(self, label_studio: RunningLabelStudio, store: Store) -> None:
        self.administrator = label_studio.administrator
        self.store = store
        self.studio = Studio(self.administrator, secret="secret of the test")
        asked = config(choices("kind", "cat", "dog"))
        self.project = self.administrator.create_project(asked, "Assisted", maximum_annotations=1)
        self.administrator.import_tasks(self.project, [self._task(number) for number in range(WAITING + 3)])
        self.administrator.show_version(self.project, "m1")
        self.judged, self.waiting = (
            (ids := self.administrator.task_ids(self.project))[:3],
            ids[3:],
        )
        for task in self.judged:
            self.administrator.annotate(task, region("kind", "cat"))
        run(self.studio, store, ProjectConfig(), self.project, now=now)

    @staticmethod
    def _task(number: int) -> dict[str, Any]:
        score = 1 - number / 100
        suggestion = {"model_version": "m1", "score": score, "result": [region("kind", "cat", score=score)]}
        return {"data": {"image": f"https://example.com/{number}.png"}, "predictions": [suggestion]}

    def state(self) -> dict[int, tuple[Any, ...]]:
        """What an undo restores, by task."""
        return {
            row["id"]: (
                row["overlap"],
                row["is_labeled"],
                [(each["id"], each["result"], each["completed_by"]) for each in row["annotations"]],
                [(each["model_version"], each["result"]) for each in row["predictions"]],
            )
            for row in self.administrator.tasks(self.project, FIELDS)
        }

    def accepted(self, **request: Any) -> str:  # noqa: ANN401
        """Accept, and return the batch."""
        suggested = read_suggestions(self.studio, self.store, ProjectConfig(), self.project, now())
        offered = offer(suggested, Request(**request))
        performed = accept(self.studio, self.store, offered, "admin@example.com", now)
        assert performed is not None
        assert not performed.left
        return str(performed.batch["id"])


@pytest.fixture
def made(label_studio: RunningLabelStudio, tmp_path: Path) -> Made:
    """A project of the test's own."""
    return Made(label_studio, Store.migrated(f"sqlite:///{tmp_path}/store.db"))


@pytest.fixture
def annotator(label_studio: RunningLabelStudio) -> Iterator[Administrator]:
    """Somebody who annotates."""
    email = f"annotator-{time.time_ns()}@example.com"
    token = label_studio.administrator.sign_up([email])[email]
    with Administrator(label_studio.url, token) as person:
        yield person


def test_what_is_accepted_is_shown_to_nobody_and_taken_back(made: Made, annotator: Administrator) -> None:
    """The machine account has written it; what a person has changed since stays, the rest is as it was."""
    before = made.state()
    batch = made.accepted(above=0.9, audit_share=0.0)
    machine = next(number for number, email in made.studio.accounts().items() if email == MACHINE_ACCOUNT)
    state = made.state()
    written = [task for task in made.waiting if state[task][2]]
    assert written == made.waiting[:7]  # from 0.97 to 0.91
    for task in written:
        overlap, is_labeled, ((_, result, account),), predictions = state[task]
        mark = decision_in(result)
        assert (overlap, is_labeled, account) == (1, True, machine)
        assert mark is not None
        assert (mark.batch, mark.teaches) == (batch, False)
        assert [version for version, _ in predictions] == ["m1"]
    served = annotator.next_task(made.project)["id"]
    assert served in made.waiting[7:]
    touched = state[written[0]][2][0][0]
    made.administrator.ask("PATCH", f"/api/annotations/{touched}/", json={"result": [region("kind", "dog")]})
    undone = undo(made.studio, made.store, batch, "admin@example.com", now)
    assert (undone.undone, [item["task"] for item in undone.kept]) == (6, [written[0]])
    after = made.state()
    assert {task: after[task] for task in after if task != written[0]} == {
        task: before[task] for task in before if task != written[0]
    }
    assert after[written[0]][2]


def test_in_bulk_it_is_the_same(made: Made) -> None:
    """From twenty tasks on Label Studio's bulk calls write; nothing of them is left, and the version is shown."""
    before = made.state()
    batch = made.accepted(above=0.0, audit_share=0.0)
    state = made.state()
    assert all(len(state[task][2]) == 1 and state[task][1] for task in made.waiting)
    assert set(made.administrator.versions(made.project)) >= {"m1"}
    assert not any(version.startswith("consensus-batch/") for version in made.administrator.versions(made.project))
    assert made.studio.project(made.project).model_version == "m1"
    undone = undo(made.studio, made.store, batch, "admin@example.com", now)
    assert (undone.undone, undone.kept) == (WAITING, [])
    assert made.state() == before


def test_an_audited_task_is_shown_blind(made: Made, annotator: Administrator) -> None:
    """Its suggestion is empty in the label stream, where no annotation of others is seen either."""
    made.accepted(tasks=(made.waiting[0],), audit_share=1.0)
    made.accepted(above=0.0, audit_share=0.0)
    shown = annotator.next_task(made.project)
    assert shown["id"] == made.waiting[0]
    assert shown["annotations"] == []
    assert [row["result"] for row in shown["predictions"]] == [[]]
    annotator.annotate(shown["id"], region("kind", "dog"))
    with pytest.raises(RefusedError, match="404"):
        annotator.next_task(made.project)
