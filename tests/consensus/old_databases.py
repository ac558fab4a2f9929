"""Databases of earlier versions of the tables."""

from pathlib import Path

import alembic.command
import alembic.config
import sqlalchemy
from sqlalchemy.pool import NullPool

MIGRATIONS = Path(__file__).parents[2] / "consensus" / "store" / "migrations"


def upgraded(url: str, revision: str) -> sqlalchemy.Engine:
    """An empty database brought to a version of the tables."""
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
    return engine
