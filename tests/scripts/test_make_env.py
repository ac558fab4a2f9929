"""The script that makes .env."""

import re
import subprocess
import sys
from pathlib import Path

import make_env
import pytest

SCRIPT = Path(make_env.__file__)


def run(folder: Path, *options: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run it on a folder, where `docker` is what the path leads to."""
    command = [sys.executable, str(SCRIPT), "--folder", str(folder), *options]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)


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


EXAMPLE = (make_env.ROOT / ".env.example").read_text(encoding="utf-8")
OLDER = "".join(
    f"{name}={'' if name in make_env.ADDABLE else 'mine'}\n"
    for name in make_env.SECRETS
    if name != "ML_BACKEND_TOKEN"
)


def test_what_an_older_file_lacks_is_named_and_added_when_asked_for(tmp_path: Path) -> None:
    """Credentials are added beside secrets that stay; a third call finds nothing to do."""
    (tmp_path / ".env.example").write_text(EXAMPLE, encoding="utf-8")
    (tmp_path / ".env").write_text(OLDER, encoding="utf-8")
    (tmp_path / ".env").chmod(0o600)
    looked = run(tmp_path)
    assert (looked.returncode, (tmp_path / ".env").read_text(encoding="utf-8")) == (0, OLDER)
    assert f"lacks {', '.join(sorted(make_env.ADDABLE))}" in looked.stdout
    assert "--update adds that" in looked.stdout
    assert run(tmp_path, "--update").returncode == 0
    after = make_env.values((tmp_path / ".env").read_text(encoding="utf-8"))
    assert {name: after[name] for name in make_env.SECRETS if name not in make_env.ADDABLE} == {
        name: "mine" for name in make_env.SECRETS if name not in make_env.ADDABLE
    }
    assert all(len(after[name]) > 12 for name in make_env.ADDABLE)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert "stays as it is\n" in run(tmp_path, "--update").stdout


def test_refused_networks_follow_the_settings(tmp_path: Path) -> None:
    """Another network of compose, and addresses that are allowed, change the list; a slip is named."""
    (tmp_path / ".env.example").write_text(EXAMPLE, encoding="utf-8")
    run(tmp_path)
    target = tmp_path / ".env"
    made = target.read_text(encoding="utf-8")
    changed = made.replace("STACK_NETWORK=10.213.83", "STACK_NETWORK=192.168.7").replace(
        "LABEL_STUDIO_REACHABLE=", "LABEL_STUDIO_REACHABLE=10.0.0.5, fd00::/64"
    )
    target.write_text(changed, encoding="utf-8")
    run(tmp_path, "--update")
    refused = make_env.refused_networks("192.168.7", "10.0.0.5,fd00::/64")
    assert make_env.values(target.read_text(encoding="utf-8"))["LABEL_STUDIO_REFUSED_NETWORKS"] == refused
    assert "10.213.83.10/31" not in refused.split(",")
    target.write_text(made, encoding="utf-8")
    run(tmp_path, "--update")
    assert target.read_text(encoding="utf-8") == made
    target.write_text(changed.replace("10.0.0.5", "10.0.0.500"), encoding="utf-8")
    failed = run(tmp_path, "--update")
    assert (failed.returncode, "'10.0.0.500'" in failed.stderr) == (1, True)


@pytest.mark.parametrize(
    ("volumes", "made"), [("demo_postgres-data\ndemo_other", False), ("demo_other", True), ("", True)]
)
def test_kept_volumes_have_the_secrets_of_an_earlier_file(tmp_path: Path, volumes: str, made: bool) -> None:  # noqa: FBT001
    """A new file would fit none of them: it is made only when asked for, and what then helps is said."""
    folder, path = tmp_path / "Demo", tmp_path / "bin"
    folder.mkdir()
    path.mkdir()
    (folder / ".env.example").write_text(EXAMPLE, encoding="utf-8")
    asked = tmp_path / "asked"
    (path / "docker").write_text(f"#!/bin/sh\necho \"$@\" >{asked}\nprintf '{volumes}'\n", encoding="utf-8")
    (path / "docker").chmod(0o755)
    done = run(folder, path=str(path))
    assert (done.returncode, (folder / ".env").exists()) == (0 if made else 1, made)
    assert "label=com.docker.compose.project=demo\n" in asked.read_text(encoding="utf-8")
    if not made:
        assert "demo_postgres-data of an earlier .env" in done.stderr
        assert "adopt-secrets" in done.stderr
        assert run(folder, "--new", path=str(path)).returncode == 0


def test_a_docker_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    """What cannot be asked is no reason to make nothing."""
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / ".env.example").write_text(EXAMPLE, encoding="utf-8")
    assert run(tmp_path, path=str(tmp_path)).returncode == 0


@pytest.mark.parametrize("form", ["{}={}", '{}="{}"', "{}='{}'", "export {}={}", "{}={} # ours", '{}="{}" # ours'])
def test_values_are_read_as_docker_compose_reads_them(form: str) -> None:
    """A network in quotes or with a comment is one, and no credential is replaced by another one."""
    given = dict.fromkeys(make_env.ADDABLE, "mine") | {make_env.NETWORK: "10.1.2"}
    older = "".join(form.format(name, value) + "\n" for name, value in given.items())
    after = make_env.updated(older, EXAMPLE)
    refused = f"{make_env.REFUSED}={make_env.refused_networks('10.1.2')}\n"
    assert after == older + refused
    assert make_env.updated(after, EXAMPLE) == after


@pytest.mark.parametrize("network", ["8.8.8", "172.32.0", "11.0.0"])
def test_a_public_network_for_the_stack_is_refused(tmp_path: Path, network: str) -> None:
    """Label Studio's protection refuses private addresses alone: its members would reach all services."""
    (tmp_path / ".env.example").write_text(EXAMPLE, encoding="utf-8")
    (tmp_path / ".env").write_text(f"{make_env.NETWORK}={network}\n", encoding="utf-8")
    done = run(tmp_path, "--update")
    assert done.returncode == 1
    assert f"{network}.0/24 is not private" in done.stderr
    assert "STACK_NETWORK or LABEL_STUDIO_REACHABLE" in done.stderr
