import pytest

from ml_backend.diagnosis.label_configs import left_alone

IMAGE = '<Image name="i" value="$p"/>'


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        (
            '<Image name="i" valueList="$p"/><Choices name="c" toName="i"><Choice value="a"/></Choices>',
            "valueList",
        ),
        (
            '<Image name="i" value="http://x/a.png"/><Choices name="c" toName="i"><Choice value="a"/></Choices>',
            "key",
        ),
        (IMAGE + '<Choices name="c" toName="i" value="$options"/>', "takes its choices from the task"),
        (IMAGE + '<Choices name="c" toName="i" perRegion="true"><Choice value="a"/></Choices>', "for each region"),
        (IMAGE + '<Choices name="c" toName="gone"><Choice value="a"/></Choices>', "bound to 0 tags"),
    ],
)
def test_each_reason_has_its_words(inside: str, why: str) -> None:
    """What an annotator can still do by hand is not suggested, and why."""
    assert why in left_alone(f"<View>{inside}</View>")["c"]


def test_what_is_served_or_unreadable_is_not_named() -> None:
    """Choices of one image are served; a config that cannot be read names nothing."""
    served = IMAGE + '<Choices name="c" toName="i"><Choice value="a"/></Choices><TextArea name="t" toName="i"/>'
    assert left_alone(f"<View>{served}</View>") == left_alone("<View>") == {}
