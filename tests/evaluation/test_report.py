"""The HTML report: what it picks, that it is whole and safe, and that a real browser shows it."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.errors import UsageError
from memnet_cli.evaluation.plan import BenchmarkConfig, make_plan
from memnet_cli.evaluation.report import PictureStore, check_folder, write_report
from memnet_cli.evaluation.report.page import render
from memnet_cli.evaluation.report.pictures import (
    CROP,
    Window,
    around,
    data_url,
    most_different,
    shown_images,
    spread,
)
from memnet_cli.evaluation.report.plot import Line, Point, chart
from memnet_cli.evaluation.results import Results
from memnet_cli.evaluation.run import Picture, run
from memnet_cli.evaluation.tables import sections

from .browser import CHROMIUM, DRIVER, browser

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium and chromedriver are not installed"
)
ARROW_RIGHT, HOME = "\ue014", "\ue011"


def measure(folder: Path, store: PictureStore, tasks: tuple[str, ...] = ("denoise",)) -> Results:
    """Run the classical methods over a folder of pictures."""
    config = BenchmarkConfig(
        (str(folder),), tasks=tasks, levels=(30, 50), models=("degraded", "tv", "nlm")
    )
    return run(make_plan(config), store.add)


@pytest.fixture
def page(picture_folder: Path, tmp_path: Path) -> Path:
    with PictureStore() as store:
        results = measure(picture_folder, store)
        return write_report(tmp_path / "report", results, sections(results), store)


def planes(height: int, width: int, *names: str) -> dict[str, NDArray[np.uint8]]:
    return {name: np.full((height, width), 100, np.uint8) for name in names}


def test_the_crop_lies_where_methods_differ_most() -> None:
    views = planes(200, 300, "clean", "degraded", "a", "b")
    views["a"][120:150, 40:70] += 60
    views["degraded"][:60, 200:] += 120  # the noise itself is no difference of methods
    crop = most_different([views], "denoise", border=0)
    assert (crop.height, crop.width) == (CROP, CROP)
    assert 150 - CROP <= crop.top <= 120
    assert 70 - CROP <= crop.left <= 40
    # for the other tasks the untouched input is a method like any other
    assert most_different([views], "jpeg", border=0).top < 60


def test_a_single_method_is_set_against_the_clean_picture() -> None:
    views = planes(64, 64, "clean", "degraded", "a")
    views["a"][10, 20] += 9
    assert spread(views, "denoise").argmax() == 10 * 64 + 20


def test_windows_stay_inside() -> None:
    crop = Window(0, 250, CROP, CROP)
    assert around(crop, 200, 300, None) == Window(0, 0, 200, 300)
    assert around(crop, 200, 300, 128) == Window(0, 172, 128, 128)
    assert around(Window(0, 0, 20, 20), 20, 20, 128) == Window(0, 0, 20, 20)


def test_crops_are_lossless(photograph: NDArray[np.uint8]) -> None:
    plane = photograph[:48, :48, 0]
    encoded = data_url(plane, "png").partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        np.testing.assert_array_equal(np.asarray(image), plane)


def test_a_small_budget_shows_less_of_every_picture(picture_folder: Path) -> None:
    with PictureStore() as store:
        results = measure(picture_folder, store)
        (whole,) = shown_images(results.rows, store).values()
        (part,) = shown_images(results.rows, store, budget=60_000).values()
    assert {(image.shown.height, image.shown.width) for image in whole} == {(72, 90)}
    assert all(image.shown.width < 90 for image in part)
    assert all(
        image.crop.top >= 0 and image.crop.top + CROP <= image.shown.height for image in part
    )


def test_a_budget_for_a_few_shows_those(picture_folder: Path) -> None:
    with PictureStore() as store:
        results = measure(picture_folder, store)
        for budget in range(40_000, 0, -1000):
            few = shown_images(results.rows, store, budget=budget)
            if sum(map(len, few.values())) == 1:
                break
        ((shown,),) = few.values()
        page = render(results, sections(results), few)
    by_level = [*shown.views.values(), *shown.crops.values()]
    urls = [shown.clean, shown.clean_crop, *(url for level in by_level for url in level.values())]
    assert sum(map(len, urls)) <= budget
    assert ", of 1 of 3 images" in page


@pytest.mark.parametrize(
    ("task", "levels", "last", "expected"),
    [
        ("denoise", (30, 50), "tv", [{"degraded", "tv"}, {"degraded"}]),
        # bicubic is the input, which is shown until that is finished
        ("sr", (2, 3), "bicubic", [{"bicubic"}, {"degraded"}]),
    ],
)
def test_pictures_of_an_unfinished_row_are_not_shown(
    picture_folder: Path, task: str, levels: tuple[int, int], last: str, expected: list[set[str]]
) -> None:
    def stop(picture: Picture) -> None:
        store.add(picture)
        if (picture.level, picture.method) == (levels[1], last):
            raise KeyboardInterrupt

    folder = (str(picture_folder),)
    config = BenchmarkConfig(folder, (task,), levels, models=("degraded", last))
    with PictureStore() as store:
        results = run(make_plan(config), stop)
        (images,) = shown_images(results.rows, store).values()
    assert len(images) == 3
    for image in images:
        assert [set(image.views[level]) for level in levels] == expected


def test_the_files_of_a_store_go_with_it(picture_folder: Path) -> None:
    with PictureStore() as store:
        measure(picture_folder, store)
        folder = Path(store._folder.name)
        assert any(folder.iterdir())
    assert not folder.exists()


class Elements(HTMLParser):
    """Collects (tag, attributes)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_needs_nothing_else_and_escapes_names(page: Path) -> None:
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
    text = page.read_text("utf-8")
    parser = Elements()
    parser.feed(text)
    for tag, attributes in parser.found:
        for name in ("src", "href", "srcset", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", text)
    policy = next(a for t, a in parser.found if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy["content"]).startswith("default-src 'none'")
    assert "<b>&amp;" not in text.replace("&lt;b&gt;", "")  # the picture called x<b>&amp;".png
    assert "x&lt;b&gt;&amp;amp;&quot;.png" in text
    assert len(text) < 15_000_000


def test_charts_have_points_and_quoted_lines() -> None:
    svg = chart("<title>", [Point("a<b", 2.0, 33.1, 700_000)], [Line("MemNet (paper)", 34.09)])
    assert svg.count("<circle") == 1
    assert "a&lt;b 33.10" in svg
    assert "MemNet (paper) 34.09" in svg
    points = [Point(f"m{index}", 1.0, 33.0, None) for index in range(4)]
    labels = re.findall(r'<text class="label" [^>]*y="([\d.]+)"', chart("t", points, []))
    gaps = np.diff(sorted(float(y) for y in labels))
    assert (gaps >= 12.9).all()
    wide = chart("t", [Point("a", 1.0, 8.0, None), Point("b", 1.0, 190.0, None)], [])
    assert "190.00" in wide


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"report folder .*file cannot be written"):
        check_folder(tmp_path / "file")


@needs_browser
def test_slider_works_by_keyboard_and_choices_change_the_pictures(
    page: Path, tmp_path: Path
) -> None:
    with browser(tmp_path / "profile", 1200, 900) as window:
        window.open(page)
        window.until("document.querySelector('.compare img.left').naturalWidth > 0")
        assert window.run("return document.querySelectorAll('.picture').length") == 3
        assert window.run("return document.title") == f"memnet benchmark: {tmp_path / 'own'}"

        position = (
            "return getComputedStyle(document.querySelector('.compare')).getPropertyValue('--at')"
        )
        window.press(".compare input", HOME + ARROW_RIGHT * 3)
        assert window.run(position) == "3%"

        left = "return document.querySelector('.compare img.left').src"
        before = window.run(left)
        window.run(
            "const s = document.querySelector('.toolbar select'); s.value = 'clean';"
            "s.dispatchEvent(new Event('change'))"
        )
        window.until("document.querySelector('.compare img.left').naturalWidth > 0")
        assert window.run(left) != before
        assert window.run("return document.querySelector('.tag-left').textContent") == "clean"

        crops = "return [...document.querySelectorAll('.crops')[0].children].map(c => c.innerText)"
        hard = window.run(crops)
        assert isinstance(hard, list)
        assert [text.split("\n")[0] for text in hard] == ["degraded", "tv", "nlm", "clean"]
        window.press(".toolbar input[value='30']", " ")
        easy = window.run(crops)
        assert easy != hard
        assert re.search(r"\d\d\.\d\d dB / 0\.\d{4}", str(easy))
        assert window.messages() == []


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_scrolling_sideways(
    page: Path, tmp_path: Path, dark: bool
) -> None:
    with browser(tmp_path / "profile", 390, 844, dark=dark) as window:
        window.open(page)
        with Image.open(io.BytesIO(window.screenshot())) as image:
            background = image.convert("L").getpixel((3, 3))
        window.run("document.querySelector('.viewer').scrollIntoView()")
        window.until("document.querySelector('.compare img.right').naturalWidth > 0")
        assert window.run("return document.documentElement.scrollWidth") == 390
        assert isinstance(background, int | float)
        assert (background < 60) is dark
        assert window.messages() == []
