"""Which images of a source came before: in the source, or into the project."""

from collections.abc import Mapping, Sequence

from consensus.transfer.journal import Entry
from consensus.transfer.sender import Image, ImportedTask
from consensus.transfer.targets import Target


class Duplicates:
    """Tells images that are new from those that came before, in the source or into the project.

    Parameters
    ----------
    there : mapping of str to ImportedTask
        The project's tasks by the key of their image.
    entries : mapping of str to Entry
        The journal's images.
    """

    def __init__(
        self, target: Target, there: Mapping[str, ImportedTask], entries: Mapping[str, Entry], *, restore: bool
    ) -> None:
        self._target, self._there, self._entries, self._restore = target, there, entries, restore
        self._met: dict[str, Image] = {}

    def why(self, image: Image) -> str | None:
        """Return why an image is left out: "" where its task is there already; None where it is new."""
        record, task = image.record, self._there.get(image.key)
        earlier = self._met.setdefault(image.key, image)
        if earlier is not image:
            return f"the same image as {earlier.record.source}{_other_label(record.labels, earlier.record.labels)}"
        if task is not None:
            held_labels = task.labels if isinstance(task.labels, list) else [task.labels] if task.labels else []
            other = _other_label(record.labels, tuple(map(str, held_labels)))
            if task.source == record.source and not other:
                return ""
            return (
                f"the same image as task {task.id} of the project ({task.source or 'imported otherwise'}){other}"
            )
        entry = self._entries.get(image.key)
        if entry is not None and entry.state == "done" and not self._restore:
            return f"it was imported before, and its task {entry.task_id} was deleted in Label Studio since"
        return None


def _other_label(labels: Sequence[str], earlier: Sequence[str]) -> str:
    if {*labels} == {*earlier}:
        return ""
    return f", which has the label {', '.join(earlier) or 'none'} and not {', '.join(labels) or 'none'}"
