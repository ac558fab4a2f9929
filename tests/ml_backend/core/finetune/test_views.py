import pytest
import torch

from ml_backend.core.finetune.views import Augmentation, central_views, random_views, standardised
from ml_backend.core.preparing import Preparation

PLAIN = Augmentation(smallest=1, largest=1, stretch=1, colour=0, tint=0, grey=0)


@pytest.fixture
def images() -> torch.Tensor:
    """Thirty images whose red grows from left to right and whose green grows from top to bottom."""
    line = torch.arange(32, dtype=torch.uint8) * 8
    striped = torch.stack([line.expand(32, 32), line[:, None].expand(32, 32), torch.zeros(32, 32)]).byte()
    return striped.expand(30, 3, 32, 32)


def seeded(seed: int = 0) -> torch.Generator:
    """Numbers that are drawn again with the same seed."""
    return torch.Generator().manual_seed(seed)


def test_a_whole_view_without_colour_changes_is_the_image_or_its_mirror_image(images: torch.Tensor) -> None:
    """Nothing but left and right changes, in about half of the views."""
    views = random_views(images, 32, PLAIN, seeded())
    straight = images[0].float() / 255
    same = [torch.allclose(view, straight, atol=1e-5) for view in views]
    mirrored = [torch.allclose(view, straight.flip(2), atol=1e-5) for view in views]
    assert all(left != right for left, right in zip(same, mirrored, strict=True))
    assert 5 < sum(same) < 25


def test_images_without_an_upper_side_are_turned_too(images: torch.Tensor) -> None:
    """All eight ways to lay a square come up."""
    views = random_views(images, 32, Augmentation(1, 1, 1, 0, 0, 0, upright=False), seeded())
    corners = {tuple((view[:2, 0, [0, -1]] > 0.5).flatten().tolist()) for view in views}
    down = {tuple((view[:2, -1, [0, -1]] > 0.5).flatten().tolist()) for view in views}
    assert len(corners) == len(down) == 8


def test_the_same_seed_draws_the_same_views(images: torch.Tensor) -> None:
    """Views depend on the seed alone."""
    first, again, other = (random_views(images, 16, Augmentation(), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_views_have_the_size_that_was_asked_for_and_stay_within_black_and_white(images: torch.Tensor) -> None:
    """Strong changes of colour are cut off at 0 and 1."""
    views = random_views(images, 20, Augmentation(colour=0.9, tint=0.9), seeded())
    assert views.shape == (30, 3, 20, 20)
    assert 0 <= float(views.min()) < float(views.max()) <= 1


def test_a_grey_view_has_three_equal_channels(images: torch.Tensor) -> None:
    """Where all views are grey, red, green and blue are the same."""
    views = random_views(images, 16, Augmentation(grey=1, tint=0), seeded())
    assert torch.allclose(views[:, 0], views[:, 1], atol=1e-6)
    assert torch.allclose(views[:, 0], views[:, 2], atol=1e-6)


def test_central_views_are_what_is_served() -> None:
    """Of a square of 8 pixels the inner 4 are left, at their size or scaled."""
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    images[:, :, 2:6, 2:6] = 255
    preparation = Preparation(resize=8, crop=4)
    assert torch.equal(central_views(images, 4, preparation), torch.ones(1, 3, 4, 4))
    assert torch.allclose(central_views(images, 2, preparation), torch.ones(1, 3, 2, 2))


def test_standardising_is_the_preparations() -> None:
    """A value that is the mean becomes 0, one standard deviation above it 1."""
    preparation = Preparation(resize=8, crop=4, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    assert standardised(torch.full((1, 3, 1, 1), 0.75), preparation).flatten().tolist() == [1, 1, 1]
