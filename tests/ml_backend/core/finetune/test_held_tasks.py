import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml_backend.core.finetune.held_tasks import VALIDATED, held_out, split


def test_a_fifth_is_held_out_and_two_draws_are_independent() -> None:
    """Of 50,000 tasks a fifth judge, a fifth of those as well as of the others would validate."""
    judged, validated = held_out(range(50_000)), held_out(range(50_000), salt=VALIDATED)
    assert judged.mean().round(2) == 0.2
    assert validated[judged].mean().round(2) == 0.2
    assert validated[~judged].mean().round(2) == 0.2


@given(st.lists(st.integers(0, 2**62), max_size=30, unique=True), st.integers(0, 2**62))
def test_a_task_is_held_out_by_its_id_alone(ids: list[int], another: int) -> None:
    """Neither the other tasks nor their order change whether a task is held out."""
    [alone] = held_out([another])
    assert held_out([*ids, another])[-1] == alone
    assert held_out([another, *reversed(ids)])[0] == alone


def test_none_or_all_can_be_held_out() -> None:
    """A share of 0 holds out none, of 1 all."""
    assert held_out(range(3), share=0).tolist() == [False, False, False]
    assert held_out(range(3), share=1).tolist() == [True, True, True]


def test_the_parts_hold_every_known_image_once() -> None:
    """Images of which nothing is known are in no part, the others in exactly one."""
    is_known = np.arange(200) % 4 > 0
    parts = split(np.arange(200), np.arange(200).astype(str), is_known)
    rows = np.concatenate([parts.learned, parts.validated, parts.judged])
    assert sorted(rows.tolist()) == np.flatnonzero(is_known).tolist()
    assert min(len(parts.learned), len(parts.validated), len(parts.judged)) > 10


def test_an_image_that_judges_is_not_learned_from_in_another_task() -> None:
    """Tasks with copies of a held-out picture are left out of what is learned."""
    ids = np.arange(200)
    contents = (ids % 50).astype(str)
    parts = split(ids, contents, np.ones(200, dtype=np.bool_))
    judged, validated = set(contents[parts.judged]), set(contents[parts.validated])
    assert not judged & (validated | set(contents[parts.learned]))
    assert not validated & set(contents[parts.learned])
