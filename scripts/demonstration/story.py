"""The demo's story on one screen: from images to the five reports, and back out of Label Studio."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import label_studio_server
from environments import ROOT

from demonstration import annotators, checking, cleaning, digits, ending, ports, reading, results, tables, waiting
from demonstration.crowd import submit_all
from demonstration.folders import run_folder
from demonstration.programs import Suite
from demonstration.studio import CONTROL, TITLE, Studio

if TYPE_CHECKING:
    import argparse
    import contextlib
    from collections.abc import Mapping, Sequence

    from servers import Server

    from demonstration.steps import Steps

PHOTOS, CLEANED = "photos", "cleaned"
"""Folders in that of the run: what is imported, and what is exported."""
TOLD_OF = 100
"""So many of the annotations come after the ML backend is connected: telling it makes each of them slower."""
IMAGES, WRONG_SHARE, WITHOUT_VOTES = 100, 0.15, 10
SEED = 15
"""One that leaves something for each of the five reports; as many wrong labels are caught as with most others."""


def tell(options: argparse.Namespace, steps: Steps, running: contextlib.ExitStack) -> None:
    """Do everything, show it, and go on running until interrupted unless the options say otherwise.

    Parameters
    ----------
    options
        What was asked for.
    steps
        Shows how far it is.
    running
        Gets whatever has to be stopped at the end.
    """
    port, backend_port, console_port = (
        ports.choose(name, requested, usual, option, steps.say)
        for name, requested, usual, option in (
            ("Label Studio", options.port, 8080, "--port"),
            ("the ML backend", options.backend_port, 9090, "--backend-port"),
            ("the console", options.console_port, 9091, "--console-port"),
        )
    )
    folder = running.enter_context(run_folder(ROOT / ".demo"))
    images = digits.sample(IMAGES, wrong_share=WRONG_SHARE, seed=SEED)
    crowd = annotators.CROWD
    answers = annotators.simulate(images, crowd, without_votes=WITHOUT_VOTES, seed=SEED)

    account = label_studio_server.administrator()
    suite = Suite(f"http://127.0.0.1:{port}", account.token, folder)
    with steps.step("Label Studio starts, and the ML backend beside it"):
        backend = suite.start_backend(backend_port, options.weights)
        running.callback(backend.stop)
        label_studio = label_studio_server.start(folder / "label-studio", port)
        running.callback(label_studio.stop)
        admin = running.enter_context(Studio(label_studio.url, account.token))
    project, tasks = import_folders(steps, suite, admin, images)
    with steps.step(f"{len(crowd)} simulated annotators sign up through the invite link"):
        tokens = admin.sign_up([each.email for each in crowd])
    with steps.step(f"the simulated annotators submit {len(answers) - TOLD_OF} annotations"):
        submit_all(label_studio.url, tokens, answers[:-TOLD_OF], tasks)
    with steps.step("the ML backend is connected"):
        weights = suite.loaded_weights(backend, backend_port)
        admin.connect_backend(project, suite.backend_url(backend_port))
    steps.say(f"The ML backend answers with {weights} weights.")
    with steps.step(f"they submit {TOLD_OF} more, and Label Studio tells the backend of each"):
        submit_all(label_studio.url, tokens, answers[-TOLD_OF:], tasks)
    submitted_at = datetime.now(UTC)
    with steps.step("consensus writes its reports, and the ML backend learns meanwhile"):
        first_run = suite.consensus("run", "--project", project)
        after_first = reading.read(admin, project)
    with steps.step("consensus runs again and has nothing to send"):
        second_run = suite.consensus("run", "--project", project)
    with steps.step("the ML backend has learned from all of them and suggests a label for every task"):
        waiting.wait_for_model(admin, project, backend, since=submitted_at)
    with steps.step("the result is read back from Label Studio"):
        tab = waiting.make_sorting_tab(admin, project)
        by_score = admin.whole_tasks(project, view=tab)
        with Studio(label_studio.url, tokens[crowd[0].email]) as annotator:
            stream = reading.next_for(annotator, project)
        held = reading.read(admin, project)

    comparison = results.compare(held, truth={image.name: image.truth for image in images}, run=second_run)
    results.show(steps, comparison)
    checking.check_project(held, len(answers), stream, [task["predictions_score"] for task in by_score])
    checking.check_reports(comparison.reports, comparison.given)
    checking.check_unchanged(after_first, held, second_run)
    clean(steps, suite, project, tasks, images)
    console = start_console(steps, suite, console_port, backend_port, running)
    ending.show_sent(steps, first_run, once=options.once)
    if not options.once:
        addresses = ending.Addresses(suite.backend_url(backend_port), f"http://127.0.0.1:{console_port}", project)
        ending.stay(steps, label_studio, [backend, console], addresses, held)


def start_console(
    steps: Steps, suite: Suite, port: int, backend_port: int, running: contextlib.ExitStack
) -> Server:
    """Start the console, which is stopped at the end."""
    with steps.step("the console starts"):
        console = suite.start_console(port, backend_port)
        running.callback(console.stop)
    return console


def import_folders(
    steps: Steps, suite: Suite, admin: Studio, images: Sequence[digits.Digit]
) -> tuple[int, dict[str, int]]:
    """Write the images into folders, and import these; return the project, and its tasks by their file."""
    photos = suite.folder / PHOTOS
    digits.write_folders(images, photos)
    wrong = sum(image.is_wrong for image in images)
    with steps.step(f"{len(images)} images, {wrong} of them in the folder of another label, are imported"):
        overlap = len(annotators.CROWD)
        imported = suite.consensus(
            "import", photos, "--project", TITLE, "--control", CONTROL, "--overlap", overlap
        )
        return imported["project"], admin.tasks_by_name(imported["project"], len(images))


def clean(
    steps: Steps, suite: Suite, project: int, tasks: Mapping[str, int], images: Sequence[digits.Digit]
) -> None:
    """Accept what the votes propose, let a reviewer decide the rest of the queues, and export the dataset."""
    with steps.step("the labels that the votes prefer to the given ones are accepted"):
        accepted = suite.consensus("accept", "--project", project, "--proposals", "--yes")["accepted"]
        suite.consensus("run", "--project", project)  # the model has learned since the last one: it fills a queue
    with steps.step("a simulated reviewer, who knows the truth, decides what waits in the queues"):
        reviewed = cleaning.review(suite, project, {tasks[image.name]: image.truth for image in images})
    photos, exported = suite.folder / PHOTOS, suite.folder / CLEANED
    with steps.step("the dataset is exported as it is now believed, into folders again"):
        suite.consensus("run", "--project", project)
        suite.consensus("export", exported, "--project", project, "--layout", "folders", "--images", photos)
    cleaned = cleaning.compare(images, photos, exported)
    steps.console.print(tables.folders_table(cleaned))
    steps.say(f"{accepted} proposals were accepted at once; the reviewer looked at {reviewed} images.")
    checking.check_cleaned(cleaned)
