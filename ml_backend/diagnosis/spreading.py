"""Choosing a few images of many so that they differ as much as possible."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from common.label_studio.label_config import value_at


def addresses_in(tasks: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> list[tuple[int, str, str]]:
    """List what tasks hold under keys or at paths, as far as it is a text: task, key and address."""
    return [
        (task["id"], key, address.strip())
        for task in tasks
        for key in keys
        if isinstance(address := value_at(task.get("data") or {}, key), str)
    ]


def spread(addresses: Sequence[tuple[int, str, str]], count: int) -> list[tuple[int, str, str]]:
    """Choose images from all places in turn, and of each place from its first to its last.

    Parameters
    ----------
    addresses : sequence of (int, str, str)
        Task, key and address.
    count : int
        At most so many are chosen.

    Examples
    --------
    >>> uploaded = [(task, "image", f"/data/upload/1/{task}.png") for task in range(9)]
    >>> [task for task, _, _ in spread([*uploaded, (9, "image", "s3://plankton/9.png")], 3)]
    [0, 9, 8]
    """
    places: dict[str, list[tuple[int, str, str]]] = {}
    for address in addresses:
        places.setdefault(_place(address[2]), []).append(address)
    turns = [_ends_first(place) for place in places.values()]
    spread_out = [address for turn in zip_longest(*turns) for address in turn if address is not None]
    return spread_out[:count]


def _ends_first(addresses: Sequence[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Order so that each next one is far from those before: the ends, the middle, the middles between them."""
    order, step = [0, len(addresses) - 1], len(addresses)
    while step > 1:
        step = (step + 1) // 2
        order += range(0, len(addresses), step)
    return [addresses[place] for place in dict.fromkeys(order)]


def _place(url: str) -> str:
    """Name where an address leads: a host, a bucket, or a kind of Label Studio's own files."""
    if url[:5].lower() == "data:":
        return "data:"
    scheme, separator, path = url.partition("://")
    return f"{scheme}://{path.partition('/')[0]}" if separator else "/".join(url.split("/")[:3])
