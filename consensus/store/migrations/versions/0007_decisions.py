"""Batches of writes, the log of decisions, and the queues of review."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "batch",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("kind", "key", "made_by")),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.Column("undone_by", sa.String),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("filter", "params")),
    )
    op.create_index("ix_batch_key", "batch", ["project", "key"], unique=True)
    op.create_table(
        "batch_item",
        sa.Column("batch", sa.String, sa.ForeignKey("batch.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("control", sa.String, primary_key=True),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("annotation", sa.BigInteger),
        *(sa.Column(name, sa.JSON) for name in ("before", "evidence")),
        sa.Column("note", sa.String),
    )
    op.create_table(
        "decision",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("project", "task")),
        *(
            sa.Column(name, sa.String, nullable=False)
            for name in ("control", "label", "verdict", "decided_by", "source")
        ),
        sa.Column("at", moment, nullable=False),
        sa.Column("batch", sa.String),
        sa.Column("annotation", sa.BigInteger),
        sa.Column("model_version", sa.String),
        sa.Column("score", sa.Float),
        sa.Column("evidence", sa.JSON),
        sa.Column("reason", sa.String),
        sa.Column("undoes", sa.Integer),
    )
    op.create_index("ix_decision_task", "decision", ["project", "task"])
    op.create_index("ix_decision_batch", "decision", ["batch"])
    op.create_table(
        "review_item",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("queue", sa.String, primary_key=True),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("control", sa.String, primary_key=True),
        sa.Column("priority", sa.Float, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("entered_at", moment, nullable=False),
        sa.Column("assigned_to", sa.String),
        *(sa.Column(name, moment) for name in ("assigned_at", "closed_at")),
        sa.Column("closed_because", sa.String),
    )
    op.create_index("ix_review_item_open", "review_item", ["project", "queue", "closed_at", "priority"])


def downgrade() -> None:
    """Drop them; who decided what is lost, and what was written can no longer be undone."""
    for name in ("review_item", "decision", "batch_item", "batch"):
        op.drop_table(name)
