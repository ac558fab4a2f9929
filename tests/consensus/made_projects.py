"""Projects in the Label Studio in memory, for the tests of what decides there."""

from datetime import timedelta
from typing import Any

from in_memory_label_studio import NOW, PROJECT, InMemoryStudio, choices, config, region

from common.contract import MACHINE_ACCOUNT, decision_in
from consensus.label_studio import Studio
from consensus.store.columns import Row

OWNER = "admin@example.com"
KINDS = config(choices("kind", "cat", "dog", "owl"), choices("traits", "fur", "wings", choice="multiple"))


class InMemoryProject:
    """A project of tasks with a suggestion each, and what consensus reads and writes of it.

    Parameters
    ----------
    tasks : int
        Numbered from 101.
    overlap : int
    """

    def __init__(self, tasks: int = 10, overlap: int = 1) -> None:
        self.server = InMemoryStudio(KINDS, model_version="m1")
        self.tasks = [101 + number for number in range(tasks)]
        for task in self.tasks:
            suggestion = {"model_version": "m1", "result": [region("kind", "cat", score=0.9)], "score": 0.9}
            self.server.add_task({"image": f"{task}.png"}, predictions=[suggestion], task_id=task, overlap=overlap)
        self.server.accounts[2] = "ann@example.com"
        self.server.accounts[3] = "rev@example.com"
        self.server.now += timedelta(hours=1)
        self.studio = self.connected()

    @classmethod
    def judged(cls, *, people: int = 200, waiting: int = 60, wrong: int = 4) -> "InMemoryProject":
        """A project whose first tasks three people have annotated since the suggestions were made.

        The suggestions' scores fall from 1 to 0.5; the last so many of those that people have judged were wrong.
        Of the waiting tasks they fall from 1 to 0.5 as well.
        """
        made = cls(tasks=0)
        made.server.project["label_config"] = config(choices("kind", "cat", "dog", "owl"))
        made.server.now -= timedelta(hours=2)
        scores = [1 - 0.5 * place / count for count in (people, waiting) for place in range(count)]
        for number, score in enumerate(scores):
            label, task = ("cat", "dog")[number % 2], 101 + number
            made.tasks.append(task)
            suggestion = {"model_version": "m1", "result": [region("kind", label, score=score)], "score": score}
            made.server.add_task({"image": f"{task}.png"}, predictions=[suggestion], task_id=task)
        made.server.now += timedelta(hours=1)
        for number in (5, 6, 7):
            made.server.accounts[number] = f"a{number}@example.com"
        for number in range(people):
            label = "owl" if number >= people - wrong else ("cat", "dog")[number % 2]
            for account in (5, 6, 7):
                made.server.annotate(101 + number, [region("kind", label)], completed_by=account)
        made.later()
        return made

    def connected(self) -> Studio:
        """Another process's connection."""
        return Studio(self.server.client(), secret="secret", sleep=lambda _: None)

    def now(self) -> Any:  # noqa: ANN401 - a moment
        """Label Studio's clock."""
        return self.server.now

    def later(self) -> None:
        """Let an hour pass."""
        self.server.now += timedelta(hours=1)

    @property
    def machine(self) -> int:
        """Id of the machine account."""
        return next(number for number, email in self.server.accounts.items() if email == MACHINE_ACCOUNT)

    def annotations(self, task: int) -> list[dict[str, Any]]:
        """Of a task."""
        return list(self.server.tasks[task]["annotations"])

    def written(self, batch: str) -> list[int]:
        """Tasks with an annotation of a batch, as often as there are some."""
        return [
            task
            for task in self.tasks
            for annotation in self.annotations(task)
            if (mark := decision_in(annotation["result"])) and mark.batch == batch
        ]

    def state(self) -> dict[int, tuple[Any, ...]]:
        """What an undo restores, by task."""
        return {
            number: (
                task["overlap"],
                task["is_labeled"],
                [(each["id"], each["ground_truth"], each["result"]) for each in task["annotations"]],
            )
            for number, task in self.server.tasks.items()
        }


def items_of(tasks: list[int], label: str = "cat", control: str = "kind") -> list[Row]:
    """Items that label tasks."""
    return [{"task": task, "control": control, "labels": [label], "evidence": {"score": 0.9}} for task in tasks]


__all__ = ["KINDS", "NOW", "OWNER", "PROJECT", "InMemoryProject", "items_of"]
