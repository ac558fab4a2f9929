"""Indexes for pages: reports in each order and of one annotator, and the log of decisions."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PLACE = ["task", "control", "label"]
INDEXES = {
    "ix_classification_posterior": ("classification", ["project", "report", "posterior", *PLACE, "confidence"]),
    "ix_classification_task": ("classification", ["project", "report", *PLACE, "confidence"]),
    "ix_vote_annotator": ("vote", ["project", "control", "annotator", "task"]),
    "ix_decision_page": ("decision", ["project", "id"]),
}
REPLACED = {"MisClassified": "posterior", "Undecided": "posterior"}
DOUBT = "abs(posterior - 0.5)"


def upgrade() -> None:
    """Make them; one for the posteriors of all reports takes the place of those of single ones."""
    for report in (*REPLACED, "Controversial"):
        op.drop_index(_name(report), "classification")
    _of_report("Controversial", DOUBT, "confidence")
    for name, (table, columns) in INDEXES.items():
        op.create_index(name, table, columns)


def downgrade() -> None:
    """Make those of single reports again; nothing is lost by that."""
    for name, (table, _) in INDEXES.items():
        op.drop_index(name, table)
    op.drop_index(_name("Controversial"), "classification")
    for report, order in {**REPLACED, "Controversial": DOUBT}.items():
        _of_report(report, order)


def _of_report(report: str, order: str, *more: str) -> None:
    only = sa.text(f"report = '{report}'")
    columns = ["project", sa.text(order), *PLACE, *more]
    op.create_index(_name(report), "classification", columns, sqlite_where=only, postgresql_where=only)


def _name(report: str) -> str:
    return f"ix_classification_{report.lower()}"
