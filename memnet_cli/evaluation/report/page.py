"""Put tables, charts and pictures together into one self-contained HTML page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from memnet_cli.errors import UsageError
from memnet_cli.evaluation.formats import best_measured, card_label, cost_table, sentence
from memnet_cli.evaluation.report.pictures import (
    CLEAN,
    INPUT,
    PictureStore,
    ShownImage,
    shown_images,
)
from memnet_cli.evaluation.report.plot import Line, Point, chart
from memnet_cli.evaluation.results import Results
from memnet_cli.evaluation.tables import (
    Section,
    TableRow,
    difference_text,
    level_label,
    psnr_text,
    seconds_text,
    ssim_text,
)
from memnet_cli.files import check_writable, write_atomically

PAGE = "index.html"
_QUOTED_KEY = (
    '<span class="key quoted"><span class="dot"></span>quoted from a paper, not run here</span>'
)


def check_folder(folder: Path) -> None:
    """Make sure that the report can be written, before anything slow begins.

    Raises:
        UsageError: if ``folder`` cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / PAGE)
    except OSError as error:
        raise UsageError(
            f"The report folder {folder} cannot be written ({error.strerror}): give another one."
        ) from None


def write_report(
    folder: Path, results: Results, sections: Sequence[Section], store: PictureStore
) -> Path:
    """Write ``index.html`` into ``folder`` and return its path.

    Args:
        folder: made if it is not there.
        results: of the run.
        sections: its tables.
        store: the pictures of the same run.

    Raises:
        UsageError: if the page cannot be written.
    """
    pictures = shown_images(results.rows, store)
    page = folder / PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            page, render(results, sections, pictures).encode("utf-8", "backslashreplace")
        )
    except OSError as error:
        raise UsageError(f"The report {page} cannot be written ({error.strerror}).") from None
    return page


def render(
    results: Results,
    sections: Sequence[Section],
    pictures: Mapping[tuple[str, str], Sequence[ShownImage]],
) -> str:
    """Return the whole page as text."""
    parts = [
        _section(results, section, pictures.get((section.dataset, section.task), ()), index)
        for index, section in enumerate(sections)
    ]
    datasets = ", ".join(dict.fromkeys(section.dataset for section in sections))
    links = "".join(
        f'<a href="#section-{index}">{escape(section.title)}</a>'
        for index, section in enumerate(sections)
    )
    return Template(_text("template.html")).substitute(
        title=escape(f"memnet benchmark: {datasets}"),
        heading=escape(datasets),
        style=_text("style.css"),
        script=_text("script.js"),
        contents=links if len(sections) > 1 else "",
        quoted=_QUOTED_KEY if any(section.reference for section in sections) else "",
        sections="".join(parts),
        cost=_cost(results),
        environment=_environment(results),
        version=escape(results.environment.get("memnet", "")),
    )


def _text(name: str) -> str:
    return files("memnet_cli.evaluation.report").joinpath(name).read_text("utf-8")


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _table_row(section: Section, row: TableRow, is_best: bool) -> str:
    kind = ("run best" if is_best else "run") if row.measured else "quoted"
    seen = '<abbr title="trained on images of this set">†</abbr>' if row.seen else ""
    return (
        f'<tr class="{kind}"><th scope="row"><span class="dot"></span>{escape(row.method)}{seen}'
        f"</th>{_cell(psnr_text(row.psnr), 'n main')}{_cell(ssim_text(row.ssim), 'n')}"
        f"{_cell(difference_text(row.difference), 'n') if section.reference else ''}"
        f"{_cell(seconds_text(row.seconds), 'n')}"
        f"{_cell(row.source, 'source')}</tr>"
    )


def _table(section: Section) -> str:
    best = best_measured(section)
    columns = 6 if section.reference else 5
    bodies = []
    for level in section.levels:
        rows = "".join(_table_row(section, row, row in best) for row in section.at(level))
        label = escape(level_label(section.task, level))
        bodies.append(
            f'<tbody><tr class="level"><th colspan="{columns}" scope="rowgroup">{label}</th></tr>'
            f"{rows}</tbody>"
        )
    against = f"to {escape(section.reference)}, dB"
    difference = f'<th scope="col" class="n">{against}</th>' if section.reference else ""
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Scores"><table>'
        '<thead><tr><th scope="col">Method</th>'
        '<th scope="col" class="n">PSNR, dB</th><th scope="col" class="n">SSIM</th>'
        f"{difference}"
        '<th scope="col" class="n">s / image</th><th scope="col">Source</th></tr></thead>'
        f"{''.join(bodies)}</table></div>"
    )


def _charts(results: Results, section: Section) -> str:
    charts = []
    for level in section.levels:
        rows = section.at(level)
        points = [
            Point(
                row.method,
                1.0 / row.megapixels_per_second,
                row.psnr,
                results.card_of(row.method, section.task, level).parameters,
            )
            for row in rows
            if row.megapixels_per_second is not None and math.isfinite(row.psnr)
        ]
        lines = [Line(f"{row.method} (paper)", row.psnr) for row in rows if not row.measured]
        if points:
            label = level_label(section.task, level)
            title = f"PSNR against time, {section.title}, {label}"
            charts.append(
                f"<figure><figcaption>{escape(label)}</figcaption>"
                f"{chart(title, points, lines)}</figure>"
            )
    if not charts:
        return ""
    has_quotes = any(not row.measured for row in section.rows)
    quoted = "; dashed lines are quoted from the papers" if has_quotes else ""
    return (
        "<h3>Quality against time</h3><p class='hint'>Circles were run here, their area grows "
        f"with the number of parameters{quoted}.</p>"
        f"<div class='charts'>{''.join(charts)}</div>"
    )


def _scores(results: Results, section: Section) -> dict[str, dict[str, dict[str, str]]]:
    """Return level -> method -> image -> "32.41 dB / 0.9123"."""
    scores: dict[str, dict[str, dict[str, str]]] = {}
    for row in results.rows:
        if (row.scores.dataset, row.scores.task) != (section.dataset, section.task):
            continue
        scores.setdefault(str(row.scores.level), {})[row.method] = {
            image.name: f"{psnr_text(image.psnr)} dB / {ssim_text(image.ssim)}"
            for image in row.scores.images
        }
    return scores


def _embedded(document: object) -> str:
    """Return JSON that is safe inside a script element."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _pictures(results: Results, section: Section, images: Sequence[ShownImage], index: int) -> str:
    if not images:
        return "<p class='hint'>No pictures: the page has no room for more.</p>"
    document = {
        "start": min(section.rows, key=lambda row: row.psnr).level,
        "levels": [[level, level_label(section.task, level)] for level in section.levels],
        "input": INPUT,
        "clean": CLEAN,
        "scores": _scores(results, section),
        "images": [asdict(image) for image in images],
    }
    figures = "".join(_figure(image, position, index) for position, image in enumerate(images))
    return (
        "<h3>Pictures</h3><p class='hint'>Drag the divider, or focus a picture and use the arrow "
        "keys. The framed part, where the methods differ most, is enlarged below without loss; "
        "the numbers are those of the whole image. Shown is the plane that is measured "
        f"(luma or grey){_how_many(results, section, images)}.</p>"
        f'<div class="viewer" data-section="{index}"><div class="toolbar"></div>'
        f'<div class="figures">{figures}</div></div>'
        f'<script type="application/json" id="pictures-{index}">{_embedded(document)}</script>'
    )


def _how_many(results: Results, section: Section, images: Sequence[ShownImage]) -> str:
    """Say how many images are shown where they are not all."""
    place = section.dataset, section.task
    rows = (row.scores for row in results.rows)
    named = {i.name for s in rows if (s.dataset, s.task) == place for i in s.images}
    return f", of {len(images)} of {len(named)} images" if len(images) < len(named) else ""


def _figure(image: ShownImage, position: int, index: int) -> str:
    ratio = f"{image.shown.width} / {image.shown.height}"
    name = escape(image.name, quote=True)
    return (
        f'<figure class="picture" data-image="{position}"><figcaption>{name}</figcaption>'
        f'<div class="compare" style="aspect-ratio: {ratio}">'
        '<img class="right" alt=""><img class="left" alt="">'
        '<span class="frame" aria-hidden="true"></span><span class="divider"></span>'
        '<span class="tag tag-left"></span><span class="tag tag-right"></span>'
        '<input type="range" min="0" max="100" value="50" '
        f'aria-label="{name}: position of the divider" id="divider-{index}-{position}">'
        '</div><ul class="crops"></ul></figure>'
    )


def _section(results: Results, section: Section, images: Sequence[ShownImage], index: int) -> str:
    notes = "".join(f"<li>{escape(sentence(note))}</li>" for note in section.notes)
    return (
        f'<section id="section-{index}"><h2>{escape(section.title)}</h2>'
        f"{_table(section)}"
        f'<ul class="notes"><li><strong>Protocol</strong> {escape(section.protocol)}.</li>{notes}'
        f"</ul>{_charts(results, section)}{_pictures(results, section, images, index)}</section>"
    )


def _cost(results: Results) -> str:
    head, rows = cost_table(results)
    cells = "".join(
        f'<th scope="col"{" class=n" if 2 <= i <= 5 else ""}>{escape(name)}</th>'
        for i, name in enumerate(head)
    )
    body = "".join(
        "<tr class='run'>"
        + f'<th scope="row">{escape(row[0])}</th>'
        + "".join(_cell(text, "n" if 1 <= i <= 4 else "") for i, text in enumerate(row[1:]))
        + "</tr>"
        for row in rows
    )
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Cost"><table>'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _environment(results: Results) -> str:
    facts = {**results.environment, "noise seed": str(results.seed)}
    for card in results.methods:
        if card.weights is not None:
            facts[f"{card_label(card)} ({card.task})"] = (
                f"{card.weights}, sha256 {card.weights_hash}…, on {card.device}, {card.precision}"
            )
    return "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items()
    )
