"""Indexes for the reports that are not ordered by confidence."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ORDERS = {"MisClassified": "posterior", "Controversial": "abs(posterior - 0.5)"}


def upgrade() -> None:
    """Make them."""
    for report, order in ORDERS.items():
        only = sa.text(f"report = '{report}'")
        columns = ["project", sa.text(order), "task", "control", "label"]
        name = f"ix_classification_{report.lower()}"
        op.create_index(name, "classification", columns, sqlite_where=only, postgresql_where=only)


def downgrade() -> None:
    """Drop them; nothing is lost by that."""
    for report in ORDERS:
        op.drop_index(f"ix_classification_{report.lower()}", "classification")
