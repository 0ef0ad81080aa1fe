"""The pieces of a report's page: plain cells and names are escaped here, and nowhere else."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222 }
body { max-width: 1120px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { margin-top: 2.4rem; border-bottom: 2px solid #0072B2 }
table { border-collapse: collapse; font-size: .88rem; margin: 1rem 0 } td, th { padding: .25rem .6rem }
th { text-align: left; border-bottom: 1px solid #888 } td { border-bottom: 1px solid #e4e4e4 }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
img { max-width: 100%; height: auto }
code { background: #f3f3f3; padding: .1rem .3rem } .lead { font-size: 1.1rem } .quiet { color: #666 }
.wide { overflow-x: auto } details { margin: 1rem 0 }
"""


def page(title: str, *parts: str) -> str:
    """Return a whole page; the parts are HTML already."""
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{text(title)}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{text(title)}</h1>{''.join(parts)}</body></html>"
    )


def section(title: str, *parts: str) -> str:
    """Return a heading and what stands under it; the parts are HTML already."""
    return f"<h2>{text(title)}</h2>{''.join(parts)}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, numbers_from: int = 1) -> str:
    """Return a table of plain cells; columns from `numbers_from` on are aligned to the right."""
    head = "".join(f"<th>{text(name)}</th>" for name in header)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=number' if column >= numbers_from else ''}>{text(cell)}</td>"
            for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"


def pictures(named: Mapping[str, bytes]) -> str:
    """Return pictures, PNG, one below another, inside the page."""
    return "".join(
        f"<p><img alt='{text(name)}' src='data:image/png;base64,{base64.b64encode(content).decode()}'></p>"
        for name, content in named.items()
    )


def text(value: object) -> str:
    """Return anything as text that cannot be taken for HTML."""
    return html.escape(str(value), quote=True)
