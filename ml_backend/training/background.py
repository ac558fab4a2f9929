"""Trainings in the background: one worker leads, and each training is a process of its own.

Serving never shares its interpreter with a training, and a training that crashes takes nothing with it.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import IO, Any, Protocol

import structlog

from common.errors import SuiteError
from common.files import held
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.ownership import owns
from ml_backend.metrics import TRAINING_SECONDS, TRAININGS
from ml_backend.model_registry import ModelRegistry, VersionRecord
from ml_backend.settings import Settings
from ml_backend.training.admission import Admission
from ml_backend.training.publish import Publisher, training_lock
from ml_backend.training.training_requests import ProjectState, Reconciliation, TrainingRequests, project_state

log = structlog.get_logger()

_RETRY_S = 30.0
_RETRIES = 3
_GRACE_S = 10.0
_NICENESS = 5
_CLEARING_S, _PAUSE_S = 5.0, 5.0  # old versions' predictions go in spells, so that trainings and people come first
_LOOK_FOR_OLD_S = 300.0
_FIRST_LOOK_S = 10.0  # after the start: Label Studio may be starting as well


class TrainingProcess:
    """A training as a process of its own, one at a time.

    Parameters
    ----------
    command : sequence of str
        What trains; the project's id is added.
    timeout_s : float
        A training that takes longer is ended.
    """

    def __init__(
        self,
        timeout_s: float,
        command: tuple[str, ...] = (sys.executable, "-m", "ml_backend", "train", "--project"),
    ) -> None:
        self._timeout_s, self._command = timeout_s, command
        self._stopped = threading.Event()
        self._child: Popen[bytes] | None = None

    def run(self, project_id: int) -> int:
        """Train, and return the exit status; below zero, it is the signal that ended it."""
        environment = {key: value for key, value in os.environ.items() if key != "PROMETHEUS_MULTIPROC_DIR"}
        # On a terminal a person sees its progress; a log gets a line for each of its lines.
        piped: dict[str, Any] = {} if sys.stderr.isatty() else {"stdout": DEVNULL, "stderr": PIPE}
        self._child = Popen([*self._command, str(project_id)], env=environment, **piped)  # noqa: S603 - our own
        if self._stopped.is_set():  # since ``stop`` looked for a training to end
            self._child.terminate()
        if self._child.stderr is not None:
            threading.Thread(target=_relay, args=(self._child.stderr, project_id), daemon=True).start()
        with contextlib.suppress(OSError):  # it may have ended already
            os.setpriority(os.PRIO_PROCESS, self._child.pid, _NICENESS)  # annotators' requests go first
        try:
            return self._child.wait(self._timeout_s)
        except TimeoutExpired:
            self._child.kill()
            return self._child.wait()

    def stop(self) -> None:
        """End a training in progress, and each later one at its start."""
        self._stopped.set()
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()


class Training(Protocol):
    """What trains a project; see ``TrainingProcess``."""

    def run(self, project_id: int) -> int:
        """Train, and return the exit status."""

    def stop(self) -> None:
        """End a training in progress."""


class BackgroundTraining:
    """Starts the trainings that are due, one at a time over all workers.

    Parameters
    ----------
    client : callable, optional
        Gives Label Studio, which is asked from time to time for changes whose event was lost.
    clock : callable
        Gives the seconds by which failed trainings and the reconciliation wait.
    poll_s : float
        Time between two looks at the requests.
    """

    def __init__(
        self,
        settings: Settings,
        requests: TrainingRequests,
        training: Training,
        client: Callable[[], LabelStudioClient] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        poll_s: float = 0.5,
    ) -> None:
        self._settings, self._requests, self._training = settings, requests, training
        self._client, self._clock, self._poll_s = client, clock, poll_s
        self._registry = ModelRegistry(settings.data_dir)
        self._reconciliation = Reconciliation(settings, requests)
        self._admission = Admission(settings, requests, clock)
        self._reconcile_at = self._clear_at = clock() + _FIRST_LOOK_S
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed: dict[int, tuple[int, float]] = {}  # attempts, and not again before

    def start(self) -> None:
        """Lead as soon as no other worker does."""
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop leading; a training in progress is ended and asked for again."""
        self._stopping.set()
        self._training.stop()
        if self._thread is not None:
            self._thread.join(_GRACE_S)

    def lead(self) -> bool:
        """Train until ``stop``, unless another worker does; return whether this one led."""
        with held(self._settings.data_dir / "leader.lock", wait=False) as leading:
            if leading:
                self._requests.recover(time.time())
                while not self._stopping.wait(self._poll_s):
                    self.look()
            return leading

    def look(self) -> None:
        """Do the training that is due, if there is one, and the reconciliation if it is time."""
        client = self._label_studio() if self._requests.named() else None
        if client is not None:
            self._admission.sift(client)
        for project_id in self._requests.due(time.time()):
            if self._clock() < self._failed.get(project_id, (0, 0.0))[1]:
                continue
            may_train = client is None or self._admission.may_train(client, project_id)
            if may_train is False:
                self._requests.drop(project_id)
            elif may_train:
                self._train(project_id)
                break
        self._reconcile()
        self._clear()

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_s):
            try:
                self.lead()
            except Exception as error:  # noqa: BLE001 - a full or vanished disk, or a fault of ours: serving goes on
                log.error("training_interrupted", error=f"{type(error).__name__}: {error}")

    def _reconcile(self) -> None:
        every = self._settings.reconcile_s
        early = self._stopping.is_set() or self._clock() < self._reconcile_at
        client = None if early or not every else self._label_studio()
        if client is not None:
            self._reconcile_at = self._clock() + every
            self._reconciliation.ask(client, time.time())

    def _clear(self) -> None:
        """Delete some of what old versions have left in Label Studio, in a project that nobody trains just now."""
        if self._stopping.is_set() or self._clock() < self._clear_at:
            return
        self._clear_at = self._clock() + _LOOK_FOR_OLD_S
        for project_id in self._registry.projects():
            stay = self._registry.retained(project_id, self._settings.keep_versions)
            client = self._label_studio() if len(stay) < len(self._registry.versions(project_id)) else None
            if client is None:
                continue
            with held(training_lock(self._settings.data_dir, project_id), wait=False) as alone:
                publisher = Publisher(self._settings, client, self._registry)
                if alone and self._is_ours(client, project_id) and publisher.clean_up(project_id, _CLEARING_S):
                    self._clear_at = self._clock() + _PAUSE_S

    def _is_ours(self, client: LabelStudioClient, project_id: int) -> bool:
        with contextlib.suppress(SuiteError):
            return owns(client, self._settings, project_id)
        return False

    def _label_studio(self) -> LabelStudioClient | None:
        """Return Label Studio, unless the settings do not suffice: the training will say so."""
        with contextlib.suppress(SuiteError):
            return self._client() if self._client is not None else None
        return None

    def _state(self, project_id: int) -> ProjectState | None:
        client = self._label_studio()
        if client is None or not self._settings.reconcile_s:
            return None
        try:
            return project_state(client, project_id, self._settings)
        except SuiteError:  # the training will say what is wrong
            return None

    def _train(self, project_id: int) -> None:
        self._requests.begin(project_id)
        log.info("training_started", project=project_id)
        began = self._clock()
        state, last = self._state(project_id), self._registry.versions(project_id)[:1]
        code = self._training.run(project_id)
        seconds = self._clock() - began
        TRAINING_SECONDS.observe(seconds)
        if self._stopping.is_set() and code != 0:
            self._requests.add(project_id, time.time())
        elif code == 0:
            self._failed.pop(project_id, None)
            self._reconciliation.trained(project_id, state)
        elif not self._retry_later(project_id):
            self._reconciliation.trained(project_id, state)  # the same again would fail again
        self._requests.end(project_id)
        made = [record for record in self._registry.records(project_id)[:1] if [record.model_version] != last]
        result = self._result(code, made[0] if made else None)
        TRAININGS.labels(result).inc()
        version = made[0].model_version if made else None
        log.info("training_ended", project=project_id, result=result, version=version, seconds=round(seconds, 1))

    def _result(self, code: int, made: VersionRecord | None) -> str:
        if code:
            return "stopped" if self._stopping.is_set() else "failed"
        if made is None:
            return "nothing_new"
        return "held_back" if made.held_back else "promoted"

    def _retry_later(self, project_id: int) -> bool:
        """Ask once more, and tell whether that was not once too often."""
        attempts = self._failed.get(project_id, (0, 0.0))[0] + 1
        if attempts > _RETRIES:
            self._failed.pop(project_id, None)
            log.error("training_given_up", project=project_id, attempts=attempts)
            return False
        self._failed[project_id] = (attempts, self._clock() + _RETRY_S * attempts)
        self._requests.add(project_id, time.time())
        return True


def _relay(lines: IO[bytes], project_id: int) -> None:
    """Pass on the lines of a training's log, and make one of each sentence that it says."""
    with lines:
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text.startswith("{"):
                sys.stderr.write(text + "\n")
            elif text:
                log.info("training_said", project=project_id, text=text)
