"""How a control asks, and where the given label is."""

import pytest

from common.label_studio.given_labels import labels_of
from common.label_studio.label_config import ChoicesTag, LabelConfig
from consensus.core.votes.controls import ControlSettings, resolve
from consensus.errors import ConfigError

KIND = ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog", "owl"))
CHECK = ChoicesTag("check", "image", multiple=False, labels=("Yes", "No", "Not sure"))
NOTHING = ControlSettings()
SHOWN = LabelConfig((KIND, CHECK), objects=frozenset({"image"}), shown=frozenset({"image", "Label", "given"}))


def test_labels_are_choices_and_words_of_agreement_are_a_verification() -> None:
    """The kind is inferred from the labels."""
    assert resolve(KIND, NOTHING, [], LabelConfig()).kind == "choices"
    control = resolve(CHECK, NOTHING, [{"Label": "lynx"}], SHOWN)
    assert (control.kind, control.choice, control.given) == ("verification", "each", "Label")
    assert control.answers == {"Yes": "yes", "No": "no", "Not sure": "unsure"}


@pytest.mark.parametrize(("multiple", "choice"), [(False, "single"), (True, "multiple")])
def test_the_kind_of_choice_is_the_tags(multiple: bool, choice: str) -> None:  # noqa: FBT001
    """One label or several, as the tag says."""
    assert resolve(ChoicesTag("kind", "image", multiple, ("cat",)), NOTHING, [], LabelConfig()).choice == choice


def test_a_word_beside_yes_and_no_that_says_nothing_makes_them_choices() -> None:
    """With a label that is neither yes, no nor unsure it is no verification."""
    tag = ChoicesTag("check", "image", multiple=False, labels=("Yes", "No", "Giraffe"))
    assert resolve(tag, NOTHING, [], LabelConfig()).kind == "choices"


@pytest.mark.parametrize(
    ("tasks", "given"),
    [
        ([{"image": "cat", "animal": "cat"}], "animal"),  # the only one whose values are labels
        ([{"animal": "cat", "class": "dog"}], "class"),  # the familiar name
        ([{"label": "cat", "given": "dog"}], "given"),  # the more familiar name
        ([{"animal": "cat", "Kind": "dog"}], "Kind"),  # the control's own name
        ([{"animal": "cat", "beast": "dog"}], None),  # either could be it
        ([{"animal": "cow"}], None),
        ([{"animal": "cat"}, {"animal": "dog"}, {"animal": "cow"}], "animal"),  # few are misspelt
        ([{"animal": "cat"}, {"animal": "cow"}], None),  # half are not
        ([{"animal": ["cat", "dog"]}, {"animal": ""}, {"animal": None}, {}], "animal"),
        ([{"animal": ["cat", "cow"]}], None),
        ([{"animal": {"cat": 1}}], None),
        ([{"animal": None}], None),
        ([], None),
    ],
)
def test_the_key_of_the_given_label_is_inferred(tasks: list[dict[str, object]], given: str | None) -> None:
    """It is the key of a familiar name, or the only one, that mostly holds labels and is not shown."""
    assert resolve(KIND, NOTHING, tasks, SHOWN).given == given


def test_settings_speak_before_inference() -> None:
    """Kind, keys and words are what the settings say."""
    tag = ChoicesTag("check", "image", multiple=False, labels=("ok", "bad", "hm"))
    settings = ControlSettings("verification", given="b", candidates="c", yes="ok", no="bad", unsure="hm")
    control = resolve(tag, settings, [{"given": "cat", "b": "dog", "c": "owl"}], LabelConfig())
    assert (control.kind, control.given, control.candidates) == ("verification", "b", "c")
    assert control.answers == {"ok": "yes", "bad": "no", "hm": "unsure"}
    assert resolve(CHECK, ControlSettings(kind="choices"), [{"a": "cat"}], LabelConfig()).kind == "choices"


def test_candidates_are_not_taken_for_the_given_label() -> None:
    """A key that the settings name for candidates is not inferred as given."""
    control = resolve(KIND, ControlSettings(candidates="label"), [{"label": "cat"}], LabelConfig())
    assert (control.given, control.candidates) == (None, "label")


def test_a_verification_of_a_label_that_is_no_choice() -> None:
    """The given label of a verification is any text under a familiar name; an address is none."""
    tasks: list[dict[str, object]] = [{"image": "x", "given": "a/b.png", "Label": "lynx", "species": "puma"}]
    assert resolve(CHECK, NOTHING, tasks, SHOWN).given == "Label"


@pytest.mark.parametrize(
    ("tasks", "shown"),
    [
        ([{"image": "x", "batch": "monday"}], ("image", "batch")),  # any short text could be what it asks about
        ([{"image": "x", "label": "lynx"}], ("image",)),  # annotators do not see it
        ([{"image": "x", "label": "cat"}], ("image", "label")),  # it is a choice of `kind`
        ([{"image": "x", "label": "lynx"}, {"label": " Cat"}], ("image", "label")),
        ([{"image": "x", "label": "a/b.png"}], ("image", "label")),
        ([], ("label",)),
    ],
)
def test_yes_and_no_that_verify_nothing_are_choices(
    tasks: list[dict[str, object]], shown: tuple[str, ...]
) -> None:
    """Is the photo blurry? is about the photo, whatever label the task came with; the remedy is named."""
    config = LabelConfig((KIND, CHECK), objects=frozenset({"image"}), shown=frozenset(shown))
    control = resolve(CHECK, NOTHING, tasks, config)
    assert (control.kind, control.choice, control.given) == ("choices", "single", None)
    assert control.about.endswith('Then set given = "KEY" in [controls.check])')


def test_of_two_questions_of_yes_or_no_neither_verifies_by_itself() -> None:
    """Is the label right? and Is the photo blurry? look alike, and a blurry photo accuses no label."""
    blurry = ChoicesTag("blurry", "image", multiple=False, labels=("yes", "no"))
    config = LabelConfig((CHECK, blurry), shown=frozenset({"label"}))
    tasks: list[dict[str, object]] = [{"label": "lynx"}]
    controls = [resolve(tag, NOTHING, tasks, config) for tag in config.choices]
    assert [(control.kind, control.given) for control in controls] == [("choices", None)] * 2
    assert 'set given = "KEY" in [controls.check]' in controls[0].hint
    assert resolve(CHECK, ControlSettings(given="label"), tasks, config).kind == "verification"


def test_a_verification_that_the_settings_name_is_one() -> None:
    """Its given label needs not be shown, and may be a choice of another control."""
    tasks: list[dict[str, object]] = [{"image": "x", "species": "cat", "label": "dog"}]
    named = resolve(CHECK, ControlSettings(given="species"), tasks, SHOWN)
    assert (named.kind, named.given) == ("verification", "species")
    called = resolve(CHECK, ControlSettings(kind="verification"), tasks, SHOWN)
    assert (called.kind, called.given) == ("verification", "label")


def test_the_given_label_may_lie_at_a_path() -> None:
    """What the config shows as $meta.label is a given label, and settings can name one."""
    tasks: list[dict[str, object]] = [{"meta": {"label": "lynx", "kind": "cat"}}]
    config = LabelConfig((CHECK,), shown=frozenset({"meta.label"}))
    assert resolve(CHECK, NOTHING, tasks, config).given == "meta.label"
    assert resolve(KIND, ControlSettings(given="meta.kind"), tasks, config).given == "meta.kind"


@pytest.mark.parametrize(
    ("values", "odd"),
    [
        (["Cat", "dog", "DOG"], "'Cat' (1 times), 'DOG' (1 times)"),
        (["cat ", "cat ", "dog"], "'cat ' (2 times)"),
        (["a cat", "a dog", "owl"], "'a cat' (1 times), 'a dog' (1 times)"),
        (["cat", "nan", "nan"], "'nan' (2 times)"),
        (["w", "x", "y", "z", "cat"], "'w' (1 times), 'x' (1 times), 'y' (1 times) and 1 more"),
    ],
)
def test_a_given_label_in_another_spelling_is_pointed_out(values: list[str], odd: str) -> None:
    """The key, the odd values and the remedy are named where too few values are choices."""
    tag = ChoicesTag("kind", "image", False, ("cat", "dog", "owl"), ("a cat", "a dog", "owl"))  # noqa: FBT003
    control = resolve(tag, NOTHING, [{"label": value} for value in values], LabelConfig((tag,)))
    assert control.given is None
    assert f"data key 'label' is not taken for the given label, for it holds {odd}, no" in control.about
    assert "[controls.kind.renamed]" in control.about


def test_numbers_of_a_table_are_pointed_out() -> None:
    """A table with a gap makes 7.0 of 7, which is the spelling of no choice."""
    tag = ChoicesTag("digit", "image", multiple=False, labels=("7", "8"))
    control = resolve(tag, NOTHING, [{"label": 7.0}, {"label": 8.0}, {"label": None}], LabelConfig((tag,)))
    assert control.given is None
    assert "for it holds '7.0' (1 times), '8.0' (1 times), no choices of 'digit'" in control.hint
    renamed = ControlSettings(renamed={"7.0": "7", "8.0": "8"})
    assert resolve(tag, renamed, [{"label": 7.0}, {"label": 8.0}], LabelConfig((tag,))).given == "label"


def test_a_given_label_within_something_else_is_pointed_out() -> None:
    """A path leads to it."""
    control = resolve(KIND, NOTHING, [{"label": {"name": "cat"}}], LabelConfig((KIND,)))
    assert "for it holds {'name': 'cat'}, which is no label" in control.hint
    assert 'set given = "label.KEY" under [controls.kind]' in control.hint


@pytest.mark.parametrize(
    ("tag", "settings", "message"),
    [
        (
            KIND,
            ControlSettings(given="cats"),
            r"'kind'.*name 'cats', but no task has that key.* image, species, x",
        ),
        (KIND, ControlSettings(candidates="cats"), "name 'cats', but no task has that key"),
        (KIND, ControlSettings(kind="verification"), r'cat, dog, owl means is unclear; set yes = "..."'),
        (KIND, ControlSettings(yes="cow"), "'kind'.*yes = 'cow', which is none of its labels cat, dog, owl"),
        (KIND, ControlSettings(renamed={"kitten": "cow"}), "'kitten' means 'cow', which is none of its labels"),
        (CHECK, ControlSettings(unsure="cow"), "unsure = 'cow', which is none of its labels"),
        (
            CHECK,
            ControlSettings(kind="verification"),
            r'set given = "KEY" under \[controls.check\], or kind = "choices"',
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(
    tag: ChoicesTag, settings: ControlSettings, message: str
) -> None:
    """The message names the control, what is wrong and what to set."""
    with pytest.raises(ConfigError, match=message):
        resolve(tag, settings, [{"image": "i", "species": "lynx", "x": "y"}], SHOWN)


def test_a_third_word_of_a_verification_that_is_not_understood_is_asked_for() -> None:
    """The message names the way to say what the third label means."""
    tag = ChoicesTag("check", "image", multiple=False, labels=("Yes", "No", "Broken image"))
    with pytest.raises(ConfigError, match=r"Broken image means is unclear; .* for a third one, unsure"):
        resolve(tag, ControlSettings(kind="verification", yes="Yes", no="No"), [], LabelConfig())


def test_the_line_about_a_control_says_what_was_found() -> None:
    """A person sees kind, labels, key of the given label and candidates."""
    control = resolve(KIND, ControlSettings(candidates="maybe"), [{"a": "cat", "maybe": "dog"}], LabelConfig())
    assert control.about == "kind: single choice of 3 labels, given label in 'a', candidates in 'maybe'"
    assert resolve(KIND, NOTHING, [], LabelConfig()).about == "kind: single choice of 3 labels, no given label"


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("cat", ("cat",)),
        (7, ("7",)),
        (["cat", "dog", "cat"], ("cat", "dog")),
        (["", "cat"], ("cat",)),
        ([], ()),
        ("", ()),
        (None, ()),
        (True, ("true",)),
        ([False, 1], ("false", "1")),
        (1.5, ("1.5",)),
        ({"a": 1}, None),
        ([["cat"]], None),
    ],
)
def test_labels_of_a_task(value: object, labels: tuple[str, ...] | None) -> None:
    """Texts, numbers, truth values and lists of them are labels; nothing is none; the rest is not understood."""
    assert labels_of(value) == labels
