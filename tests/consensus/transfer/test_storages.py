import sys
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest
from in_memory_label_studio import PROJECT, InMemoryStudio, choices, config

from consensus.errors import ConfigError
from consensus.transfer.failures import FailureLog
from consensus.transfer.import_options import ImportOptions
from consensus.transfer.import_outcome import ImportOutcome
from consensus.transfer.importing import run_import
from consensus.transfer.sources.layouts import read_source
from consensus.transfer.sources.records import Reading, Record
from consensus.transfer.storages import LocalFiles, cloud_storage, make_storages

sys.path.insert(0, str(Path(__file__).parent))
from made_images import make_folders, make_image

AWS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "eu-1"}


@pytest.fixture
def studio() -> InMemoryStudio:
    """A Label Studio with a project of two labels."""
    return InMemoryStudio(config(choices("label", "cat", "dog")))


def imported(
    studio: InMemoryStudio,
    reading: Reading,
    folder: Path,
    *,
    dry_run: bool = False,
    **options: Any,  # noqa: ANN401 - of ImportOptions
) -> ImportOutcome:
    """The outcome of an import into the project."""
    log = FailureLog(None)
    chosen = ImportOptions(str(PROJECT), **options)
    return run_import(
        studio.client(), reading, "photos", chosen, folder / "imports", log, dry_run=dry_run, sleep=lambda _s: None
    )


def test_files_are_served_from_where_they_are(studio: InMemoryStudio, tmp_path: Path) -> None:
    """A storage of the narrowest folder is made once, and nothing is uploaded; in a dry run it is shown."""
    studio.document_root = tmp_path
    photos = make_folders(tmp_path / "sets" / "my photos", 4)
    files = LocalFiles.of(str(tmp_path))
    shown = imported(studio, read_source(photos, None), tmp_path, local_files=files, dry_run=True)
    assert ([each.place for each in shown.storages], studio.writes) == ([str(photos)], [])
    for made in ([str(photos)], []):
        outcome = imported(studio, read_source(photos, None), tmp_path, local_files=files)
        assert [each.place for each in outcome.storages] == made
    assert (studio.uploads, len(studio.tasks), len(studio.storages["localfiles"])) == ({}, 4, 1)
    assert {task["data"]["image"] for task in studio.tasks.values()} == {
        f"/data/local-files/?d=sets/my%20photos/{name}/{number:03}.png"
        for number, name in enumerate(["cat", "dog", "cat", "dog"])
    }


def test_files_out_of_reach_are_left_out(studio: InMemoryStudio, tmp_path: Path) -> None:
    """Those in the document root itself, too: Label Studio serves folders below it."""
    root = studio.document_root = tmp_path / "root"
    paths = [make_image(path) for path in (tmp_path / "1.png", root / "2.png", root / "a" / "3.png")]
    records = [Record(path.name, ("cat",), path) for path in paths]
    outcome = imported(studio, Reading(records), tmp_path, local_files=LocalFiles.of(str(root)))
    assert [each.source for each in outcome.left_out] == ["1.png", "2.png"]
    assert (outcome.sent, [each.place for each in outcome.storages]) == (1, [str(root / "a")])


def test_a_document_root_in_a_container(tmp_path: Path) -> None:
    """The storage has the path that Label Studio sees; two folders at the top need two."""
    files = LocalFiles.of(f"{tmp_path}:/label-studio/files")
    records = [Record(name, (), make_image(tmp_path / name)) for name in ("a/1.png", "b/c/1.png")]
    assert files.there == PurePosixPath("/label-studio/files")
    assert [each.place for each in files.storages(records)] == ["/label-studio/files/a", "/label-studio/files/b"]
    with pytest.raises(ConfigError, match="there is no folder"):
        LocalFiles.of(str(tmp_path / "none"))


def test_another_document_root_is_noticed(studio: InMemoryStudio, tmp_path: Path) -> None:
    """Before a task is made whose image nobody would see."""
    photos = make_folders(tmp_path / "here" / "photos", 2)
    root = studio.document_root = tmp_path / "there"
    make_folders(root / "photos", 2, ("cow", "owl"))
    files = LocalFiles.of(f"{tmp_path / 'here'}:{root}")
    with pytest.raises(ConfigError, match=r"does not serve .*000.png at .*\(404\)"):
        imported(studio, read_source(photos, None), tmp_path, local_files=files)
    make_image(root / "photos" / "cat" / "000.png", form="GIF")
    with pytest.raises(ConfigError, match="serves another file than"):
        imported(studio, read_source(photos, None), tmp_path, local_files=files)
    studio.document_root = None
    studio.storages.clear()
    with pytest.raises(ConfigError, match=r"refuses the storage .*photos/cat"):
        imported(studio, read_source(photos / "cat", "folders"), tmp_path, local_files=files)
    assert studio.tasks == {}


def test_a_bucket_without_a_storage_is_named(studio: InMemoryStudio, tmp_path: Path) -> None:
    """And is served once there is one, which is made only once."""
    reading = Reading([Record("1", ("cat",), address="s3://photos/q4/1.png")])
    assert imported(studio, reading, tmp_path).hidden == ["s3://photos"]
    for made in (1, 0):
        storage = cloud_storage("s3://photos/q4", AWS)
        outcome = imported(studio, reading, tmp_path, storages=(storage,))
        assert (outcome.hidden, len(outcome.storages)) == ([], made)
    (row,) = studio.storages["s3"]
    wanted_keys = {"bucket": "photos", "prefix": "q4", "aws_access_key_id": "id", "region_name": "eu-1"}
    assert wanted_keys.items() <= row.items()
    assert not any("sync" in path for path in studio.writes)


@pytest.mark.parametrize(
    ("address", "environment", "kind", "settings"),
    [
        ("gs://b", {"GOOGLE_CLOUD_PROJECT": "p"}, "gcs", {"bucket": "b", "google_project_id": "p"}),
        ("azure-blob://c/x", {"AZURE_BLOB_ACCOUNT_NAME": "n"}, "azure", {"container": "c", "account_name": "n"}),
    ],
)
def test_other_clouds(address: str, environment: dict[str, str], kind: str, settings: dict[str, str]) -> None:
    """With Label Studio's names; keys are not shown."""
    storage = cloud_storage(address, environment)
    assert (storage.kind, storage.settings.items() >= settings.items()) == (kind, True)
    assert (storage.variables, "settings" in repr(storage)) == (tuple(environment), False)


def test_the_content_of_google_s_file_is_sent(tmp_path: Path) -> None:
    """Label Studio has no such file; one that cannot be read is named."""
    path = tmp_path / "key.json"
    path.write_text("{}")
    storage = cloud_storage("gs://b", {"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
    assert storage.settings["google_application_credentials"] == "{}"
    path.unlink()
    with pytest.raises(ConfigError, match=r"key.json, which cannot be read"):
        cloud_storage("gs://b", {"GOOGLE_APPLICATION_CREDENTIALS": str(path)})


@pytest.mark.parametrize("address", ["ftp://b", "s3:/b", "b", "s3://"])
def test_what_is_no_storage(address: str) -> None:
    """Says what one looks like."""
    with pytest.raises(ConfigError, match="is no storage; write s3://BUCKET/PREFIX"):
        cloud_storage(address, {})


def test_a_storage_is_made_once_and_refusals_are_said(studio: InMemoryStudio) -> None:
    """After a lost answer it is looked for."""

    def lose(request: httpx.Request) -> httpx.Response:
        studio.faults.clear()
        studio.handle_request(request)
        raise httpx.ReadTimeout("late")

    studio.faults["POST storages"] = lose
    assert len(make_storages(studio.client(), PROJECT, [cloud_storage("s3://b", AWS)], lambda _s: None)) == 1
    assert len(studio.storages["s3"]) == 1
    with pytest.raises(ConfigError, match="refuses the storage s3://no-b: Cannot find bucket no-b"):
        make_storages(studio.client(), PROJECT, [cloud_storage("s3://no-b", AWS)])


def test_a_refusal_that_repeats_credentials_does_not_show_them(studio: InMemoryStudio) -> None:
    """Label Studio passes on what the cloud says of them."""
    answer = {"detail": "bad key s3cr3t-key of AKIA-1"}
    studio.faults["POST storages"] = httpx.Response(400, json=answer)
    environment = {"AWS_ACCESS_KEY_ID": "AKIA-1", "AWS_SECRET_ACCESS_KEY": "s3cr3t-key"}
    with pytest.raises(ConfigError, match=r"bad key \(aws_secret_access_key\) of \(aws_access_key_id\)$"):
        make_storages(studio.client(), PROJECT, [cloud_storage("s3://b", environment)], lambda _s: None)
