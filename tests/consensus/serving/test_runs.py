"""Runs in processes of their own."""

from pathlib import Path
from typing import Any

import pytest

from consensus.serving.runs import RunError, Runs


def test_a_count_stores_nothing_and_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a dry run with the other text, whatever settings file the service has."""
    seen: dict[str, str] = {}

    def outcome(_: Runs, project: int, options: list[str]) -> dict[str, Any]:
        [dry, name, path] = options
        seen.update(options=f"{project} {dry} {name}", path=path, text=Path(path).read_text(encoding="utf-8"))
        return {"reports": {"Discovered": 3}, "votes": 9}

    monkeypatch.setattr(Runs, "_outcome", outcome)
    assert Runs(Path("other.toml")).count(7, 'policy = "wilson" # ä') == {"Discovered": 3}
    assert seen["options"] == "7 --dry-run --config"
    assert seen["text"] == 'policy = "wilson" # ä'
    assert not Path(seen["path"]).exists()


def test_a_count_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the words of the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a" * 40)
    with pytest.raises(RunError, match="policy: Input should be"):
        Runs().count(7, 'policy = "dice"')
