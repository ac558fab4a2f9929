import pytest

from ml_backend.label_studio.label_configs import choices_controls, config_digest

PLANKTON = """<View><Image name="image" value="$image"/>
<Choices name="organism_type" toName="image" choice="single-radio">
<Choice value="Not-plankton"/><Choice value="Plankton"/><Choice value="Debris"/></Choices>
<Choices name="morphology" toName="image" choice="multiple">
<Choice value="Mucilage"/><Choice value="Eggs"/></Choices>
<TextArea name="ta" toName="image"/></View>"""


def names(inside: str) -> list[str]:
    """The controls found in a config."""
    return [control.name for control in choices_controls(f"<View>{inside}</View>")]


def test_single_and_multiple_choices_are_found() -> None:
    """A plankton project's Choices are served, its TextArea is not."""
    organism, morphology = choices_controls(PLANKTON)
    assert (organism.labels, organism.multiple) == (("Not-plankton", "Plankton", "Debris"), False)
    assert (morphology.labels, morphology.multiple) == (("Mucilage", "Eggs"), True)
    assert organism.image_key == morphology.image_key == "image"


def test_an_alias_is_the_label() -> None:
    """Label Studio stores the alias of a choice where it has one, and so do we."""
    choices = '<Choices name="c" toName="i"><Choice value="A" alias="a"/></Choices>'
    assert choices_controls(f'<View><Image name="i" value="$p"/>{choices}</View>')[0].labels == ("a",)


@pytest.mark.parametrize(
    "inside",
    [
        '<Text name="t" value="$t"/><Choices name="c" toName="t"><Choice value="a"/></Choices>',
        '<Image name="i" valueList="$p"/><Choices name="c" toName="i"><Choice value="a"/></Choices>',
        '<Image name="i" value="http://x/a.png"/><Choices name="c" toName="i"><Choice value="a"/></Choices>',
        '<Image name="i" value="$p"/><Choices name="c" toName="i" value="$options"/>',
        '<Image name="i" value="$p"/><Choices name="c" toName="i" perRegion="true"><Choice value="a"/></Choices>',
        '<Image name="i" value="$p"/><Choices name="c" toName="gone"><Choice value="a"/></Choices>',
        '<Image name="i" value="$p"/><RectangleLabels name="c" toName="i"><Label value="a"/></RectangleLabels>',
        '<Image name="i" value="$p"/><Rating name="c" toName="i"/>',
    ],
)
def test_other_controls_are_left_alone(inside: str) -> None:
    """Choices of a text, of an image list, of a region, from the task, and all that are no Choices."""
    assert names(inside) == []


@pytest.mark.parametrize("config", ["", "no xml", "<View>", "<View/>"])
def test_a_config_that_cannot_be_read_has_no_controls(config: str) -> None:
    """Nothing is suggested, and nothing breaks."""
    assert choices_controls(config) == ()


def test_a_changed_config_has_another_digest() -> None:
    """By it a training knows that the label config is another one."""
    assert config_digest("<View/>") == config_digest("<View/>") != config_digest("<View />")
