"""What an annotator sees: their own trust, votes and pay, and nothing of anybody else's."""

from flask import Blueprint, g, render_template, url_for
from werkzeug.exceptions import NotFound

from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.people import courses_of, described, votes_of
from consensus.core.people.suspicion import without_names
from consensus.serving.service import service
from consensus.store.columns import Row

own_pages = Blueprint("me", __name__)


@own_pages.get("/projects/<int:project>/me")
@needs(Role.ANNOTATOR)
def me(project: int) -> str:
    """Show who has signed in what the last run says of them.

    A project without votes of theirs looks like one that is not there.
    """
    name = str(g.member.email)
    with service().store.snapshot() as snapshot:
        run = snapshot.last_run(project)
        rows = [_own(row) for row in snapshot.pages.annotator(run["id"], name)] if run else []
        courses = courses_of(snapshot, project, {name}) if rows else {}
    return render_template(
        "me.html",
        title=console().titles.of(project) if rows else f"Project {project}",
        rows=rows,
        run=run if rows else None,
        courses={control: course for (_, control), course in courses.items()},
    )


@own_pages.get("/projects/<int:project>/me/votes")
@needs(Role.ANNOTATOR)
def votes(project: int) -> str:
    """List the own votes; without some, nothing is told of the project."""
    try:
        read = votes_of(project, str(g.member.email))
    except NotFound:
        raise NotFound(f"no run of project {project} has seen a vote of yours there") from None
    return render_template("votes.html", back=url_for("me.me", project=project), **read)


def _own(row: Row) -> Row:
    """Leave out who else is meant by a suspicion."""
    suspicions = row["suspicions"] and [
        {**suspicion, "reason": without_names(suspicion["reason"])} for suspicion in row["suspicions"]
    ]
    return described({**row, "suspicions": suspicions})
