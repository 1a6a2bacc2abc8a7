"""The picture of what an event costs, as a file of its own: the report's plots with the report's colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serendip.report.plots import Dot, lines, shape

WIDTH, MARGIN, GAP = 960, 56, 64
PANEL = (WIDTH - 2 * MARGIN - GAP) // 2
TOP, HEIGHT = 64, 300
LIGHT = ("#0b6bb3", "#cf5208", "#00805d", "#a8448a", "#8a6a00", "#5b6577")
DARK = ("#6cb8f5", "#ff9a5a", "#4fd0a6", "#e59ccf", "#e3c04a", "#b4bdcd")

Curves = Mapping[str, Sequence[float | None]]


def costs(sizes: Sequence[str], time: Curves, memory: Curves) -> str:
    """Time and memory an event by the size of the log, a line per model; None leaves a place empty."""
    panels = [
        panel(MARGIN, "time per event, µs", sizes, time),
        panel(MARGIN + PANEL + GAP, "memory per event, bytes", sizes, memory),
    ]
    names = [
        f'<svg x="{MARGIN + 150 * place}" y="26" overflow="visible">{shape(6, -4, place)}<text x="18">{name}</text>'
        "</svg>"
        for place, name in enumerate(time)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="Cost of an event by the size of the log">\n<style>{style()}</style>\n'
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>\n' + "\n".join([*names, *panels]) + "\n</svg>\n"
    )


def panel(x: int, title: str, sizes: Sequence[str], curves: Curves) -> str:
    """One plot with its title, at a place of the picture."""
    dots = [[Dot(name, series, value) for value in values] for series, (name, values) in enumerate(curves.items())]
    inner = lines(title, sizes, dots)
    return (
        f'<text class="note" x="{x}" y="{TOP - 8}">{title}, by events in the log</text>\n'
        f'<svg x="{x}" y="{TOP}" width="{PANEL}" height="{HEIGHT - TOP}" overflow="visible">{inner}</svg>'
    )


def style() -> str:
    """The report's look for light and dark."""
    words = [
        "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif;fill:#1c2330}",
        ".paper{fill:#ffffff}.grid{stroke:#e8e9ed}.tick,.note{fill:#5a6475}",
        ".line{stroke-width:1.8;opacity:.8}.hollow{fill:none;stroke-width:2.4}.mark{stroke-width:0}svg{overflow:visible}",
        *(f".s{number}{{fill:{colour};stroke:{colour}}}" for number, colour in enumerate(LIGHT)),
        "@media(prefers-color-scheme:dark){text{fill:#e7eaf0}.paper{fill:#1a1e27}.grid{stroke:#272c38}",
        ".tick,.note{fill:#a0a9ba}",
        *(f".s{number}{{fill:{colour};stroke:{colour}}}" for number, colour in enumerate(DARK)),
        "}",
    ]
    return "".join(words)
