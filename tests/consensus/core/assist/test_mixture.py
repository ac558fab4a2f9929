"""How mixed the labels are of images that look alike."""

from hypothesis import given
from hypothesis import strategies as st

from consensus.core.assist.mixture import mixture

LABELS = st.lists(st.frozensets(st.sampled_from("abc")), max_size=30)


@given(LABELS)
def test_the_leading_label_is_that_of_most(images: list[frozenset[str]]) -> None:
    """No other label leaves fewer images out; the share lies within its bounds."""
    mixed, labelled = mixture(images), [image for image in images if image]
    assert mixed.labelled == len(labelled)
    assert all(sum(label not in image for image in labelled) >= mixed.others for label in "abc")
    assert mixed.label is None or sum(mixed.label not in image for image in labelled) == mixed.others
    assert mixed.share is None or 0 <= mixed.lower <= mixed.share <= mixed.upper <= 1


@given(LABELS.flatmap(lambda images: st.tuples(st.just(images), st.permutations(images))))
def test_the_order_of_images_does_not_matter(pair: tuple[list[frozenset[str]], list[frozenset[str]]]) -> None:
    """Neither for the label nor for the share."""
    assert mixture(pair[0]) == mixture(pair[1])


def test_images_without_labels_say_nothing() -> None:
    """There is no leading label, and no share."""
    mixed = mixture([frozenset(), frozenset()])
    assert (mixed.label, mixed.labelled, mixed.share, mixed.lower, mixed.upper) == (None, 0, None, 0.0, 1.0)
