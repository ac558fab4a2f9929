"""Checks of the store: where it lies, whether it answers, and of which version its tables are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.doctor import Finding, fine, problem, warning
from consensus.errors import StoreError
from consensus.settings import default_store
from consensus.store.database import NEWEST, Database

WHY = "no run can be stored, and nothing stored can be read"
_FIRST_RUN = "consensus run --project ID; if there were runs before, set CONSENSUS_DATABASE_URL to their database"


@dataclass(frozen=True)
class StoreState:
    """What the store answers.

    Attributes
    ----------
    name : str
        Where it lies, without a password.
    revision : str or None
        Of its tables; None where there are none.
    error : str
        Why it cannot be used.
    """

    name: str
    revision: str | None = None
    error: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether it can be read."""
        return self.revision == NEWEST


def read_store(url: str) -> StoreState:
    """Ask a database for the version of its tables; no file is made."""
    try:
        database = Database(url)
    except StoreError as error:
        return StoreState("the store", error=str(error))
    path = database.path
    if path and not path.exists():
        made = path.parent.is_dir() or path == default_store().resolve()
        return StoreState(database.name, error="" if made else f"the folder {path.parent} of the store is missing")
    try:
        return StoreState(database.name, database.revision())
    except StoreError as error:
        return StoreState(database.name, error=str(error))


def place(state: StoreState) -> Iterator[Finding]:
    """Look where the store lies and whether it answers."""
    if state.error:
        yield problem(
            state.error, WHY, "start the database, or set CONSENSUS_DATABASE_URL to one that can be used"
        )
    else:
        yield fine(f"the store is {state.name}")


def tables(state: StoreState) -> Iterator[Finding]:
    """Look whether the tables are of this program's version."""
    if state.error:
        return
    if state.revision is None:
        yield warning("it is empty", "no run was stored in it, so there are no reports to show", _FIRST_RUN)
    elif state.revision < NEWEST:
        yield problem(f"its tables are of an older version ({state.revision})", WHY, "consensus migrate")
    elif state.revision != NEWEST:
        remedy = "use the version of consensus that made them, or a newer one"
        yield problem(f"its tables are of another version ({state.revision})", WHY, remedy)
    else:
        yield fine(f"its tables are of this version ({NEWEST})")


CHECKS: dict[str, Callable[[StoreState], Iterator[Finding]]] = {"place": place, "tables": tables}
