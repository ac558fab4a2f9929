"""First tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the first version."""
    op.create_table(
        "run",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("model_version", sa.String, nullable=False),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("thresholds", sa.JSON, nullable=False),
        sa.Column("tasks", sa.Integer, nullable=False),
        sa.Column("votes", sa.Integer, nullable=False),
        sa.Column("problems", sa.Integer, nullable=False),
    )
    op.create_index("ix_run_project", "run", ["project"])
    op.create_table(
        "classification",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("control", sa.String, primary_key=True),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("label", sa.String, primary_key=True),
        sa.Column("given", sa.Boolean, nullable=False),
        sa.Column("yes", sa.Integer, nullable=False),
        sa.Column("no", sa.Integer, nullable=False),
        sa.Column("unsure", sa.Integer, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("posterior", sa.Float, nullable=False),
        sa.Column("report", sa.String, nullable=False),
    )
    op.create_index("ix_classification_report", "classification", ["project", "report"])
    op.create_table(
        "vote",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("control", sa.String, primary_key=True),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("annotator", sa.String, primary_key=True),
        sa.Column("label", sa.String, primary_key=True),
        sa.Column("vote", sa.String, nullable=False),
        sa.Column("annotation", sa.BigInteger, nullable=False),
        sa.Column("voted_at", sa.String, nullable=False),
        sa.Column("lead_time", sa.Float),
        sa.Column("from_prediction", sa.BigInteger),
    )
    op.create_table(
        "annotator",
        sa.Column("run", sa.Integer, sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("control", sa.String, primary_key=True),
        sa.Column("annotator", sa.String, primary_key=True),
        sa.Column("votes", sa.Integer, nullable=False),
        sa.Column("trust", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Drop all tables."""
    for name in ("annotator", "vote", "classification", "run"):
        op.drop_table(name)
