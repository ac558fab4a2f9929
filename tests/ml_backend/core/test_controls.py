from ml_backend.core.controls import image_controls, passed_over

IMAGE = '<Image name="i" value="$p"/>'
SERVED = '<Choices name="kind" toName="i"><Choice value="a"/><Choice value="b"/></Choices>'


def test_choices_of_one_image_are_served() -> None:
    """Others are named with the reason, whether they are no control at all or only about no image."""
    text = '<Text name="t" value="$t"/><Choices name="tone" toName="t"><Choice value="a"/></Choices>'
    repeated = f'<Repeater on="$r"><Choices name="kind_{{{{idx}}}}" toName="i">{SERVED}</Choices></Repeater>'
    config = f"<View>{IMAGE}{SERVED}{text}{repeated}</View>"
    (control,) = image_controls(config)
    assert (control.name, control.labels, control.multiple, control.image_key) == ("kind", ("a", "b"), False, "p")
    others = passed_over(config)
    assert others["tone"] == "is bound to Text, not to an Image"
    assert "Repeater" in others["kind_{{idx}}"]


def test_a_config_that_cannot_be_read_has_no_controls() -> None:
    """Nothing is suggested, nothing breaks, and the reason is there."""
    assert image_controls("<View>") == ()
    assert passed_over("<View>")["label config"].startswith("cannot be read: ")
