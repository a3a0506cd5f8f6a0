"""Styles of the pages of predictions: colours and patterns of classes, and the style sheet.

Colours are those of Okabe and Ito (2008), which people with the common forms of colour blindness can
distinguish. A class also has a pattern, so that its colour is not its only mark. Up to 49 classes have
different pairs.
"""

from collections.abc import Sequence

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self' data:; "
    "script-src {script}; base-uri 'none'; form-action 'none'"
)
"""Content security policy; ``{script}`` is the hash of the only script, or 'none'."""

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
_DARK_COLOURS = ("#0072B2",)
_TILE = 90
"""Side of a pattern in units of a chart: about 10 pixels at full width."""
_LINES = (
    "",
    "M0 90L90 0",
    "M0 45H90",
    "M0 0L90 90",
    "M45 0V90",
    "M0 90L90 0M0 0L90 90",
    "M30 45h30",
)
POLARITY_COLOURS = {"negative": "#D55E00", "neutral": "#BBBBBB", "positive": "#0072B2"}

STYLE = """
:root{color-scheme:light dark;--ground:#fff;--ink:#1b1f24;--line:#c9ced6;--soft:#f3f5f8;--pale:#4b5563;
--link:#0a58ca}
@media (prefers-color-scheme:dark){:root{--ground:#15181d;--ink:#e8eaed;--line:#454c57;--soft:#20252c;
--pale:#aab2bd;--link:#8ab4f8}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:75rem;padding:0 1rem 4rem;color:var(--ink);background:var(--ground);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.2;margin:1rem 0}
h2{font-size:1.25rem;margin:0;display:flex;gap:.6rem;align-items:center}
section{border-top:2px solid var(--line);margin:1.5rem 0;padding-top:.8rem}
a{color:var(--link)}
.note,.facts,.ticks{color:var(--pale);font-size:.9rem}
.facts,.now{margin:.3rem 0}
.now{min-height:1.5em;font-weight:600}
.top{position:sticky;top:0;z-index:3;background:var(--ground);padding-bottom:.3rem}
.banner{margin:0 -1rem;padding:.35rem 1rem;font-size:.9rem;background:#3d4653;color:#fff;
print-color-adjust:exact;-webkit-print-color-adjust:exact}
.banner.alarm{background:#b00020;font-weight:700}
.banner summary{cursor:pointer}
.banner ul{margin:.3rem 0;padding-left:1.2rem;max-height:20vh;overflow:auto;font-weight:400}
video{display:block;width:100%;max-height:38vh;background:#000}
.large{display:block}
.large span{display:block;padding:.3rem 0}
.face{width:3.5rem;height:3.5rem;object-fit:cover;border-radius:.3rem}
.chart{position:relative;cursor:crosshair;border:1px solid var(--line);background:var(--soft);
touch-action:pan-y}
.chart:focus-visible{outline:3px solid var(--link);outline-offset:1px}
.chart svg{display:block;width:100%}
.area{height:8rem}
.polarity{height:1.6rem;border-top:1px solid var(--line)}
.row{position:relative;border-top:1px solid var(--line)}
.row>b{position:absolute;top:0;left:.2rem;z-index:1;font-size:.7rem;line-height:1.3;padding:0 .2rem;
background:var(--ground);color:var(--ink);opacity:.85;pointer-events:none;border-radius:.2rem}
.strip{position:relative;height:1.5rem;overflow:hidden}
.strip span{position:absolute;top:0;bottom:0;overflow:hidden;white-space:nowrap;overflow-wrap:normal;
font-size:.75rem;line-height:1.5rem;padding-left:1px;border-left:1px solid #fff}
.cursor{position:absolute;top:0;bottom:0;left:0;width:2px;margin-left:-1px;z-index:2;pointer-events:none;
background:#000;outline:1px solid #fff}
.cut{stroke:var(--ink);stroke-width:1;stroke-opacity:.7;fill:none;vector-effect:non-scaling-stroke}
.marks{position:relative;height:1.3rem}
.marks a{position:absolute;transform:translateX(-50%);text-decoration:none;line-height:1.3rem}
.ticks{position:relative;height:1.3rem;overflow:hidden}
.ticks span{position:absolute;transform:translateX(-50%);white-space:nowrap;overflow-wrap:normal}
.ticks span:first-child{transform:none}
.ticks span:last-child{transform:translateX(-100%)}
.swatch{width:1.1rem;height:1.1rem;vertical-align:-.2rem;margin-right:.35rem;border:1px solid var(--line)}
.hidden{position:absolute;width:0;height:0;overflow:hidden}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;margin:.6rem 0}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:normal}
th:first-child,td.text{text-align:left;overflow-wrap:anywhere}
th:first-child{min-width:7rem;position:sticky;left:0;background:var(--ground)}
td.people{min-width:16rem}
td.text{min-width:7rem}
tbody th{font-weight:400}
caption{text-align:left;font-weight:600}
img{max-width:100%;height:auto}
.face{max-width:none;height:3.5rem}
@media (max-width:40rem){
body{padding:0 .75rem 3rem}
.banner{margin:0 -.75rem;padding:.35rem .75rem}
.banner:not([open]) summary{white-space:nowrap;overflow:hidden;text-overflow:ellipsis;overflow-wrap:normal}
.area{height:6rem}
table{font-size:.82rem}
th,td{padding:.2rem .35rem}
}
@media (max-height:56rem){
.banner:not([open]) summary{white-space:nowrap;overflow:hidden;text-overflow:ellipsis;overflow-wrap:normal}
video{max-height:34vh}
}
@media (max-height:28rem){.top{position:static}}
@media print{.top{position:static}video,.cursor{display:none}}
"""


def colour_of(number: int) -> str:
    """Return the colour of a class, by its number."""
    return COLOURS[_colour_number(number)]


def text_colour_of(number: int) -> str:
    """Return the colour of a text on the colour of a class."""
    return "#fff" if colour_of(number) in _DARK_COLOURS else "#000"


def patterns(num_classes: int) -> str:
    """Return the SVG element with all patterns: ``class-0``, ..., ``polarity-negative``, ..., ``gap``."""
    tiles = [
        _tile(f"class-{number}", colour_of(number), _LINES[number % len(_LINES)], text_colour_of(number))
        for number in range(num_classes)
    ]
    lines: Sequence[str] = ("M0 0L90 90", "", "M0 45H90")
    for (name, colour), line in zip(POLARITY_COLOURS.items(), lines, strict=True):
        tiles.append(_tile(f"polarity-{name}", colour, line, "#000" if name == "negative" else "#fff"))
    tiles.append(_tile("gap", "#9a9a9a", "M0 90L90 0", "#6a6a6a"))
    return f'<svg class="hidden" aria-hidden="true"><defs>{"".join(tiles)}</defs></svg>'


def swatch(pattern: str) -> str:
    """Return a small image of a pattern."""
    return (
        '<svg class="swatch" viewBox="0 0 180 180" aria-hidden="true">'
        f'<rect width="180" height="180" fill="url(#{pattern})"/></svg>'
    )


def _colour_number(number: int) -> int:
    """Return another colour whenever the patterns begin again."""
    return (number + 3 * (number // len(_LINES))) % len(COLOURS)


def _tile(name: str, colour: str, line: str, ink: str) -> str:
    stroke = f'<path d="{line}" stroke="{ink}" stroke-width="12" stroke-opacity=".55"/>' if line else ""
    side = f'width="{_TILE}" height="{_TILE}"'
    return (
        f'<pattern id="{name}" {side} patternUnits="userSpaceOnUse"><rect {side} fill="{colour}"/>'
        f"{stroke}</pattern>"
    )
