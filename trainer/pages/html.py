"""A page -> one HTML file with styles and images inside, without scripts and external resources."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape

from pipeline.errors import printable
from pipeline.portable import portable
from trainer.pages.document import Block, Figure, Items, Page, Section, Table, Text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_DARK = 0.5
_INK_RGB = (8, 64, 129)
_STYLE = """
:root{color-scheme:light dark;--page:#fff;--line:#c9ced6;--soft:#f3f5f8;--ours:#eaf2fb;--ink:#1b1f24;
--faint:#4b5563;--link:#0a58ca;
--soft-tint:rgba(12,50,114,.05);--ours-tint:rgba(3,96,214,.08);--fade:rgba(16,24,40,.4)}
@media (prefers-color-scheme:dark){
:root{--page:#15181d;--line:#3d4450;--soft:#20252d;--ours:#1b2c44;--ink:#e6e9ee;--faint:#a9b2c0;
--link:#7db4ff;--soft-tint:rgba(160,190,255,.07);--ours-tint:rgba(90,160,255,.16);--fade:rgba(0,0,0,.7)}
}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:0 1rem 4rem;color:var(--ink);background:var(--page);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2;margin:1.2rem 0}
h2{font-size:1.3rem;border-bottom:2px solid var(--line);margin:2.5rem 0 1rem;padding-bottom:.2rem}
h3{font-size:1.05rem;margin:2rem 0 .5rem}
.banner{background:#b00020;color:#fff;font-weight:700;font-size:1.15rem;padding:.8rem 1rem;margin:1rem 0;
border-radius:.3rem;print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav ul{padding-left:1.2rem}
a{color:var(--link)}
figure{margin:1.2rem 0}
figcaption,.title{font-weight:600;margin:0 0 .4rem}
.note{color:var(--faint);font-size:.9rem;margin:.4rem 0 0}
.wide{overflow-x:auto;max-width:100%;border:1px solid var(--line);border-radius:.3rem;
background:linear-gradient(to right,var(--page) 40%,transparent) left/3rem 100% no-repeat local,
linear-gradient(to left,var(--page) 40%,transparent) right/3rem 100% no-repeat local,
linear-gradient(to right,var(--fade),transparent) left/1.2rem 100% no-repeat scroll,
linear-gradient(to left,var(--fade),transparent) right/1.2rem 100% no-repeat scroll,var(--page)}
.wide:focus-visible{outline:3px solid var(--link)}
img{display:block;max-width:100%;height:auto;background:#fff}
summary{cursor:pointer;color:var(--link)}
.zoom{display:block;overflow-x:auto;cursor:zoom-in}
.zoom input{position:absolute;opacity:0}
.zoom:focus-within{outline:3px solid var(--link)}
.zoom:has(:checked){cursor:zoom-out}
.zoom :checked+img{max-width:none;min-width:100%}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;
overflow-wrap:normal}
thead th{background:var(--soft-tint);vertical-align:bottom;white-space:normal}
th:first-child{text-align:left;white-space:normal;min-width:6.5rem;max-width:16rem;overflow-wrap:anywhere;
position:sticky;left:0;background:var(--page);border-right:1px solid var(--line)}
thead th:first-child{background:var(--soft)}
tbody th{font-weight:400}
tr.ours td{background:var(--ours-tint)}
tr.ours th:first-child{background:var(--ours);font-weight:600}
tbody tr:last-child>*{border-bottom:0}
td.shade{text-align:center;print-color-adjust:exact;-webkit-print-color-adjust:exact}
thead th.shade{text-align:center}
@media (max-width:30rem){
body{padding:0 .75rem 3rem}
table{font-size:.82rem}
th,td{padding:.3rem .4rem}
th:first-child{min-width:5.5rem}
}
@media print{
details::details-content{content-visibility:visible;display:block}
:root{color-scheme:light;--page:#fff;--line:#c9ced6;--soft:#f3f5f8;--ours:#eaf2fb;--ink:#1b1f24;--faint:#4b5563}
html{font-size:9.5pt}
body{max-width:none;padding:0}
nav{display:none}
.wide{overflow:visible;border:0;background:none}
table{font-size:7pt}
th,td{padding:.15rem .25rem;white-space:normal}
th:first-child{position:static;min-width:0}
figure,tr,.banner{break-inside:avoid}
h2,h3,.title{break-after:avoid}
}
"""


def as_html(page: Page) -> str:
    """Return the page as one self-contained HTML file."""
    links = "".join(
        f'<li><a href="#part-{number}">{safe_text(section.title)}</a></li>'
        for number, section in enumerate(page.sections, 1)
    )
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{safe_text(page.title)}</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        *_banners(page.banners),
        f"<h1>{safe_text(page.title)}</h1>",
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>',
        "<main>",
        *(
            line
            for number, part in enumerate(page.sections, 1)
            for line in _section(part, 2, f"part-{number}")
        ),
        "</main>",
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _banners(banners: Sequence[str]) -> Iterator[str]:
    for banner in banners:
        yield f'<div class="banner" role="alert">!! {safe_text(banner)}</div>'


def _section(section: Section, level: int, anchor: str) -> Iterator[str]:
    yield f'<section id="{anchor}">'
    yield f"<h{level}>{safe_text(section.title)}</h{level}>"
    yield from _banners(section.banners)
    for block in section.blocks:
        yield from _block(block)
    for number, part in enumerate(section.parts, 1):
        yield from _section(part, level + 1, f"{anchor}-{number}")
    yield "</section>"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Text():
            yield f"<p>{safe_text(block.text)}</p>"
        case Items():
            listed = f"<ul>{''.join(f'<li>{safe_text(item)}</li>' for item in block.items)}</ul>"
            summary = f"<summary>{safe_text(block.summary)}</summary>"
            yield f"<details>{summary}{listed}</details>" if block.summary else listed
        case Table():
            yield from _table(block)
        case Figure():
            yield from _figure(block)


def _table(table: Table) -> Iterator[str]:
    kind = ' class="shade"' if table.shade else ""
    first, *others = (safe_text(name) for name in table.columns)
    heads = "".join(
        [f'<th scope="col">{first}</th>', *(f'<th scope="col"{kind}>{name}</th>' for name in others)]
    )
    lines = [f"<table><thead><tr>{heads}</tr></thead><tbody>"]
    for number, row in enumerate(table.rows):
        mark = ' class="ours"' if number in table.ours else ""
        cells = _cells(row[1:], _shades(table, number))
        lines.append(f'<tr{mark}><th scope="row">{safe_text(row[0])}</th>{cells}</tr>')
    box = f'<div class="wide" tabindex="0" role="region" aria-label="{safe_text(table.title)}">'
    yield from _captioned(table.title, [box, *lines, "</tbody></table>", "</div>"], table.note)


def _shades(table: Table, number: int) -> Sequence[float]:
    return table.shade[number] if table.shade else ()


def _cells(cells: Sequence[str], shades: Sequence[float]) -> str:
    if not shades:
        return "".join(f"<td>{safe_text(cell)}</td>" for cell in cells)
    pairs = zip(cells, shades, strict=True)
    return "".join(
        f'<td class="shade" style="{_colour(share)}">{safe_text(cell)}</td>' for cell, share in pairs
    )


def _colour(share: float) -> str:
    """Return a transparent tint, so that the shadow at the edge of a wide table remains visible."""
    ink = ",".join(map(str, _INK_RGB))
    return f"background:rgba({ink},{share:.3f});color:{'#fff' if share > _DARK else 'inherit'}"


def _figure(figure: Figure) -> Iterator[str]:
    source = f"data:image/{figure.kind};base64,{b64encode(figure.image).decode()}"
    image = f'<img src="{source}" alt="{safe_text(figure.alt)}">'
    whole = '<label class="zoom" title="original size"><input type="checkbox" aria-label="original size">'
    yield from _captioned(figure.title, [f"{whole}{image}</label>"], figure.note)


def _captioned(title: str, lines: Sequence[str], note: str) -> Iterator[str]:
    yield f"<figure><figcaption>{safe_text(title)}</figcaption>"
    yield from lines
    if note:
        yield f'<p class="note">{safe_text(note)}</p>'
    yield "</figure>"


def safe_text(text: str) -> str:
    """Escape a text for HTML, replace unprintable characters, and remove the user's name from paths."""
    return escape(printable(portable(text), "\ufffd"))
