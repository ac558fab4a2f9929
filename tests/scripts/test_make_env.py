"""The script that makes .env."""

import re
import subprocess
import sys
from pathlib import Path

import make_env

SCRIPT = Path(make_env.__file__)


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it on a folder."""
    command = [sys.executable, str(SCRIPT), "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_empty_secrets_are_filled_and_the_rest_stays() -> None:
    """Only what is secret and empty gets a value; comments and other settings are copied."""
    lines = make_env.filled(
        "# A_PASSWORD=\nPOSTGRES_PASSWORD=\nLABEL_STUDIO_API_KEY=mine\nPIP_ARGS=\n"
    ).splitlines()
    assert lines[0] == "# A_PASSWORD="
    assert re.fullmatch(r"POSTGRES_PASSWORD=[0-9a-f]{40}", lines[1])
    assert lines[2:] == ["LABEL_STUDIO_API_KEY=mine", "PIP_ARGS="]


def test_every_secret_of_the_example_is_filled_afresh() -> None:
    """No two files share a secret, and none is left empty."""
    example = (make_env.ROOT / ".env.example").read_text(encoding="utf-8")
    files = [
        dict(line.split("=", 1) for line in make_env.filled(example).splitlines() if "=" in line) for _ in "ab"
    ]
    for name in make_env.SECRETS:
        assert len({files[0][name], files[1][name], ""}) == 3


def test_it_is_written_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    """A second call leaves the file as it is; nobody else may read it."""
    (tmp_path / ".env.example").write_text("POSTGRES_PASSWORD=\n", encoding="utf-8")
    assert run(tmp_path).returncode == 0
    made = (tmp_path / ".env").read_text(encoding="utf-8")
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    again = run(tmp_path)
    assert (again.returncode, "stays as it is" in again.stdout) == (0, True)
    assert (tmp_path / ".env").read_text(encoding="utf-8") == made


def test_a_missing_example_is_one_line(tmp_path: Path) -> None:
    """What is missing is named, without a traceback."""
    failed = run(tmp_path)
    assert failed.returncode == 1
    assert failed.stderr == f"{tmp_path / '.env.example'}: No such file or directory\n"
