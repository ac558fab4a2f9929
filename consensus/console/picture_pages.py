"""The address at which the pages show the picture of a task."""

from flask import Blueprint, Response, request, send_file
from werkzeug.exceptions import NotFound

from common.errors import FetchError, ImageRejectedError
from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.pictures import SIDES
from consensus.serving.service import check_run, service

KEPT_S = 86_400

picture_pages = Blueprint("pictures", __name__)


@picture_pages.get("/projects/<int:project>/tasks/<int:task>/picture")
@needs(Role.REVIEWER)
def picture(project: int, task: int) -> Response:
    """Serve the small picture of a task."""
    check_run(service(), project)
    size = request.args.get("size", "small")
    if size not in SIDES:
        raise NotFound(f"pictures are {' or '.join(SIDES)}")
    try:
        path = console().pictures.path(project, task, request.args.get("control", ""), size)
    except (FetchError, ImageRejectedError) as error:
        raise NotFound(f"the image of task {task} cannot be shown: {error.reason.replace('_', ' ')}") from None
    if path is None:
        raise NotFound(f"task {task} has no image for this control")
    answer = send_file(path, mimetype="image/webp", max_age=KEPT_S, conditional=True)
    answer.headers["Cache-Control"] = f"private, max-age={KEPT_S}"
    return answer
