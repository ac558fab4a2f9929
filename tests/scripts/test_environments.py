"""Environments are completed, repaired and left alone as their stamps say; pip is a small fake here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import environments
import installing
import pytest
from environments import INSTALLING, STAMP, Environment, State, state

if TYPE_CHECKING:
    import threading

SCRIPTS = Path(environments.__file__).parent

FAKE_PYTHON = """\
#!/bin/sh
# Stands for a Python with venv and pip; `pip.sh` says what installing does, `uv.sh` what getting uv does.
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo venv >> {root}/calls ;;
"-m pip")
    shift 3; echo "pip $*" >> {root}/calls
    case "$*" in *" uv") . {root}/uv.sh ;; *) . {root}/pip.sh ;; esac ;;
"-m uv") shift 4; echo "uv $*" >> {root}/calls; . {root}/pip.sh ;;
"-c import torch"*) [ ! -e {root}/torch-is-broken ] || {{ echo "ImportError: no torch here"; exit 1; }} ;;
*) echo 3.11 ;;
esac
"""


class Repository:
    """A repository in a temporary folder whose pip is a shell script."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "scripts").mkdir()
        self.write_project(dependency="numpy")
        self.write_pins("numpy==2.0")
        (root / "scripts" / "label-studio-constraints.txt").write_text("Django==5.2\n")
        self.python = root / "python"
        self.python.write_text(FAKE_PYTHON.format(root=root))
        self.python.chmod(0o755)
        self.pip_does("echo Successfully installed everything")
        (root / "uv.sh").write_text("true\n")

    def write_project(self, *, dependency: str, line_length: int = 110) -> None:
        text = f'[project]\ndependencies = ["{dependency}"]\n[tool.ruff]\nline-length = {line_length}\n'
        (self.root / "pyproject.toml").write_text(text)

    def write_pins(self, *lines: str) -> None:
        (self.root / "constraints.txt").write_text("\n".join(lines))

    def pip_does(self, script: str) -> None:
        (self.root / "pip.sh").write_text(textwrap.dedent(script) + "\n")

    def ours(self, *extras: str) -> Environment:
        return environments.ours(*extras, root=self.root)

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository whose environments are made by the fake Python."""
    made = Repository(tmp_path)
    monkeypatch.setattr(installing, "_base_python", lambda: str(made.python))
    return made


def test_a_missing_environment_is_made(repository: Repository) -> None:
    """An empty environment is made, uv fills it under the pins, and the stamp says so."""
    environment = repository.ours("ml", "test")
    installing.ensure([environment])
    made, uv, filled = repository.calls
    assert made == "venv"
    assert uv.endswith(f"--constraint {repository.root}/constraints.txt uv")
    assert filled.startswith("uv ")
    assert filled.endswith(f"--constraint {repository.root}/constraints.txt --editable {repository.root}[ml,test]")
    assert state(environment) is State.COMPLETE


def test_without_uv_pip_installs(repository: Repository) -> None:
    """Where uv cannot be had, the environment is made all the same."""
    (repository.root / "uv.sh").write_text("echo ERROR: no uv here; exit 1\n")
    environment = repository.ours("ml")
    installing.ensure([environment])
    assert repository.calls[-1].startswith("pip ")
    assert repository.calls[-1].endswith(f"--editable {repository.root}[ml]")
    assert state(environment) is State.COMPLETE


def test_where_uv_fails_pip_installs(repository: Repository) -> None:
    """Pip has settings of its own, such as another index, with which it may succeed."""
    repository.pip_does(f'tail -n 1 {repository.root}/calls | grep -q "^pip "')
    environment = repository.ours("ml")
    installing.ensure([environment])
    assert [call.split()[0] for call in repository.calls] == ["venv", "pip", "uv", "pip"]
    assert state(environment) is State.COMPLETE


def test_an_environment_that_cannot_import_is_not_complete(repository: Repository) -> None:
    """What was installed is imported once; what then fails is said, and the environment is made anew."""
    repository.pip_does(f"echo Installing collected packages: torch; touch {repository.root}/torch-is-broken")
    environment = repository.ours("ml")
    with pytest.raises(SystemExit, match="ImportError: no torch here"):
        installing.ensure([environment])
    assert state(environment) is not State.COMPLETE


def test_a_complete_environment_is_left_alone(repository: Repository) -> None:
    """The second run calls neither venv nor pip."""
    installing.ensure([repository.ours("ml")])
    before = repository.calls
    installing.ensure([repository.ours("ml")])
    assert repository.calls == before


def test_more_extras_than_asked_for_are_enough(repository: Repository) -> None:
    """The demo takes the environment of the tests as it is."""
    installing.ensure([repository.ours("ml", "test")])
    assert state(repository.ours("ml")) is State.COMPLETE
    assert state(repository.ours("ml", "docs")) is State.UNFINISHED


def test_extras_of_earlier_runs_are_kept(repository: Repository) -> None:
    """A new pin does not take the tests' packages out of the stamp when the demo runs."""
    installing.ensure([repository.ours("ml", "test")])
    repository.write_pins("numpy==2.1")
    installing.ensure([repository.ours("ml")])
    assert repository.calls[-1].endswith("[ml,test]")
    assert state(repository.ours("test")) is State.COMPLETE


@pytest.mark.parametrize("change", ["pins", "project"])
def test_another_pin_or_dependency_calls_pip_again(repository: Repository, change: str) -> None:
    """What is installed depends on the pins and on the project's dependencies."""
    installing.ensure([repository.ours("ml")])
    if change == "pins":
        repository.write_pins("numpy==2.1")
    else:
        repository.write_project(dependency="scipy")
    assert state(repository.ours("ml")) is State.UNFINISHED


def test_settings_of_other_tools_do_not_matter(repository: Repository) -> None:
    """A longer line for the linter is no reason to call pip."""
    installing.ensure([repository.ours("ml")])
    repository.write_project(dependency="numpy", line_length=120)
    assert state(repository.ours("ml")) is State.COMPLETE


def test_an_environment_made_by_hand_is_completed_and_kept(repository: Repository) -> None:
    """Without a stamp pip is asked once; what is there is not thrown away."""
    environment = repository.ours("ml")
    subprocess.run([repository.python, "-m", "venv", environment.folder], check=True)
    (environment.folder / "kept").touch()
    installing.ensure([environment])
    assert (environment.folder / "kept").exists()
    assert state(environment) is State.COMPLETE


def test_an_interrupted_install_is_rebuilt(repository: Repository) -> None:
    """A killed pip leaves a mark; the next run starts from an empty folder."""
    environment = repository.ours("ml")
    repository.pip_does(f"touch {environment.folder}/half; kill -9 $$")
    with pytest.raises(SystemExit, match=r"\.venv could not be made"):
        installing.ensure([environment])
    assert state(environment) is State.UNFINISHED or state(environment) is State.BROKEN
    repository.pip_does(f"echo Installing collected packages; touch {environment.folder}/half; exit 1")
    with pytest.raises(SystemExit):
        installing.ensure([environment])
    assert (environment.folder / INSTALLING).exists()
    assert state(environment) is State.BROKEN
    repository.pip_does("true")
    installing.ensure([environment])
    assert not (environment.folder / "half").exists()
    assert state(environment) is State.COMPLETE


def test_a_moved_repository_rebuilds(repository: Repository) -> None:
    """Programs in an environment name its folder; one that was copied elsewhere is not complete."""
    environment = repository.ours("ml")
    installing.ensure([environment])
    stamp = json.loads((environment.folder / STAMP).read_text())
    (environment.folder / STAMP).write_text(json.dumps(stamp | {"folder": "/elsewhere/.venv"}))
    assert state(environment) is State.BROKEN


def test_an_unreadable_stamp_asks_pip(repository: Repository) -> None:
    """Half a stamp is no stamp."""
    environment = repository.ours("ml")
    installing.ensure([environment])
    (environment.folder / STAMP).write_text('{"fingerprint": "')
    assert state(environment) is State.UNFINISHED


def test_an_environment_whose_python_is_gone_is_rebuilt(repository: Repository) -> None:
    """An upgraded system takes the interpreter away; the environment is made anew."""
    environment = repository.ours("ml")
    installing.ensure([environment])
    environment.python.unlink()
    assert state(environment) is State.BROKEN
    installing.ensure([environment])
    assert state(environment) is State.COMPLETE


def test_without_a_network_the_message_says_what_to_do(repository: Repository) -> None:
    """Pip's essential line and the remedy are shown; the environment can be completed later."""
    repository.pip_does(
        """
        echo "WARNING: Retrying (Retry(total=4)) after 'Failed to establish a new connection: no such host')': /x/"
        echo "  ERROR: Could not find a version that satisfies the requirement setuptools>=77"
        echo "ERROR: No matching distribution found for setuptools>=77"
        exit 1
        """
    )
    environment = repository.ours("ml")
    with pytest.raises(SystemExit) as stopped:
        installing.ensure([environment])
    message = str(stopped.value)
    assert "Could not find a version that satisfies the requirement setuptools>=77" in message
    assert "(Failed to establish a new connection: no such host)" in message
    assert "run the same command again" in message
    assert state(environment) is State.UNFINISHED


def test_one_failure_stops_the_other_install(repository: Repository) -> None:
    """Nobody waits for the second environment once the first one has failed."""
    repository.pip_does('case "$*" in *label-studio*) exit 1;; *) sleep 600;; esac')
    with pytest.raises(SystemExit, match=r"\.venv-label-studio could not be made"):
        installing.ensure([repository.ours("ml"), environments.label_studio(repository.root)])


def test_two_runs_install_once(repository: Repository) -> None:
    """The second of two runs at the same time waits for the first and finds the work done."""
    repository.pip_does("sleep 1")
    runs = [installing.Installation(repository.ours("ml")) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.error for run in runs] == [None, None]
    assert [call.split()[0] for call in repository.calls] == ["venv", "pip", "uv"]


def test_what_follows_an_install_runs_after_it(repository: Repository) -> None:
    """A step that needs the environment gets it complete."""
    states = []
    environment = repository.ours("ml")

    def look(_say: object, _cancelled: threading.Event) -> None:
        states.append(state(environment))

    installing.ensure([environment], then={".venv": look})
    assert states == [State.COMPLETE]


def test_ctrl_c_leaves_no_pip_and_no_traceback(repository: Repository) -> None:
    """Interrupted in the middle, the command ends in plain words and its pip is gone."""
    repository.pip_does(f"echo $$ > {repository.root}/pip.pid; exec sleep 60")
    program = (
        "import environments, installing, pathlib\n"
        f"installing._base_python = lambda: {str(repository.python)!r}\n"
        f"installing.ensure([environments.ours('ml', root=pathlib.Path({str(repository.root)!r}))])\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stderr=subprocess.PIPE,
        text=True,
    )
    pid_file = repository.root / "pip.pid"
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert child.poll() is None
        time.sleep(0.05)
    child.terminate()
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 1
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()
    assert state(repository.ours("ml")) is State.BROKEN


@pytest.mark.parametrize("script", ["environments.py", "test.py"])
def test_an_older_python_is_refused_in_plain_words(script: str, tmp_path: Path) -> None:
    """Python 3.10 gets one line that names the version that is needed."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 10, 4, 'final', 0)\n")
    done = subprocess.run(
        [sys.executable, SCRIPTS / script],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "Python 3.11 or newer is needed; this is Python 3.10.\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Collecting numpy<3,>=1.26 (from label-studio-consensus==0.1.0)", "collecting numpy<3,>=1.26"),
        (
            "  Downloading torch-2.15.0-cp311-cp311-linux_x86_64.whl (530.1 MB)",
            "downloading torch-2.15.0 (530.1 MB)",
        ),
        ("Processing /wheels/numpy-2.2.6-cp311-cp311-x86_64.whl (from x)", "processing numpy-2.2.6"),
        ("Installing collected packages: a, b, c", "installing 3 packages"),
        ("Downloading torch (506.1MiB)", "downloading torch (506.1MiB)"),
        ("Installed 157 packages in 2.14s", "installed 157 packages"),
        ("WARNING: the cache is off", None),
    ],
)
def test_progress_is_said_in_a_few_words(line: str, words: str | None) -> None:
    """A person needs the package and its size, not the tags of its wheel."""
    assert installing.spoken(line) == words
