import sys
from collections.abc import Callable
from pathlib import Path

from consensus.plugin.installing import SOURCE, TESTED

Shell = Callable[..., tuple[int, str, str]]
WHERE = Path("label_studio", "data_manager", "actions", "consensus_actions.py")


def label_studio(folder: Path, version: str = TESTED[0]) -> Path:
    """Make a folder of packages with what of Label Studio the installation looks at."""
    actions = folder / WHERE.parent
    actions.mkdir(parents=True)
    for package in (actions, actions.parent, actions.parent.parent):
        (package / "__init__.py").touch()
    described = folder / f"label_studio-{version}.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.4\nName: label-studio\nVersion: {version}\n")
    return folder


def test_it_is_put_in_once_and_taken_out(shell: Shell, tmp_path: Path) -> None:
    """A second time there is nothing to do; what was of another version is replaced."""
    packages = label_studio(tmp_path / "packages")
    file = packages / WHERE
    assert shell("plugin", "status", "--label-studio", packages)[:2] == (
        1,
        f"Label Studio {TESTED[0]} at {packages / 'label_studio'}\ntested with it: yes\ninstalled: not there\n",
    )
    assert "restart Label Studio" in shell("plugin", "install", "--label-studio", packages)[1]
    assert file.read_bytes() == SOURCE.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o644
    assert "is installed already" in shell("plugin", "install", "--label-studio", packages / "label_studio")[1]
    assert shell("plugin", "status", "--label-studio", packages)[0] == 0
    file.write_bytes(SOURCE.read_bytes() + b"# older\n")
    assert "another version" in shell("plugin", "status", "--label-studio", packages)[1]
    assert "restart" in shell("plugin", "install", "--label-studio", packages)[1]
    assert [path.name for path in file.parent.iterdir() if "consensus" in path.name] == [file.name]
    assert "deleted" in shell("plugin", "uninstall", "--label-studio", packages)[1]
    assert not file.exists()
    assert "was not there" in shell("plugin", "uninstall", "--label-studio", packages)[1]


def test_an_untested_version_gets_nothing(shell: Shell, tmp_path: Path) -> None:
    """It is named, with those that were tested."""
    packages = label_studio(tmp_path / "packages", "1.99.0")
    status, _, errors = shell("plugin", "install", "--label-studio", packages)
    assert (status, "is Label Studio 1.99.0; the plugin was tested with 1.23.2" in errors) == (1, True)
    assert not (packages / WHERE).exists()
    assert "no, the actions do nothing there" in shell("plugin", "status", "--label-studio", packages)[1]


def test_a_file_of_somebody_else_stays(shell: Shell, tmp_path: Path) -> None:
    """It is neither replaced nor deleted."""
    packages = label_studio(tmp_path / "packages")
    (packages / WHERE).write_text("actions = []\n")
    for command in ("install", "uninstall"):
        status, _, errors = shell("plugin", command, "--label-studio", packages)
        assert (status, "is no file of consensus" in errors) == (1, True)
    assert (packages / WHERE).read_text() == "actions = []\n"


def test_an_interpreter_is_asked_for_its_label_studio(shell: Shell, tmp_path: Path) -> None:
    """Ours has none, and another program is no interpreter."""
    for program, words in ((sys.executable, "has no Label Studio"), ("/bin/false", "could not be asked")):
        status, _, errors = shell("plugin", "install", "--python", program)
        assert (status, words in errors) == (1, True)
    status, _, errors = shell("plugin", "install", "--label-studio", tmp_path)
    assert (status, "holds no Label Studio" in errors) == (1, True)


def test_one_place_is_named(shell: Shell, tmp_path: Path) -> None:
    """Neither none nor two."""
    for words in ((), ("--label-studio", tmp_path, "--python", "python3")):
        assert "either --label-studio PATH or --python INTERPRETER" in shell("plugin", "status", *words)[2]
