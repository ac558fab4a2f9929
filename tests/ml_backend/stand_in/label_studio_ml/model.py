"""The base class, with a cache in a file that is looked for by a path from the environment."""

import os
import sqlite3


class SqliteCache:
    """Values by project and key, in ``cache.db`` of a folder."""

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/cache.db"
        with sqlite3.connect(self.path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS cache (key TEXT PRIMARY KEY, value TEXT)")

    def __setitem__(self, key: tuple[str, str], value: str) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute("INSERT OR REPLACE INTO cache VALUES (?, ?)", ("|".join(key), value))

    def __getitem__(self, key: tuple[str, str]) -> str | None:
        with sqlite3.connect(self.path) as connection:
            row = connection.execute("SELECT value FROM cache WHERE key = ?", ("|".join(key),)).fetchone()
        return row[0] if row else None


CACHE = SqliteCache(os.getenv("MODEL_DIR", "."))


class LabelStudioMLBase:
    """A model of one project."""

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id, self.label_config = project_id or "", label_config
        self.setup()

    def setup(self) -> None:
        """For models to override."""

    def get(self, key: str) -> str | None:
        """Read a value of the project."""
        return CACHE[self.project_id, key]

    def set(self, key: str, value: str) -> None:
        """Keep a value of the project."""
        CACHE[self.project_id, key] = value
