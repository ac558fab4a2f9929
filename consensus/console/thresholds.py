"""AI-assist by label: the score from which on each label is accepted, all of them as one batch."""

from collections.abc import Mapping

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from consensus.assist.accept import AUDIT_SHARE, Offer, Request, offer
from consensus.assist.suggestions import Group, Suggested
from consensus.console.access import Role, needs
from consensus.console.assist import Reading, being_read, histograms
from consensus.console.lines import line_in, line_text, short
from consensus.console.pages import share_in
from consensus.console.rules import assist_pages
from consensus.serving import acts
from consensus.serving.service import check_run, service

__all__ = ["assist_pages"]  # to which this adds

PRECISION = 0.95
"""That a page begins with."""
MOST = 400
"""So many labels, those with the most open suggestions, have a line; the others are not accepted here."""
LONGEST = 2_000
"""Characters of an address: with more lines of one's own a page has none that could be shared."""

Lines = Mapping[Group, float | None]
"""From which score on each label is accepted; None: nothing of it is."""


@assist_pages.get("/projects/<int:project>/assist/labels")
@needs(Role.ADMIN)
def labels(project: int) -> str:
    """Show what each label needs for a precision, and what is accepted with that, or with lines of one's own."""
    check_run(service(), project)
    reading = Reading(*being_read(project, request.args.get("version") or None))
    if reading.suggested is None:
        return render_template("assist_labels.html", reading=reading, read=None)
    own: dict[Group, float | None] = {}
    for name in ("own", "none"):
        for control, names, score in map(line_in, request.args.getlist(name)):
            own[control, names] = score if name == "own" else None
    return _shown(reading.suggested, _precision(request.args.get("precision")), own)


@assist_pages.post("/projects/<int:project>/assist/labels")
@needs(Role.ADMIN)
def count(project: int) -> ResponseReturnValue:
    """Count what the lines of the form would accept; the page has an address, where that is not too long."""
    check_run(service(), project)
    form = request.form
    read = acts.suggested(service(), project, form.get("version") or None)
    precision = _precision(form.get("precision"))
    lines = promised_lines(offer(read, Request(target_precision=precision)))
    own: dict[Group, float | None] = {}
    for name, typed in zip(form.getlist("group"), form.getlist("from"), strict=False):
        control, names, _ = line_in(name)
        score = share_in(typed, "the score")
        if score != lines.get((control, names)):
            own[control, names] = score
    texts = [line_text((*group, score)) for group, score in own.items() if score is not None]
    none = [line_text((*group, 1.0)) for group, score in own.items() if score is None]
    address = url_for(
        "assist.labels", project=project, version=read.version, precision=f"{precision:g}", own=texts, none=none
    )
    return redirect(address, 303) if len(address) <= LONGEST else _shown(read, precision, own)


def promised_lines(promised: Offer) -> Lines:
    """Return from which score on each label keeps the promise, those with the most open suggestions first."""
    read, lines = promised.suggested, dict[Group, float | None]()
    for each in sorted(promised.groups, key=lambda each: (-each.suggestions, each.control, each.labels))[:MOST]:
        place = each.control, each.labels
        others = read.open_scores[read.groups[place]][each.accepted :][:1]
        lines[place] = None if each.above is None else short(each.above, others.tolist())
    return lines


def _shown(read: Suggested, precision: float, own: Lines) -> str:
    promised = offer(read, Request(target_precision=precision))
    lines = promised_lines(promised)
    used = {group: own.get(group, score) for group, score in lines.items()}
    chosen = tuple((*group, score) for group, score in used.items() if score is not None)
    edited = {group for group in lines if used[group] != lines[group]}
    is_promised = not edited and len(lines) == len(promised.groups)
    offered = promised if is_promised else offer(read, Request(lines=chosen, target_precision=precision))
    groups = {(each.control, each.labels): each for each in promised.groups}
    groups |= {place: each for each in offered.groups if (place := (each.control, each.labels)) in edited}
    return render_template(
        "assist_labels.html",
        reading=Reading(read),
        read=read,
        precision=precision,
        rows=[(groups[group], line_text((*group, 1.0)), score) for group, score in used.items()],
        edited=edited,
        lines=[line_text(line) for line in chosen],
        count=offered.n,
        open=len(read.open.rows),
        expected=offered.expected,
        several=len({control for control, _ in lines}) > 1,
        histograms=histograms(read, [groups[group] for group in lines]),
        audit_share=AUDIT_SHARE,
    )


def _precision(text: str | None) -> float:
    precision = share_in(text, "the precision")
    asked = Request(target_precision=PRECISION if precision is None else precision)
    asked.check_shares()
    return asked.target_precision or PRECISION
