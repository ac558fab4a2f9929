"""`consensus serve`."""

from typing import Annotated

import typer

from consensus.commands.options import ConfigOption

HostOption = Annotated[str, typer.Option("--host", help="Address to listen on.")]
PortOption = Annotated[int, typer.Option("--port", min=1, max=65_535, help="Port to listen on.")]


def serve(
    host: HostOption = "127.0.0.1",
    port: PortOption = 9091,
    config: ConfigOption = None,
    without_token: Annotated[
        bool, typer.Option("--without-token", help="Ask for no token; only on an address of this machine alone.")
    ] = False,
) -> None:
    """Serve the console, for people, and the REST API, for programs.

    People open the address in a browser and sign in with their account of Label Studio. Admins are those in
    CONSENSUS_ADMINS, and the account of LABEL_STUDIO_API_KEY; reviewers those in CONSENSUS_REVIEWERS.
    CONSENSUS_IMPORT_DIR names a folder of datasets that admins may import.
    Programs show CONSENSUS_API_TOKEN, as in Authorization: Bearer TOKEN. /openapi.json describes their routes.
    Reads LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY and CONSENSUS_DATABASE_URL.
    """
    from contextlib import closing  # noqa: PLC0415 - --help needs none of it
    from datetime import UTC, datetime  # noqa: PLC0415

    from consensus.commands.connections import store, studio  # noqa: PLC0415
    from consensus.commands.doctor import ANSWERS_IN_S, store_url  # noqa: PLC0415
    from consensus.console.access import Roles, addresses_in  # noqa: PLC0415
    from consensus.console.desk import Console  # noqa: PLC0415
    from consensus.console.front import proxies_in  # noqa: PLC0415
    from consensus.console.health import Schedule  # noqa: PLC0415
    from consensus.console.serve import serve as run  # noqa: PLC0415
    from consensus.diagnosis.examination import examine  # noqa: PLC0415
    from consensus.serving.ml_backend import MLBackend  # noqa: PLC0415
    from consensus.serving.runs import Runs  # noqa: PLC0415
    from consensus.serving.serve import token_for  # noqa: PLC0415
    from consensus.serving.service import Service  # noqa: PLC0415
    from consensus.settings import (  # noqa: PLC0415
        default_store,
        ml_backend_credentials,
        project_config,
        scheduled_projects,
        settings,
    )

    token = token_for(host, settings().consensus_api_token.get_secret_value(), without=without_token)
    runs = Runs(config)
    file = config or settings().consensus_config
    service = Service(
        token=token,
        opened=store,
        studio=lambda: closing(studio()),
        run=runs,
        config=lambda project: project_config(file, project),
        stop=runs.stop,
        webhook_token=settings().consensus_webhook_token.get_secret_value(),
        ml_backend=MLBackend(settings().consensus_ml_backend_url, ml_backend_credentials(settings())),
    )
    console = Console(
        service=service,
        pictures_in=settings().consensus_cache_dir / "pictures",
        largest_cache=settings().consensus_picture_bytes,
        roles=Roles(addresses_in(settings().consensus_admins), addresses_in(settings().consensus_reviewers)),
        secret=token,
        public_url=settings().consensus_public_url,
        proxies=proxies_in(settings().consensus_proxies),
        schedule=Schedule(settings().consensus_cron, scheduled_projects()),
        examine=lambda project: examine(
            settings().label_studio_url,
            lambda: studio(ANSWERS_IN_S),
            store_url,
            file,
            [project],
            now=datetime.now(UTC),
        ),
        settings_file=file,
        count_with=runs.count,
        imports_in=lambda: default_store().parent / "imports",
        datasets_in=settings().consensus_import_dir,
    )
    run(console, host, port)
