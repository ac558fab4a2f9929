from collections.abc import Mapping

import pytest

from common.label_studio.label_config import (
    ChoicesTag,
    Condition,
    LabelConfigError,
    config_digest,
    is_visible,
    read_label_config,
    value_at,
)

IMAGE = '<Image name="image" value="$image"/>'
CHOICE = '<Choice value="a"/><Choice value="b"/>'
KIND = f'<Choices name="kind" toName="image">{CHOICE}</Choices>'


def only(inside: str) -> ChoicesTag:
    """The one control of a config."""
    config = read_label_config(f"<View>{IMAGE}{inside}</View>")
    (tag,) = config.choices
    assert config.reasons == ()
    return tag


@pytest.mark.parametrize(("choice", "multiple"), [("single", False), ("single-radio", False), ("Multiple", True)])
def test_a_control_is_of_a_single_or_a_multiple_choice(choice: str, multiple: bool) -> None:  # noqa: FBT001
    """The attribute choice says which; without it a choice is single."""
    assert only(f'<Choices name="kind" toName="image" choice="{choice}">{CHOICE}</Choices>').multiple == multiple
    assert not only(KIND).multiple


def test_a_tick_box_is_a_multiple_choice_of_one() -> None:
    """A blank on a single <Choice> says no, as on a multiple choice; it is no missing answer."""
    tag = only('<Choices name="broken" toName="image"><Choice value="broken"/></Choices>')
    assert (tag.labels, tag.multiple) == (("broken",), True)


def test_the_case_of_tags_and_attributes_makes_no_difference() -> None:
    """Label Studio's frontend ignores it, so a control in small letters is one, and perregion is perRegion."""
    config = read_label_config(
        '<view><image NAME="image" VALUE="$image"/><choices name="kind" toname="image" CHOICE="multiple">'
        '<choice value="a"/><CHOICE Value="b"/></choices>'
        '<choices name="part" toName="image" perregion="TRUE"><choice value="a"/></choices></view>'
    )
    (tag,) = config.choices
    assert (tag.name, tag.labels, tag.multiple, tag.image_key) == ("kind", ("a", "b"), True, "image")
    assert config.passed_over == {"part": "labels regions, not tasks (perRegion)"}


def test_an_alias_is_the_label_and_the_value_is_what_is_shown() -> None:
    """Label Studio stores the alias of a choice where it has one."""
    tag = only('<Choices name="c" toName="image"><Choice value="A" alias="a"/><Choice value="B"/></Choices>')
    assert (tag.labels, tag.shown_as) == (("a", "B"), ("A", "B"))


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        (f'<Choices name="c" toName="image" perRegion="true">{CHOICE}</Choices>', "perRegion"),
        (f'<Choices name="c" toName="image" perItem="true">{CHOICE}</Choices>', "perItem"),
        (f'<Repeater on="$p"><Choices name="c" toName="image">{CHOICE}</Choices></Repeater>', "Repeater"),
        (f'<Choices name="c_{{{{idx}}}}" toName="image">{CHOICE}</Choices>', "Repeater"),
        ('<Choices name="c" toName="image" value="$options"/>', "come from the tasks"),
        (f'<Choices name="c" toName="image" value="$options">{CHOICE}</Choices>', "come from the tasks"),
        ('<Choices name="c" toName="image"><Choice value="$first"/><Choice value="b"/></Choices>', "the tasks"),
        ('<Choices name="c" toName="image"><Choice value="A"><Choice value="Aa"/></Choice></Choices>', "nested"),
        ('<Choices name="c" toName="image" allownested="True"><Choice value="A"/></Choices>', "nested"),
        ('<Choices name="c" toName="image"/>', "has no <Choice>"),
        (f'<Choices name="c">{CHOICE}</Choices>', "toName"),
        (f'<Choices toName="image">{CHOICE}</Choices>', "no name"),
    ],
)  # fmt: skip
def test_other_choices_are_passed_over_with_the_reason(inside: str, why: str) -> None:
    """Choices of regions, items or repeated parts, from the task or nested are none, and the user hears why."""
    config = read_label_config(f"<View>{IMAGE}{inside}{KIND}</View>")
    assert [tag.name for tag in config.choices] == ["kind"]
    (reason,) = config.reasons
    assert why in reason


@pytest.mark.parametrize(
    ("image", "key", "why"),
    [
        ('<Image name="i" value="$photo"/>', "photo", ""),
        ('<Image name="i" value="$meta.url"/>', "meta.url", ""),
        ('<Image name="i" value="$images[0]"/>', "images[0]", ""),
        ('<Image name="i" value="$a[0].b"/>', "a[0].b", ""),
        ('<Text name="i" value="$photo"/>', "", "is bound to Text, not to an Image"),
        ('<Image name="i" valueList="$photos"/>', "", "is bound to a list of images (valueList)"),
        ('<Image name="i" value="http://x/a.png"/>', "", "no key of the task"),
        ('<Image name="i" value="http://x/$file"/>', "", "no key of the task"),
        ('<Image name="i" value="$base/$file"/>', "", "no key of the task"),
        ("", "", "is bound to 0 tags"),
    ],
)
def test_the_image_of_a_control_is_a_key_or_path_of_the_task(image: str, key: str, why: str) -> None:
    """A control that is about no image of one key is a control all the same, and says why it has none."""
    (tag,) = read_label_config(f'<View>{image}<Choices name="c" toName="i">{CHOICE}</Choices></View>').choices
    assert tag.image_key == key
    assert why in tag.why_no_image


def test_two_objects_are_no_one_image() -> None:
    """A control of two images is about neither of them."""
    two = f'{IMAGE}<Image name="j" value="$j"/><Choices name="c" toName="image,j">{CHOICE}</Choices>'
    (tag,) = read_label_config(f"<View>{two}</View>").choices
    assert (tag.to_name, tag.image_key, tag.why_no_image) == ("image", "", "is bound to 2 tags, not to one Image")


@pytest.mark.parametrize(
    ("data", "path", "value"),
    [
        ({"meta": {"url": "a"}}, "meta.url", "a"),
        ({"images": ["a", "b"]}, "images[1]", "b"),
        ({"a": [{"b": {"c": "d"}}]}, "a[0].b.c", "d"),
        ({"meta.url": "flat", "meta": {"url": "deep"}}, "meta.url", "flat"),
        ({"images": ["a"]}, "images[1]", None),
        ({"images": "text"}, "images[0]", None),
        ({}, "image", None),
    ],
)
def test_a_path_is_resolved_after_the_flat_key(data: Mapping[str, object], path: str, value: object) -> None:
    """As Label Studio's frontend does it."""
    assert value_at(data, path) == value


WHEN = 'visibleWhen="choice-selected" whentagname="kind" whenChoiceValue="a"'


@pytest.mark.parametrize(
    "inside",
    [
        f'<Choices name="breed" toName="image" {WHEN}>{CHOICE}</Choices>',
        f'<View {WHEN}><View><Choices name="breed" toName="image">{CHOICE}</Choices></View></View>',
    ],
)
def test_a_control_is_hidden_by_its_own_condition_or_one_around_it(inside: str) -> None:
    """What visibleWhen of the control or of a <View> around it says tells whether annotators saw it."""
    kind, breed = read_label_config(f"<View>{IMAGE}{KIND}{inside}</View>").choices
    assert [is_visible(breed.conditions, {"kind": chosen}) for chosen in (("a",), ("b",), ())] == [
        True,
        False,
        False,
    ]
    assert is_visible(breed.conditions, {}) is False
    assert is_visible(kind.conditions, {}) is True


COLOUR = '<Choices name="colour" toName="image" {}><Choice value="red"/></Choices>'


@pytest.mark.parametrize(
    ("controls", "when", "made", "visible"),
    [
        # On a control that is hidden itself nothing is selected, whatever was chosen before.
        (
            f'{KIND}<Choices name="breed" toName="image" {WHEN}><Choice value="corgi"/></Choices>',
            'visibleWhen="choice-selected" whenTagName="breed" whenChoiceValue="corgi"',
            {"kind": ("b",), "breed": ("corgi",)},
            False,
        ),
        # A choice may be named by its alias or by what is shown; results hold the alias.
        (
            '<Choices name="kind" toName="image"><Choice value="A cat" alias="cat"/><Choice value="b"/></Choices>',
            'visibleWhen="choice-selected" whenTagName="kind" whenChoiceValue="A cat,b"',
            {"kind": ("cat",)},
            True,
        ),
        # whenChoiceValue without visibleWhen is a condition on any control.
        (KIND, 'whenChoiceValue="a"', {"kind": ("b",)}, False),
        (KIND, 'whenChoiceValue="a"', {"kind": ("a",)}, True),
        # What the choices on a task do not tell hides nothing.
        (
            '<Taxonomy name="kind" toName="image"><Choice value="a"/></Taxonomy>',
            WHEN,
            {},
            None,
        ),
        (f'<Choices name="kind" toName="image" perRegion="true">{CHOICE}</Choices>', WHEN, {}, None),
        (f'<Choices name="kind" toName="image" allowNested="true">{CHOICE}</Choices>', WHEN, {}, None),
        ("", WHEN, {}, None),
        (
            f'{KIND}<Choices name="breed" toName="image" {WHEN}><Choice value="corgi"/></Choices>',
            'visibleWhen="choice-unselected" whenTagName="breed" whenChoiceValue="corgi"',
            {"kind": ("b",), "breed": ("corgi",)},
            None,
        ),
        # Conditions in a circle come to an end.
        (
            KIND.replace(">", ' visibleWhen="choice-selected" whenTagName="colour">', 1),
            WHEN,
            {"kind": ("a",), "colour": ("red",)},
            True,
        ),
    ],
)
def test_a_condition_means_what_it_means_in_the_frontend(
    controls: str,
    when: str,
    made: Mapping[str, tuple[str, ...]],
    visible: bool | None,  # noqa: FBT001
) -> None:
    """Whether a control was shown follows from the choices as Label Studio 1.23 tells it."""
    config = read_label_config(f"<View>{IMAGE}{controls}{COLOUR.format(when)}</View>")
    [colour] = [tag for tag in config.choices if tag.name == "colour"]
    assert is_visible(colour.conditions, made) is visible


@pytest.mark.parametrize(
    ("condition", "shown"),
    [
        (Condition("choice-selected", "kind", ("a", "b")), True),
        (Condition("choice-selected", "kind", ("c",)), False),
        (Condition("choice-selected", "kind"), True),
        (Condition("choice-selected", "other"), False),
        (Condition("choice-selected", "", ("b",)), True),
        (Condition("choice-unselected", "kind", ("a",)), True),
        (Condition("choice-unselected", "kind", ("b",)), False),
        (Condition("region-selected"), None),
    ],
)
def test_conditions_hold_as_in_the_frontend(condition: Condition, shown: bool | None) -> None:  # noqa: FBT001
    """One of several choices is enough; a condition on regions tells nothing of a task."""
    assert condition.holds({"kind": ("b",), "more": ()}) is shown


def test_keys_that_are_shown_are_found_in_texts_too() -> None:
    """A header that asks about $label shows the label, though no object holds it."""
    config = read_label_config(
        f'<View>{IMAGE}<Header value="Is this a $label?"/><Text value="$m.x" name="t"/></View>'
    )
    assert config.shown == {"image", "label", "m.x"}
    assert config.objects == {"image", "m.x"}


@pytest.mark.parametrize(
    "text", ["no xml", "<View>", "<View>\ud800</View>", '<!DOCTYPE a [<!ENTITY b "c">]><View/>']
)
def test_a_config_that_is_no_xml_is_refused(text: str) -> None:
    """The reason is one sentence."""
    with pytest.raises(LabelConfigError, match=r"^the label config cannot be read: .+$"):
        read_label_config(text)


def test_a_deep_config_is_read() -> None:
    """Whoever wrote it, nothing recurses."""
    depth = 3_000
    inside = "<View>" * depth + IMAGE + KIND + "</View>" * depth
    assert [tag.name for tag in read_label_config(inside).choices] == ["kind"]
    assert read_label_config("") == read_label_config("<View/>")


def test_a_changed_config_has_another_digest() -> None:
    """By it a training knows that the label config is another one."""
    assert config_digest("<View/>") == config_digest("<View/>") != config_digest("<View />")
