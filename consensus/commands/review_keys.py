"""Review with single keys on a terminal: one item after the other."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import typer
from rich.text import Text

from common.errors import SuiteError
from consensus.assist.undo import undo
from consensus.commands import output
from consensus.commands.review import suggestion_words, vote_words
from consensus.core.review.names import Queue, RulingName
from consensus.core.review.rulings import Ruling
from consensus.label_studio import Studio
from consensus.review.decisions import decide
from consensus.review.items import ReviewItem, describe
from consensus.settings import ProjectConfig
from consensus.store.store import Store

KEYS: dict[str, RulingName] = {"q": "keep", "w": "accept", "e": "unusable", "u": "ask", "r": "reject"}
HELP = (
    "Q the given label is right   W the proposed one is   1-9 choose a label   L type a label\n"
    "E no label can be told   U ask one more annotator   R no more work on it\n"
    "S skip   Z take the last decision back   X end"
)
AT_ONCE = 50
DIGITS = 9


class KeyboardReview:
    """A reviewer at a keyboard.

    Parameters
    ----------
    reviewer : str
        Address of their account.
    """

    def __init__(
        self,
        studio: Studio,
        store: Store,
        config: ProjectConfig,
        project: int,
        reviewer: str,
        now: Callable[[], datetime],
    ) -> None:
        self._studio, self._store, self._config, self._project = studio, store, config, project
        self._reviewer, self._now = reviewer, now
        self._batches: list[str] = []
        self._seen: set[tuple[int, str]] = set()

    def work(self, queues: Sequence[Queue]) -> None:
        """Show what waits and is not somebody else's, until nothing is left or the reviewer ends."""
        output.print_lines(HELP)
        decided, waiting = 0, self._waiting(queues)
        while True:
            item = next(waiting, None)
            key = self._shown(item) if item else self._at_the_end()
            if key == "x":
                break
            if key == "z":
                decided, waiting = decided - self._take_back(), self._waiting(queues)
            elif item:
                self._seen.add((item.task, item.control))
                decided += key != "s" and self._decide(item, key)
        output.OUT.print(f"{decided} decided.")

    def _shown(self, item: ReviewItem) -> str:
        self._show(item)
        return self._key(item)

    def _at_the_end(self) -> str:
        """Let the last decision be taken back, where there is one."""
        output.OUT.print(f"Nothing more waits for {self._reviewer}.")
        if not self._batches:
            return "x"
        output.OUT.print("Z take the last decision back   X end")
        while (key := typer.getchar().casefold()) not in ("z", "x"):
            pass
        return key

    def _waiting(self, queues: Sequence[Queue]) -> Iterator[ReviewItem]:
        target = self._studio.project(self._project)
        for queue in queues:
            after = None
            while rows := self._store.decisions.queue(self._project, queue, after=after, limit=AT_ONCE):
                after = rows[-1]
                mine = [row for row in rows if row["assigned_to"] in (None, self._reviewer)]
                fresh = [row for row in mine if (row["task"], row["control"]) not in self._seen]
                with self._store.snapshot() as snapshot:
                    items = describe(snapshot, self._studio, target, fresh)
                yield from (item for item in items if self._reviewer not in item.annotators)

    def _show(self, item: ReviewItem) -> None:
        output.OUT.print()
        output.OUT.print(Text.assemble((f"task {item.task}", "bold"), f"  {item.control}  ({item.queue})"))
        output.OUT.print(f"  {item.image or item.address}")
        if item.blind:
            output.OUT.print("  judged blind: neither votes nor the given label are shown")
        else:
            output.OUT.print(f"  given: {', '.join(item.given) or 'nothing'}")
            proposed = f"proposed: {', '.join(item.proposed)}" if item.proposed else ""
            for line in (*vote_words(item), suggestion_words(item), proposed):
                if line:
                    output.OUT.print(f"  {line}")
        posterior = {row["label"]: f" {row['posterior']:.2f}" for row in item.candidates}
        labels = [
            f"{at} {label}{posterior.get(label, '')}" for at, label in enumerate(item.labels[:DIGITS], start=1)
        ]
        output.OUT.print("  " + "   ".join(labels))

    def _key(self, item: ReviewItem) -> str:
        """Read a key that means something here."""
        digits = [str(at) for at in range(1, min(len(item.labels), DIGITS) + 1)]
        while True:
            key = typer.getchar().casefold()
            if key == "?":
                output.print_lines(HELP)
            elif item.blind and key in "qw":
                output.OUT.print("  judged blind: choose a label")
            elif key in (*KEYS, *digits, "l", "s", "z", "x"):
                return key

    def _decide(self, item: ReviewItem, key: str) -> bool:
        """Decide on an item; return whether that was possible."""
        labels: tuple[str, ...] = ()
        if key == "l":
            labels = tuple(label.strip() for label in typer.prompt("  label(s), with commas").split(","))
        elif key.isdecimal():
            labels = (item.labels[int(key) - 1],)
        ruling = Ruling(item.task, item.control, KEYS.get(key, "correct"), labels)
        try:
            decided = decide(
                self._studio,
                self._store,
                self._config,
                self._project,
                [ruling],
                reviewer=self._reviewer,
                now=self._now,
            )
        except SuiteError as error:
            output.ERR.print(f"  not decided: {error}", style="yellow")
            return False
        for refusal in decided.refused:
            output.ERR.print(f"  not decided: {refusal.why}", style="yellow")
        written = [str(batch.batch["id"]) for batch in decided.batches if batch.counts.get("written")]
        self._batches += written
        return bool(written)

    def _take_back(self) -> int:
        """Undo the last decision of this session; return how many that were."""
        if not self._batches:
            output.OUT.print("  nothing to take back")
            return 0
        undone = undo(self._studio, self._store, self._batches.pop(), self._reviewer, self._now)
        self._seen.clear()
        output.OUT.print(f"  taken back: {undone.undone}")
        return undone.undone
