"""Plots as SVG that the server draws: no script, and colours that the style sheet names."""

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 240.0, 60.0


def interval(low: float, middle: float, high: float, text: str) -> Markup:
    """Draw a share with its interval on a line from 0 to 1.

    Parameters
    ----------
    text : str
        What a reader who does not see it is told.

    Examples
    --------
    >>> "interval" in interval(0.25, 0.5, 0.75, "50 %")
    True
    """
    low, middle, high = (min(max(value, 0.0), 1.0) for value in (low, middle, high))
    return Markup(  # noqa: S704 - numbers of ours, and escaped words
        f'<svg class="interval" viewBox="0 0 100 10" role="img" aria-label="{escape(text)}" '
        'preserveAspectRatio="none"><rect class="scale" x="0" y="4" width="100" height="2"/>'
        f'<rect class="range" x="{100 * low:.1f}" y="3" width="{max(100 * (high - low), 1):.1f}" height="4"/>'
        f'<rect class="point" x="{min(100 * middle, 98):.1f}" y="1" width="2" height="8"/></svg>'
    )


def course(
    values: Sequence[float | None], text: str, *, lowest: float = 0.0, highest: float | None = None
) -> Markup:
    """Draw how a value went; where it is unknown the line has a gap.

    Parameters
    ----------
    lowest, highest : float
        Of the scale; the highest value where it is left out.
    """
    heights = [value for value in values if value is not None]
    top = max(heights, default=1.0) if highest is None else highest
    span, step = max(top - lowest, 1e-9), WIDTH / max(len(values) - 1, 1)
    places = [
        None
        if value is None
        else (number * step, HEIGHT - HEIGHT * (min(max(value, lowest), top) - lowest) / span)
        for number, value in enumerate(values)
    ]
    path, pen = [], "M"
    for place in places:
        if place is None:
            pen = "M"
            continue
        path.append(f"{pen}{place[0]:.1f} {place[1]:.1f}")
        pen = "L"
    last = next((place for place in reversed(places) if place), None)
    dot = f'<circle class="last" cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="3"/>' if last else ""
    return Markup(  # noqa: S704 - numbers of ours, and escaped words
        f'<svg class="course" viewBox="-4 -4 {WIDTH + 8:g} {HEIGHT + 8:g}" role="img" aria-label="{escape(text)}">'
        f'<path d="{" ".join(path)}" vector-effect="non-scaling-stroke"/>{dot}</svg>'
    )


def bars(values: Sequence[float], text: str, *, faded: int = 0) -> Markup:
    """Draw values side by side, as a histogram or days; so many of the first are drawn faded."""
    top, width = max([*values, 1e-9]), WIDTH / max(len(values), 1)
    drawn = "".join(
        f'<rect class="{"faded" if number < faded else "lit"}" '
        f'x="{number * width:.1f}" y="{HEIGHT - HEIGHT * value / top:.1f}" '
        f'width="{max(width - 1, 0.5):.1f}" height="{HEIGHT * value / top:.1f}"/>'
        for number, value in enumerate(values)
    )
    return Markup(  # noqa: S704 - numbers of ours, and escaped words
        f'<svg class="bars" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(text)}" '
        f'preserveAspectRatio="none">{drawn}</svg>'
    )


def share(part: float, text: str) -> Markup:
    """Draw a part of a whole."""
    width = 100 * min(max(part, 0.0), 1.0)
    return Markup(  # noqa: S704 - numbers of ours, and escaped words
        f'<svg class="share" viewBox="0 0 100 6" role="img" aria-label="{escape(text)}" '
        'preserveAspectRatio="none"><rect class="scale" width="100" height="6"/>'
        f'<rect class="range" width="{width:.1f}" height="6"/></svg>'
    )
