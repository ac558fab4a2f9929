"""Which projects that somebody has named are trained: those of Label Studio that are connected to this backend.

Whoever reaches the port may name any number. One list of Label Studio's projects answers for all new ones.
"""

from collections.abc import Callable, Iterable

import httpx
import structlog

from common.errors import SuiteError
from ml_backend.errors import RefusedError
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.ownership import owns
from ml_backend.settings import Settings
from ml_backend.training.training_requests import TrainingRequests

log = structlog.get_logger()

_LIST_EVERY_S = 2.0
_ASK_AGAIN_S = 30.0  # whether a project is connected by now
_SHOWN = 5


class Admission:
    """Asks Label Studio for projects that are new here.

    Parameters
    ----------
    clock : callable
        Gives seconds.
    """

    def __init__(self, settings: Settings, requests: TrainingRequests, clock: Callable[[], float]) -> None:
        self._settings, self._requests, self._clock = settings, requests, clock
        self._existing: set[int] = set()
        self._list_at = clock()
        self._unconnected: dict[int, float] = {}  # by project, until when it is not asked for again
        self._silent = False

    def sift(self, client: LabelStudioClient) -> None:
        """Forget the projects that Label Studio does not have, unless they were trained before."""
        named = self._requests.named() - self._existing
        if not named or self._clock() < self._list_at:
            return
        try:
            existing = set(client.project_ids())
        except SuiteError as error:
            if not self._silent:
                log.warning("projects_not_listed", waiting=len(named), error=str(error))
            self._silent = True
        else:
            self._silent = False
            self._existing |= named & existing
            self._dismiss(sorted(named - existing))
        self._list_at = self._clock() + _LIST_EVERY_S

    def may_train(self, client: LabelStudioClient, project_id: int) -> bool | None:
        """Return whether a project is connected to this backend; None while that is not asked again.

        Where Label Studio cannot be asked, a project that exists may: the training will say what is wrong.
        """
        if project_id not in self._existing or self._clock() < self._unconnected.get(project_id, 0):
            return None
        try:
            connected = owns(client, self._settings, project_id)
        except RefusedError as error:
            connected = error.http_status != httpx.codes.NOT_FOUND
        except SuiteError:
            connected = True
        if connected:
            self._unconnected.pop(project_id, None)
            return True
        if project_id not in self._unconnected:
            log.warning(
                "project_not_connected",
                project=project_id,
                remedy=f"ml-backend connect --project {project_id}, or ml-backend train --project {project_id}",
            )
        self._unconnected[project_id] = self._clock() + _ASK_AGAIN_S
        return False

    def _dismiss(self, strangers: Iterable[int]) -> None:
        dismissed = [project_id for project_id in strangers if self._requests.dismiss(project_id)]
        self._existing.update(set(strangers) - set(dismissed))
        if dismissed:
            log.warning(
                "unknown_projects_named",
                projects=len(dismissed),
                for_example=dismissed[:_SHOWN],
                remedy="if one of them is a project of yours, the account of LABEL_STUDIO_API_KEY may not see it",
            )
