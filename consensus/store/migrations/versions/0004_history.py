"""What a run changed is kept; both bounds, a control's kind, a project's server; indexes for pages of a report."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SINCE = "UPDATE {table} SET since = (SELECT MAX(run.id) FROM run WHERE run.project = {table}.project)"
COUNT = """
INSERT INTO report_count (project, control, label, report, classifications)
SELECT project, control, label, report, COUNT(*) FROM classification GROUP BY project, control, label, report
"""
CLASSIFICATION = (
    ("project", sa.BigInteger), ("control", sa.String), ("task", sa.BigInteger), ("label", sa.String),
    ("given", sa.Boolean), ("yes", sa.Integer), ("no", sa.Integer), ("unsure", sa.Integer),
    ("confidence", sa.Float), ("upper", sa.Float), ("posterior", sa.Float), ("report", sa.String),
    ("model_share", sa.Float), ("since", sa.Integer), ("until", sa.Integer),
)  # fmt: skip
VOTE = (
    ("project", sa.BigInteger), ("control", sa.String), ("task", sa.BigInteger), ("annotator", sa.String),
    ("label", sa.String), ("vote", sa.String), ("annotation", sa.BigInteger), ("voted_at", sa.String),
    ("lead_time", sa.Float), ("from_prediction", sa.BigInteger), ("accepted", sa.Boolean), ("since", sa.Integer),
    ("until", sa.Integer),
)  # fmt: skip
KEY = ("project", "control", "task", "annotator", "label", "until")
UNKNOWN = ("upper", "model_share", "since", "lead_time", "from_prediction", "accepted")


def upgrade() -> None:
    """Add columns, tables and indexes."""
    op.add_column("classification", sa.Column("upper", sa.Float))
    op.add_column("classification", sa.Column("since", sa.Integer))
    op.add_column("vote", sa.Column("since", sa.Integer))
    op.add_column("control", sa.Column("kind", sa.String))
    for table, columns in (("classification", CLASSIFICATION), ("vote", VOTE)):
        op.execute(SINCE.format(table=table))
        keys = [name for name in KEY if (table, name) != ("classification", "annotator")]
        op.create_table(
            f"{table}_history",
            *(sa.Column(name, kind, primary_key=name in keys, nullable=name in UNKNOWN) for name, kind in columns),
        )
        op.create_index(f"ix_{table}_history_until", f"{table}_history", ["project", "until"])
    op.create_table(
        "report_count",
        *(
            sa.Column(name, sa.BigInteger if name == "project" else sa.String, primary_key=True)
            for name in ("project", "control", "label", "report")
        ),
        sa.Column("classifications", sa.Integer, nullable=False),
    )
    op.execute(COUNT)
    op.create_table(
        "project",
        sa.Column("project", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.String) for name in ("url", "created_at", "token")),
    )
    op.drop_index("ix_classification_report", "classification")
    first = ["project", "report"]
    down = sa.text("confidence DESC")
    op.create_index("ix_classification_page", "classification", [*first, down, "task", "control", "label"])
    op.create_index("ix_classification_label_page", "classification", [*first, "control", "label", down, "task"])


def downgrade() -> None:
    """Drop them; the history of votes and classifications is lost."""
    for name in ("ix_classification_label_page", "ix_classification_page"):
        op.drop_index(name, "classification")
    op.create_index("ix_classification_report", "classification", ["project", "report"])
    for name in ("project", "report_count", "vote_history", "classification_history"):
        op.drop_table(name)
    for name, columns in (("classification", ("since", "upper")), ("vote", ("since",)), ("control", ("kind",))):
        with op.batch_alter_table(name) as table:
            for column in columns:
                table.drop_column(column)
