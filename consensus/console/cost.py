"""What a project has cost so far, for the overview."""

from datetime import date

from flask import render_template

from consensus.console import pay
from consensus.console.access import Role, needs
from consensus.console.apart import on_store
from consensus.console.computed import Outcome
from consensus.console.desk import console
from consensus.console.pay import pay_pages
from consensus.console.people import n_votes
from consensus.core.people.pay import Rules
from consensus.people.cost import Cost, cost_of
from consensus.people.pay_rules import RulesFile
from consensus.serving.service import service, snapshot_of
from consensus.store.store import Store

__all__ = ["pay_pages"]

DECIDED = ("AllConfirmed", "MisClassified", "Discovered")
"""Reports whose classifications are decided."""


@pay_pages.get("/projects/<int:project>/cost")
@needs(Role.ADMIN)
def cost(project: int) -> str:
    """Show what the months have cost, and what that is for each thing that was found out."""
    with snapshot_of(service(), project) as snapshot:
        run = int(snapshot.needed_run(project)["id"])
        counts = snapshot.pages.report_totals(project)
    rules, problem = pay.rules_of(project)
    return render_template(
        "cost.html",
        cost=_cost_now(project, run, rules),
        rules=rules,
        problem=problem,
        decided=sum(counts[name] for name in DECIDED),
        wrong=counts["MisClassified"],
    )


def _cost_now(project: int, run: int, rules: RulesFile | None) -> Outcome[Cost]:
    """Return what it has cost, worked out once for a run, a day and rules."""
    store, today = service().store, pay.today()

    work = on_store(store, n_votes(project), _cost, project, rules.core() if rules else None, today)
    return console().computed.of(("cost", project, run, today, rules and rules.model_dump_json()), work)


def _cost(store: Store, project: int, rules: Rules | None, today: date) -> Cost:
    with store.snapshot() as snapshot:
        return cost_of(snapshot, project, rules, today)
