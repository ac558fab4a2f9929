"""What a program changes in a person's settings file, and what it leaves."""

import tomllib
from pathlib import Path

import pytest

from consensus.errors import ConfigError
from consensus.files.settings_file import Key, Value, edited, is_writable, replace_settings, section_of

WHOLE = """# ours
policy = "wilson"   # because

machines = [
  "a@example.com",  # of the night
  "b@example.com",
]

[projects.7.controls.digit]
given = "given"  # from the import
# the end of digits

[projects.8]
policy = "majority"
"""
CHANGES: list[dict[Key, Value]] = [
    {("policy",): "default"},
    {("policy",): "default", ("review", "gold_share"): 0.1, ("model_votes",): True},
    {("controls", "digit", "given"): "meta.label"},
    {("controls", "a.b c", "kind"): "verification"},
    {("machines",): ["c@example.com"], ("thresholds", "wilson", "fewest_votes"): 4},
]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize(
    "text",
    ["", WHOLE, WHOLE.replace("\n", "\r\n"), WHOLE.rstrip(), "projects = { 8 = { policy = 'wilson' } }  # here\n",
     "projects.8.policy = 'wilson'\n[projects.007]\ntask_columns = true # too\n[review]\nspot_share = 0.5\n"],
)  # fmt: skip
def test_what_is_changed_is_all_that_changes(text: str, changes: dict[Key, Value]) -> None:
    """Every comment and other project stays; the project says what is new beside its own."""
    made = edited(text, 7, changes)
    for comment in ("# ours", "# because", "# of the night", "# from the import", "# the end", "# here", "# too"):
        assert (comment in made) >= (comment in text), comment
    assert section_of(made, 7) == section_of(text, 7) | changes
    without, before = tomllib.loads(made), tomllib.loads(text)
    for each in (without, before):
        projects = each.get("projects", {})
        for name in ("7", "007"):
            projects.pop(name, None)
        if not projects:
            each.pop("projects", None)
    assert without == before
    assert edited(made, 7, changes) == made


def test_a_key_is_taken_out() -> None:
    """Another one stays; what is not there is nothing to do."""
    made = edited(WHOLE, 7, {("controls", "digit", "given"): None, ("guarantee",): None})
    assert section_of(made, 7) == {}
    assert "# the end of digits" in made
    assert edited(WHOLE, 9, {("guarantee",): None}) == WHOLE


def test_a_list_loses_and_gets_elements() -> None:
    """Comments beside the others stay."""
    text = '[projects.7]\nmachines = [\n  "a",  # of the night\n  "b",\n]\n'
    made = edited(text, 7, {("machines",): ["a", "c"]})
    assert section_of(made, 7) == {("machines",): ["a", "c"]}
    assert "# of the night" in made


@pytest.mark.parametrize("text", ["policy = ", "projects = 7", "[projects]\n7 = 'x'", "[projects.7]\nreview = 1"])
def test_a_file_that_cannot_be_changed_is_refused(text: str) -> None:
    """With a sentence."""
    with pytest.raises(ConfigError, match="settings file"):
        edited(text, 7, {("review", "gold_share"): 0.1})


def test_a_link_stays_one_and_readers_keep_their_rights(tmp_path: Path) -> None:
    """The file behind it is replaced in one step."""
    file, link = tmp_path / "real.toml", tmp_path / "link.toml"
    file.write_text("a = 1\n")
    file.chmod(0o640)
    link.symlink_to(file)
    assert is_writable(link)
    replace_settings(link, "a = 2\n")
    assert (file.read_text(), file.stat().st_mode & 0o777, link.is_symlink()) == ("a = 2\n", 0o640, True)
    assert not is_writable(tmp_path / "none.toml")
    assert not is_writable(None)
