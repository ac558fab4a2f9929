"""What the facts about people and their pay need: controls, suspicions, suggestions, and a ledger of votes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SEED = """
INSERT INTO ledger (project, control, task, annotator, kind, since, annotation)
SELECT vote.project, vote.control, vote.task, vote.annotator,
       CASE WHEN vote.vote = 'unsure' THEN 'unsure' ELSE 'answer' END, latest.at, MIN(vote.annotation)
FROM vote JOIN (SELECT project, MAX(started_at) AS at FROM run GROUP BY project) AS latest
     ON latest.project = vote.project
GROUP BY vote.project, vote.control, vote.task, vote.annotator,
         CASE WHEN vote.vote = 'unsure' THEN 'unsure' ELSE 'answer' END, latest.at
"""
"""Votes that are there already count as first seen by the run that stored them."""


def upgrade() -> None:
    """Add columns and tables."""
    op.add_column("vote", sa.Column("accepted", sa.Boolean))
    op.add_column("annotator", sa.Column("trust_low", sa.Float))
    op.add_column("annotator", sa.Column("trust_high", sa.Float))
    op.add_column("annotator", sa.Column("suspicions", sa.JSON))
    op.create_table(
        "control",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("control", sa.String, primary_key=True),
        sa.Column("choice", sa.String, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
    )
    op.create_table(
        "ledger",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("control", sa.String, primary_key=True),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("annotator", sa.String, primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("annotation", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_ledger_since", "ledger", ["project", "since"])
    op.execute(SEED)


def downgrade() -> None:
    """Drop them; the ledger is lost."""
    op.drop_table("ledger")
    op.drop_table("control")
    with op.batch_alter_table("annotator") as table:
        for name in ("suspicions", "trust_high", "trust_low"):
            table.drop_column(name)
    with op.batch_alter_table("vote") as table:
        table.drop_column("accepted")
