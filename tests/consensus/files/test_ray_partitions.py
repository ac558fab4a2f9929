"""Ray workers that keep the parts give the numbers of one memory; the cluster is a real one, on this machine."""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_folders import Choice, assert_same, rows_of, tables_of_file, write_folder, write_given

from consensus.errors import ConfigError
from consensus.files.score_files import Inputs, score_files

ray = pytest.importorskip("ray", reason="Ray is not installed")


@pytest.fixture(scope="module")
def _cluster() -> Iterator[None]:
    """Two processors of this machine, as a cluster that is there already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("_cluster")
@pytest.mark.parametrize(("kind", "choice"), [("single", "single"), ("each", "single"), ("multiple", "multiple")])
def test_a_cluster_says_the_same(tmp_path: Path, kind: str, choice: Choice) -> None:
    """Result and annotators of 7 parts on two workers are those of one file in memory; the cluster stays up."""
    given = write_given(tmp_path / "given.csv", 3)
    expected = tables_of_file(tmp_path / "one.parquet", rows_of(kind), "default", choice, given=given)
    folder = write_folder(tmp_path / "votes", rows_of(kind))
    out = [tmp_path / name for name in ("out.parquet", "people.parquet")]
    score_files(Inputs(folder, given=given, choice=choice), *out, engine="ray", part_votes=230)
    for file, table in zip(out, expected, strict=True):
        assert_same(pq.read_table(file), table)
    assert ray.is_initialized()


def test_without_ray_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is an extra, and its absence is no traceback."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install '.\[ray\]'"):
        score_files(
            Inputs(write_folder(tmp_path / "votes", rows_of("single"))), tmp_path / "out.csv", engine="ray"
        )
