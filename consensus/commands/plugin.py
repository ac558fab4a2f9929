"""`consensus plugin install | uninstall | status`: the actions in Label Studio's Data Manager."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import SettingsError
from consensus.commands import output

if TYPE_CHECKING:
    from consensus.plugin.installing import Target

PathOption = Annotated[
    Path | None,
    typer.Option("--label-studio", help="Its package, the folder that holds that, or its virtual environment."),
]
PythonOption = Annotated[str | None, typer.Option("--python", help="The interpreter that runs Label Studio.")]

plugin = typer.Typer(no_args_is_help=True, help="Put the actions of consensus into Label Studio's Data Manager.")


@plugin.command()
def install(label_studio: PathOption = None, python: PythonOption = None) -> None:
    """Put the actions into an installed Label Studio; restart it then.

    Label Studio's environment has to name the service: CONSENSUS_URL, as http://127.0.0.1:9091, and
    CONSENSUS_API_TOKEN. On a version that the plugin was not tested with nothing is installed.
    """
    from consensus.plugin.installing import install as put_in  # noqa: PLC0415

    target = _target(label_studio, python)
    if put_in(target):
        output.OUT.print(f"{target.file}: installed in Label Studio {target.version}; restart Label Studio")
    else:
        output.OUT.print(f"{target.file}: is installed already")


@plugin.command()
def uninstall(label_studio: PathOption = None, python: PythonOption = None) -> None:
    """Take the actions out of an installed Label Studio; restart it then."""
    from consensus.plugin.installing import uninstall as take_out  # noqa: PLC0415

    target = _target(label_studio, python)
    output.OUT.print(f"{target.file}: {'deleted; restart Label Studio' if take_out(target) else 'was not there'}")


@plugin.command()
def status(label_studio: PathOption = None, python: PythonOption = None) -> None:
    """Say whether the actions are in an installed Label Studio, and fit it; exit with 1 where they do not."""
    target = _target(label_studio, python)
    state = target.state()
    output.OUT.print(f"Label Studio {target.version or 'of an unknown version'} at {target.package}")
    output.OUT.print(f"tested with it: {'yes' if target.is_tested else 'no, the actions do nothing there'}")
    output.OUT.print(f"installed: {'yes' if state == 'this version' else state}")
    if state != "this version" or not target.is_tested:
        raise typer.Exit(1)


def _target(path: Path | None, python: str | None) -> "Target":
    from consensus.plugin.installing import target_at, target_of  # noqa: PLC0415

    if path is not None and python is None:
        return target_at(path)
    if python is not None and path is None:
        return target_of(python)
    raise SettingsError("name where Label Studio is installed: either --label-studio PATH or --python INTERPRETER")
