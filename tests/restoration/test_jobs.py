from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memnet_cli.errors import UsageError
from memnet_cli.restoration.jobs import (
    STREAM,
    Job,
    Naming,
    format_of,
    formats_passed_over,
    plan_jobs,
)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with pictures and with what is not a picture, and work beside it."""
    for name in ("a.png", "b.JPG", "sub/c.tif", "sub/.hidden/d.png"):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    for name in (".e.png", "._a.png", "Thumbs.db", "notes.txt"):
        (tmp_path / "in" / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(*inputs: str, compare: str | None = None, recursive: bool = False) -> tuple[Job, ...]:
    folder = None if compare is None else Path(compare)
    return plan_jobs(inputs, "out/", recursive=recursive, naming=Naming(), compare=folder)


def targets(*inputs: str, output: str = "out/", recursive: bool = False) -> list[str]:
    jobs = plan_jobs(inputs, output, recursive=recursive, naming=Naming())
    return [str(job.target) for job in jobs]


@pytest.mark.usefixtures("pictures")
class TestPlan:
    def test_folder_without_what_is_no_picture(self) -> None:
        assert targets("in") == ["out/a.png", "out/b.png"]

    def test_recursive_keeps_relative_paths(self) -> None:
        assert targets("in", recursive=True) == ["out/a.png", "out/b.png", "out/sub/c.png"]

    def test_glob_keeps_what_follows_the_fixed_part(self) -> None:
        assert targets("in/*.JPG", "in/**/*.tif") == ["out/b.png", "out/sub/c.png"]

    def test_file_to_file_takes_the_format_of_the_name(self) -> None:
        (job,) = plan_jobs(["in/a.png"], "x.webp", recursive=False, naming=Naming())
        assert (str(job.target), job.format) == ("x.webp", "webp")

    def test_one_picture_into_an_existing_folder(self) -> None:
        Path("there").mkdir()
        assert targets("in/a.png", output="there") == ["there/a.png"]

    def test_output_inside_input_is_not_taken_for_input(self) -> None:
        Path("in/out").mkdir()
        Path("in/out/z.png").write_bytes(b"x")
        assert "in/out/z.png" not in targets("in", output="in/out", recursive=True)

    def test_named_twice_is_done_once(self) -> None:
        assert targets("in/a.png", "in") == ["out/a.png", "out/b.png"]

    def test_stream(self) -> None:
        (job,) = plan_jobs([STREAM], STREAM, recursive=False, naming=Naming("jpg"))
        assert (job.source, job.target, job.format) == (None, None, "jpeg")

    def test_two_pictures_with_one_output_are_refused(self) -> None:
        Path("in/a.bmp").write_bytes(b"x")
        with pytest.raises(UsageError, match=r"a\.bmp and in/a\.png would both become out/a\.png"):
            targets("in")

    def test_suffix_tells_them_apart(self) -> None:
        Path("in/a.bmp").write_bytes(b"x")
        jobs = plan_jobs(
            ["in"], "out/", recursive=False, naming=Naming(suffix="_{ext}_x{scale}", scale=2)
        )
        assert [str(job.target) for job in jobs] == [
            "out/a_bmp_x2.png",
            "out/a_png_x2.png",
            "out/b_jpg_x2.png",
        ]

    @pytest.mark.parametrize("pattern", ["in/**/*.png", "in/*"])
    def test_pattern_leaves_the_output_of_an_earlier_run_out(self, pattern: str) -> None:
        before = targets(pattern, output="in/out", recursive=True)
        Path("in/out/sub").mkdir(parents=True)
        for name in ("a.png", "sub/z.png"):
            Path("in/out", name).write_bytes(b"x")
        assert targets(pattern, output="in/out", recursive=True) == before
        assert targets("in/out/*.png", output="in/out/out2") == ["in/out/out2/a.png"]

    def test_comparisons_of_an_earlier_run_are_no_inputs(self) -> None:
        Path("in/pairs").mkdir()
        Path("in/pairs/a.png").write_bytes(b"x")
        jobs = planned("in", compare="in/pairs", recursive=True)
        assert [str(job.comparison) for job in jobs] == [
            "in/pairs/a.png",
            "in/pairs/b.png",
            "in/pairs/sub/c.png",
        ]

    @pytest.mark.parametrize(
        ("compare", "message"),
        [
            ("in", "take the place of an input"),
            ("./out", "take the place of an input or output"),
            ("in/notes.txt", "is a file"),
        ],
    )
    def test_comparison_that_would_cost_a_picture(self, compare: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            planned("in", compare=compare)

    def test_another_name_of_an_input_is_refused(self) -> None:
        # as on a file system that does not tell B.JPG from B.jpg
        Path("in/b.jpg").hardlink_to("in/b.JPG")
        with pytest.raises(UsageError, match="itself one of the inputs"):
            plan_jobs(["in/b.JPG"], "in", recursive=False, naming=Naming("jpg"))

    def test_bmp(self) -> None:
        (job,) = plan_jobs(["in/a.png"], "out/", recursive=False, naming=Naming("bmp"))
        assert (str(job.target), job.format) == ("out/a.bmp", "bmp")

    def test_links_in_a_circle_and_pipes(self) -> None:
        Path("in/loop.png").symlink_to("loop.png")
        os.mkfifo("in/pipe.png")
        assert targets("in") == ["out/a.png", "out/b.png", "out/loop.png"]

    def test_a_folder_below_that_cannot_be_listed_fails_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed = Path.iterdir

        def iterdir(folder: Path) -> Iterator[Path]:
            if folder.name == locked:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
            return listed(folder)

        monkeypatch.setattr(Path, "iterdir", iterdir)
        locked = "sub"
        found = [str(job.source) for job in planned("in", recursive=True)]
        assert found == ["in/a.png", "in/b.JPG", "in/sub"]
        locked = "in"
        with pytest.raises(UsageError, match=r"^in cannot be reached: Permission denied\.$"):
            planned("in")

    def test_name_that_no_file_can_have(self) -> None:
        with pytest.raises(UsageError, match="cannot be reached: File name too long"):
            targets("a" * 300 + ".png")

    @pytest.mark.parametrize(("format_name", "output"), [("jpg", "x.png"), ("png", "x.TIF")])
    def test_name_of_another_format_is_refused(self, format_name: str, output: str) -> None:
        with pytest.raises(UsageError, match=rf"{output} is named as .* let its name end in"):
            plan_jobs(["in/a.png"], output, recursive=False, naming=Naming(format_name))

    @pytest.mark.parametrize(
        ("inputs", "output", "message"),
        [
            (["nowhere"], "out/", "There is no file or folder nowhere"),
            (["in/*.gif"], "out/", "There is no picture in"),
            (["in/sub/.hidden/*.txt"], "out/", "There is no picture in"),
            (["in"], "in/a.png", "is a file"),
            (["in"], STREAM, "takes one picture"),
            ([STREAM, "in"], "out/", "give no other input"),
            (["in/a.png"], "in/", "itself one of the inputs"),
        ],
    )
    def test_refused_before_work_starts(self, inputs: list[str], output: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            targets(*inputs, output=output)


def test_pictures_of_formats_that_are_not_read_are_told(tmp_path: Path) -> None:
    for name in ("a.HEIC", "b.cr2", "c.txt", ".d.heic", "below/e.heic", ".hidden/f.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    folder = [str(tmp_path)]
    assert formats_passed_over(folder, False) == "2 of formats that are not read (.cr2, .heic)"
    assert formats_passed_over(folder, True).startswith("3 of formats")
    assert formats_passed_over([str(tmp_path / "a.HEIC"), "-"], True) == ""
    with pytest.raises(UsageError, match=r"There is no picture in .*, only 2 of formats"):
        plan_jobs(folder, str(tmp_path / "out"), recursive=False, naming=Naming())


def test_several_pictures_are_not_put_into_a_folder_that_is_named_as_a_picture(
    tmp_path: Path,
) -> None:
    both = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for name in both:
        Path(name).write_bytes(b"")
    for inputs in (both, [str(tmp_path)]):
        with pytest.raises(UsageError, match=r"out\.png is named as a picture"):
            plan_jobs(inputs, str(tmp_path / "out.png"), recursive=False, naming=Naming())
        jobs = plan_jobs(inputs, str(tmp_path / "out.png") + "/", recursive=False, naming=Naming())
        assert [job.target for job in jobs] == [
            tmp_path / "out.png" / n for n in ("a.png", "b.png")
        ]


def test_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'jpeg'"):
        format_of("jpegg")


@pytest.mark.parametrize("suffix", ["_{nope}", "{ext.nope}", "{ext[a]}", "{0}", "{ext:d}"])
def test_unknown_field_in_suffix(suffix: str) -> None:
    with pytest.raises(UsageError, match="cannot be filled in"):
        Naming(suffix=suffix).output_name(Path("a.png"), "png")


def test_suffix_is_no_folder() -> None:
    with pytest.raises(UsageError, match="names a folder"):
        Naming(suffix="/x").output_name(Path("a.png"), "png")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_patterns_do_not_go_round_in_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "p.png").touch()
    (tmp_path / "in" / "a" / "up").symlink_to("..")
    (tmp_path / "linked").symlink_to("in")
    monkeypatch.chdir(tmp_path)
    for pattern in ("in/**/*.png", "linked/**/*.png"):
        (job,) = plan_jobs([pattern], "out/", recursive=False, naming=Naming())
        assert job.relative == Path("a/p.png")


def test_two_spellings_of_a_file_are_one_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "p.png").touch()
    monkeypatch.chdir(tmp_path)
    inputs = ["in/p.png", "in/../in/p.png", str(tmp_path / "in" / "p.png")]
    (job,) = plan_jobs(inputs, "out/", recursive=False, naming=Naming())
    assert job.source == Path(tmp_path / "in" / "p.png") or job.source == Path("in/p.png")


def test_a_folder_in_the_place_of_an_output_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "p.png").mkdir()
    assert not Job(None, Path("p.png"), tmp_path / "p.png", "png").is_done()
