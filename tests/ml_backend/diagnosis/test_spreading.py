from ml_backend.diagnosis.spreading import addresses_in, spread


def tasks(*urls: str, count: int) -> list[int]:
    """Which of the tasks with these images are chosen."""
    return [task for task, _, _ in spread([(task, "image", url) for task, url in enumerate(urls)], count)]


def test_each_place_comes_before_any_comes_again() -> None:
    """One broken host among many uploads is seen with two images."""
    uploads = [f"/data/upload/7/{number}.png" for number in range(50)]
    assert tasks(*uploads, "http://images.example/a.png", count=2) == [0, 50]
    assert set(tasks(*uploads[:3], "s3://a/1", "s3://b/1", "/data/local-files/?d=1", count=4)) == {0, 3, 4, 5}


def test_of_one_place_the_ends_come_first() -> None:
    """What was imported first and last, then what lies between."""
    uploads = [f"/data/upload/7/{number}.png" for number in range(9)]
    assert tasks(*uploads, count=3) == [0, 8, 5]
    assert sorted(tasks(*uploads, count=99)) == list(range(9))


def test_nothing_is_chosen_from_nothing() -> None:
    """No images, or none wanted."""
    assert tasks(count=5) == tasks("/data/upload/7/a.png", count=0) == []


def test_addresses_are_found_at_paths_too() -> None:
    """As annotators see them; what is no text is a matter of another check."""
    rows = [{"id": 1, "data": {"meta": {"url": " a.png"}}}, {"id": 2, "data": {"meta.url": "b.png"}}, {"id": 3}]
    assert addresses_in(rows, ["meta.url"]) == [(1, "meta.url", "a.png"), (2, "meta.url", "b.png")]
    assert addresses_in([{"id": 1, "data": {"images": ["a.png"]}}], ["images", "images[0]"]) == [
        (1, "images[0]", "a.png")
    ]
