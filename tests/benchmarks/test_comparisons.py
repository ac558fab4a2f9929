"""The two commands on small made sets, and the bars by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("crowdkit", reason="crowd-kit is not installed (extra benchmarks)")

import accuracy
import calibration
import metrics
from curves import LOSSES, METHODS, SIZES, Curves, bars_of_curves, draw_votes
from made_sets import made_set, write_single, write_yes_no
from promises import promises, show_promises, stated
from side_by_side import Outcome, belief_of, fairest, score_set


def outcome() -> Outcome:
    """Return what the engine and the majority say of the made set."""
    votes = made_set()
    scored = score_set(votes)
    return Outcome(votes, {"default": belief_of(votes, scored), "MV": votes.tallies}, scored, {})


def test_bar_of_a_set() -> None:
    """Half a point below the best of the others is enough, and no less."""
    bars = accuracy.bars_of_sets(
        {"a": {"default": 0.795, "DS": 0.8, "MV": 0.7}, "b": {"default": 0.794, "DS": 0.8}}
    )
    assert bars["a"] == {"bar": pytest.approx(0.795), "reached": True}
    assert bars["b"]["reached"] is False


def test_bar_of_the_means() -> None:
    """A method that did not run on a set is compared on the others; an equal mean is not higher."""
    figures = {"a": {"default": 0.8, "DS": 0.8, "MV": 0.9}, "b": {"default": 0.6, "DS": 0.6}}
    bars = accuracy.bars_of_means(figures)
    assert bars["DS"] == {"sets": 2, "mean": pytest.approx(0.7), "default": pytest.approx(0.7), "reached": False}
    assert bars["MV"] == {"sets": 1, "mean": 0.9, "default": 0.8, "reached": False}


def test_bar_of_a_score() -> None:
    """Five percent worse than the best of the others is too much, and so is a mean that is not lower."""
    bars = calibration.score_bars({"a": {"default": 0.21, "DS": 0.2}, "b": {"default": 0.1, "DS": 0.3}})
    assert bars["a"] == {"ratio": pytest.approx(1.05), "reached": True}
    assert bars["mean, DS"] == {"mean": 0.25, "default": pytest.approx(0.155), "reached": True}
    assert not calibration.score_bars({"a": {"default": 0.22, "DS": 0.2}})["a"]["reached"]


def test_the_engine_is_laid_out_by_item() -> None:
    """A row of beliefs is a task, its columns the classes, and adds up to 1."""
    belief = outcome().beliefs["default"]
    assert belief.sum(axis=1).tolist() == pytest.approx([1] * 12)
    assert belief.argmax(axis=1).tolist() == made_set().truth.tolist()


def test_every_classification_is_stated() -> None:
    """Twelve tasks of three labels make 36 classifications, of which twelve are right."""
    made = outcome()
    posterior, right = stated(made, made.scored.posterior)
    assert posterior.tolist() == pytest.approx(made.beliefs["default"].ravel().tolist())
    assert (len(right), int(right.sum())) == (36, 12)


def test_a_broken_promise_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    """A share right below the level misses the bar; a level that nothing reaches keeps its promise."""
    cells = {str(level): {"right": 0.85, "share": 0.1, "found": 0.1} for level in (0.5, 0.6, 0.7, 0.8, 0.9)}
    none = {"0.95": {"right": float("nan"), "share": 0.0, "found": 0.0}}
    bars = show_promises({"labelme": cells | none})
    assert bars["labelme, 0.8"]["reached"]
    assert not bars["labelme, 0.9"]["reached"]
    assert bars["labelme, 0.95"]["reached"]
    assert "| labelme, 0.95 | - | none there |" in capsys.readouterr().out


def test_promises_count_right_rows() -> None:
    """Where all that has a confidence is right, the share right is 1."""
    cell = promises([outcome()])["made"]["0.5"]
    assert cell["right"] == 1
    assert cell["share"] == pytest.approx(cell["found"] / 3)


def test_smoothing_suits_the_shares_best() -> None:
    """Where the majority is always right, the fewest pseudo-votes score best; other methods need none."""
    assert fairest([outcome()], "MV", metrics.brier) == 0.1
    assert fairest([outcome()], "DS", metrics.brier) == 0


def test_draws_keep_so_many_votes_of_each_item() -> None:
    """Two of four votes of each item stay; more than there are leaves all."""
    votes = made_set()
    two = draw_votes(votes, 2, np.random.default_rng(0))
    assert two.tallies.sum(axis=1).tolist() == [2] * 12
    assert (two.tallies <= votes.tallies).all()
    assert len(draw_votes(votes, 78, np.random.default_rng(0)).item) == 48


def test_a_loss_that_grows_is_missed() -> None:
    """A growth by more than two standard errors over the best smaller number misses the bar, chance does not."""
    loss = np.zeros((len(SIZES), 1, 100))
    loss[:2] = 0.5
    loss[-1, 0, :1] = 1.0  # one item of 100: no more than chance
    loss[-2, 0, :20] = 1.0
    bars = bars_of_curves(Curves({"default": {"brier": loss}}))
    assert [name for name, bar in bars.items() if not bar["reached"]] == ["brier, 3 to 40 votes"]
    assert bars["brier, 3 to 78 votes"]["growth"] == pytest.approx(0.01)


def run_main(module: object, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """Run one of the commands on a folder of sets."""
    words = ["command", "--data", str(folder), "--skip-slow", "--peers", str(folder / "kept"), *more]
    monkeypatch.setattr("sys.argv", words)
    return module.main()  # type: ignore[attr-defined, no-any-return]


def test_accuracy_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last line is JSON; of two tasks one has no vote for the truth, so that no mean is higher: status 1."""
    write_single(tmp_path, "dog")
    assert run_main(accuracy, tmp_path, monkeypatch) == 1
    *_, last = capsys.readouterr().out.splitlines()
    report = json.loads(last)
    assert report["accuracy"]["dog"]["default"] == report["accuracy"]["dog"]["MV"] == 0.5
    assert report["bars"]["dog"] == {"bar": 0.495, "reached": True}
    assert "GLAD" not in report["accuracy"]["dog"]
    assert report["reached"] is False


def test_what_the_others_say_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second run with --peers runs the engine alone, and says the same."""
    write_single(tmp_path, "dog")
    run_main(accuracy, tmp_path, monkeypatch)
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    run_main(accuracy, tmp_path, monkeypatch)
    second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(second["seconds"]["dog"]) == ["default"]
    assert second["accuracy"] == first["accuracy"]


def test_calibration_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last line is JSON with all parts, and the missing sets are named."""
    write_yes_no(tmp_path, "raters_golden.parquet")
    status = run_main(calibration, tmp_path, monkeypatch)
    output = capsys.readouterr().out
    report = json.loads(output.splitlines()[-1])
    assert status == (0 if report["reached"] else 1)
    assert list(report["curves"]["real-golden"]["default"]["error"]) == [str(size) for size in SIZES]
    assert set(report["promises"]["real-golden"]) == {"0.5", "0.6", "0.7", "0.8", "0.9", "0.95"}
    assert "labelme: skipped" in output


def test_diagrams_are_the_same_each_time(tmp_path: Path) -> None:
    """The two SVG files hold the methods' names as text, and are byte for byte the same when drawn again."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra benchmarks)")
    made = outcome()
    made.beliefs["DS"] = made.beliefs["default"]
    losses = dict.fromkeys(LOSSES, np.ones((len(SIZES), 1, 12)))
    drawn = []
    for folder in tmp_path / "first", tmp_path / "second":
        calibration.draw(folder, [made], {"MV": 1.0}, {"made": Curves(dict.fromkeys(METHODS, losses))})
        drawn.append({file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()})
    assert drawn[0] == drawn[1]
    assert sorted(drawn[0]) == ["reliability.svg", "votes.svg"]
    assert all("Dawid-Skene" in svg for svg in drawn[0].values())


def test_no_sets_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder is said to be one, with the option that names another."""
    with pytest.raises(SystemExit, match=r"holds none of the sets bluebirds.*--data"):
        run_main(accuracy, tmp_path, monkeypatch)
