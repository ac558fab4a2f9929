"""The examples in the scripts' docstrings."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["installing", "test", "demonstration.options", "demonstration.waiting"])
def test_examples_are_true(name: str) -> None:
    """What a docstring shows is what happens."""
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted > 0
    assert done.failed == 0
