from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from memnet_cli.imaging.images import read_provenance
from memnet_cli.restoration.engine import Engine
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.stores import weights
from tests.cli.conftest import Memnet

HANGUP = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP")


@pytest.fixture
def folder(tmp_path: Path, photograph: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make in/: a colour picture, a grey one in a sub-folder; work beside it."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    Image.fromarray(photograph[100:124, 100:130]).save(tmp_path / "in" / "colour.png")
    Image.fromarray(photograph[100:120, 100:118, 1]).save(tmp_path / "in" / "sub" / "grey.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sr(tiny_weights: dict[str, Path]) -> list[str]:
    return ["restore", "--task", "sr", "--scale", "2", "--weights", str(tiny_weights["sr"])]


def pixels(path: Path | str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def test_folder(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    ran = memnet(*sr, "--precision", "fp32", "-r", "in", "out/")
    assert ran.code == 0
    assert pixels("out/colour.png").shape == (48, 60, 3)
    assert pixels("out/sub/grey.png").shape == (40, 36)
    for part in ("2 restored", "device cpu", "fp32", "tiny-sr"):
        assert part in ran.out


def test_cli_gives_what_the_api_gives(
    memnet: Memnet, folder: Path, sr: list[str], tiny_weights: dict[str, Path]
) -> None:
    memnet(*sr, "in/colour.png", "a.png")
    memnet(*sr, "in", "out/")
    assert Path("a.png").read_bytes() == Path("out/colour.png").read_bytes()
    restorer = Restorer.load(task="sr", weights=tiny_weights["sr"])
    np.testing.assert_array_equal(restorer(pixels("in/colour.png"), scale=2), pixels("a.png"))


def test_streams(folder: Path, sr: list[str]) -> None:
    data = Path("in/colour.png").read_bytes()
    command = [sys.executable, "-m", "memnet_cli", *sr, "-", "-"]
    ran = subprocess.run(command, input=data, capture_output=True, check=True, timeout=120)
    assert pixels(io.BytesIO(ran.stdout)).shape == (48, 60, 3)  # type: ignore[arg-type]
    assert b"1 restored" in ran.stderr


def test_json_is_one_document(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    Path("in/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ran = memnet(*sr, "--json", "--fp32", "in", "out/")
    document = json.loads(ran.out)
    assert ran.code == 1
    assert document["counts"] == {"failed": 1, "restored": 1}
    by_name = {Path(entry["input"]).name: entry for entry in document["files"]}
    assert by_name["broken.png"]["error"].startswith("in/broken.png")
    good = by_name["colour.png"]
    assert good["size"] == [60, 48]
    assert good["bytes"] == Path("out/colour.png").stat().st_size
    assert (document["device"], document["precision"]) == ("cpu", "fp32")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a picture", b"\xff\xd8\xff\xe0\x00\x10JFIF"],
    ids=["empty", "text", "cut"],
)
def test_bad_file_fails_alone(memnet: Memnet, folder: Path, sr: list[str], content: bytes) -> None:
    Path("in/bad.jpg").write_bytes(content)
    ran = memnet(*sr, "in", "out/")
    assert ran.code == 1
    assert "in/bad.jpg" in ran.err
    assert Path("out/colour.png").exists()
    assert not Path("out/bad.png").exists()


def test_existing_output_is_left_alone(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    Path("out").mkdir()
    Path("out/colour.png").write_bytes(b"mine")
    ran = memnet(*sr, "in", "out/")
    assert (ran.code, Path("out/colour.png").read_bytes()) == (0, b"mine")
    assert "1 skipped" in ran.out
    memnet(*sr, "--overwrite", "in", "out/")
    assert pixels("out/colour.png").shape == (48, 60, 3)


def test_formats_quality_suffix(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    memnet(*sr, "-f", "jpg", "--quality", "40", "--suffix", "_x{scale}", "in", "out/")
    assert Image.open("out/colour_x2.jpg").format == "JPEG"
    memnet(*sr, "-f", "jpg", "--quality", "95", "in", "out/")
    sizes = [Path(f"out/{name}.jpg").stat().st_size for name in ("colour_x2", "colour")]
    assert sizes[0] < sizes[1]


def test_compare_shows_both(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    memnet(*sr, "--compare", "cmp", "in", "out/")
    pair = pixels("cmp/colour.png")
    assert pair.shape == (48, 124, 3)
    np.testing.assert_array_equal(pair[:, 64:], pixels("out/colour.png"))


def test_compare_keeps_what_is_there(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    Path("cmp").mkdir()
    Path("cmp/colour.png").write_bytes(b"mine")
    ran = memnet(*sr, "--compare", "cmp", "in", "out/")
    assert (ran.code, Path("cmp/colour.png").read_bytes()) == (0, b"mine")
    assert "cmp/colour.png exists and was kept" in ran.err
    before = Path("in/colour.png").read_bytes()
    ran = memnet(*sr, "--overwrite", "--compare", "in", "in", "out/")
    assert (ran.code, Path("in/colour.png").read_bytes()) == (2, before)
    memnet(*sr, "--overwrite", "--compare", "cmp", "in", "out/")
    assert pixels("cmp/colour.png").shape == (48, 124, 3)


def test_a_comparison_that_cannot_be_written_is_named(
    memnet: Memnet, folder: Path, sr: list[str]
) -> None:
    (folder / "cmp").mkdir()
    (folder / "cmp" / "sub").write_bytes(b"in the way")
    ran = memnet(*sr, "--compare", "cmp", "-r", "in", "out/")
    assert ran.code == 1
    assert "Error: cmp/sub/grey.png cannot be written" in ran.err
    assert pixels("out/sub/grey.png").shape == (40, 36)


def test_an_output_that_cannot_be_written_costs_no_time(
    memnet: Memnet, folder: Path, sr: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spent(*_: object, **__: object) -> None:
        raise AssertionError("the model was asked")

    monkeypatch.setattr(Engine, "restore", spent)
    (folder / "in the way").write_bytes(b"")
    ran = memnet(*sr, "in", "in the way/out/")
    assert ran.code == 1
    assert "Error: in the way/out/colour.png cannot be written: Not a directory." in ran.err


def test_colours_that_a_format_has_no_place_for_are_told(
    memnet: Memnet, folder: Path, sr: list[str]
) -> None:
    info = PngInfo()
    info.add(b"cICP", bytes([9, 16, 0, 1]))
    Image.new("RGB", (8, 8), "red").save("wide.png", pnginfo=info)
    notes = {}
    for suffix in ("png", "tif"):
        ran = memnet(*sr, "--json", "wide.png", f"o.{suffix}")
        notes[suffix] = json.loads(ran.out)["files"][0]["notes"]
    assert notes["png"] == []
    assert len(notes["tif"]) == 1 and "cICP of the PNG" in notes["tif"][0]


def test_names_that_are_no_utf8(folder: Path, sr: list[str], tmp_path: Path) -> None:
    name = os.fsdecode(b"in/caf\xe9.png")
    Path("in/colour.png").rename(name)
    command = [sys.executable, "-m", "memnet_cli", *sr, "--json", "in", "out/"]
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    ran = subprocess.run(command, env=strict, capture_output=True, check=True, timeout=120)
    (entry,) = json.loads(ran.stdout.decode("utf-8"))["files"]
    assert entry["input"] == name
    assert Path(entry["output"]).exists()


def test_letters_that_standard_output_has_not(folder: Path, sr: list[str]) -> None:
    Path("in/colour.png").rename("in/写真 😀.png")
    command = [sys.executable, "-m", "memnet_cli", *sr, "--json", "in", "out/"]
    windows = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    ran = subprocess.run(command, env=windows, capture_output=True, check=True, timeout=120)
    (entry,) = json.loads(ran.stdout.decode("cp1252"))["files"]
    assert entry["input"] == "in/写真 😀.png"
    command = [sys.executable, "-m", "memnet_cli", "models"]
    ran = subprocess.run(command, env=windows, capture_output=True, check=True, timeout=120)
    assert b"memnet-m6r6-sr" in ran.stdout


def test_provenance(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    memnet(*sr, "in/colour.png", "a.png")
    recorded = read_provenance(Path("a.png"))
    assert recorded["memnet:task"] == "sr"
    assert "scale=2" in recorded["memnet:options"]
    assert "tiny-sr sha256:" in recorded["memnet:weights"]
    memnet(*sr, "--no-provenance", "in/colour.png", "b.png")
    assert read_provenance(Path("b.png")) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8 are Linux's")
def test_provenance_of_weights_whose_name_is_not_utf_8(
    memnet: Memnet, folder: Path, sr: list[str]
) -> None:
    named = shutil.copy(sr[-1], os.fsdecode(b"caf\xe9.safetensors"))
    memnet(*sr, "--weights", named, "in/colour.png", "a.png")
    assert "caf\\udce9 sha256:" in read_provenance(Path("a.png"))["memnet:weights"]


def test_a_second_run_into_the_own_folder_skips_what_the_first_made(
    memnet: Memnet, folder: Path, sr: list[str]
) -> None:
    assert memnet(*sr, "--suffix", "_r", "in", "in").code == 0
    made = Path("in/colour_r.png").read_bytes()
    again = memnet(*sr, "--suffix", "_r", "--json", "in", "in")
    assert again.code == 0
    assert [entry["input"] for entry in json.loads(again.out)["files"]] == ["in/colour.png"]
    assert json.loads(again.out)["counts"] == {"skipped": 1}
    assert memnet(*sr, "--suffix", "_r", "--overwrite", "in", "in").code == 0
    assert Path("in/colour_r.png").read_bytes() == made
    # in its own place an output is an input like any other, and not written over
    ran = memnet(*sr, "--overwrite", "in/colour_r.png", "in")
    assert ran.code == 2 and "in/colour_r.png is itself one of the inputs" in ran.err
    # a picture of that name that may be by another hand is left alone, and not written over
    Path("in/colour.png").rename("in/a.png")
    shutil.copy("in/a.png", "in/a_r.png")
    left = memnet(*sr, "--suffix", "_r", "--json", "in", "in")
    names = [(entry["input"], entry["status"]) for entry in json.loads(left.out)["files"]]
    assert left.code == 0 and ("in/a.png", "skipped") in names
    assert "in/a_r.png" not in dict(names)
    assert Path("in/a_r.png").read_bytes() == Path("in/a.png").read_bytes()
    ran = memnet(*sr, "--suffix", "_r", "--overwrite", "in", "in")
    assert ran.code == 2 and "in/a_r.png is itself one of the inputs" in ran.err


def test_a_second_run_knows_the_pngs_that_the_first_made_of_jpegs(
    memnet: Memnet, folder: Path, sr: list[str]
) -> None:
    """They would become themselves, too, and are not for that an input in another's place."""
    shutil.rmtree("in")
    Path("in").mkdir()
    Image.new("RGB", (20, 16), "teal").save("in/a.jpg")
    assert memnet(*sr, "in", "in").code == 0
    again = memnet(*sr, "--json", "in", "in")
    assert again.code == 0
    assert json.loads(again.out)["counts"] == {"skipped": 1}
    over = memnet(*sr, "--json", "--overwrite", "in", "in")
    assert over.code == 0
    assert [entry["input"] for entry in json.loads(over.out)["files"]] == ["in/a.jpg"]
    # nor do those of pictures of which nothing was restored
    Path("in/a.jpg").unlink()
    Path("in/a.png").rename("in/b.png")
    Image.new("RGB", (20, 16), "teal").save("in/a.jpg", quality=98)
    assert memnet("restore", "in/a.jpg", "in").code == 0
    assert read_provenance(Path("in/a.png"))["memnet:task"] == "none"
    again = memnet("restore", "--json", "in/a.jpg", "in/a.png", "in")
    assert (again.code, json.loads(again.out)["counts"]) == (0, {"skipped": 1})
    # a record of what was done before stays
    shutil.copy("in/b.png", "made.png")
    for name in ("made.tiff", "made.webp", "again.png"):
        before = "made.png" if name != "again.png" else "made.tiff"
        assert memnet("restore", before, name).code == 0
        assert read_provenance(Path(name)) == read_provenance(Path("made.png"))
    memnet("restore", "--no-provenance", "in/a.jpg", "bare.png")
    assert read_provenance(Path("bare.png")) == {}
    # one by another hand is nobody's to write over
    Image.new("RGB", (20, 16), "teal").save("in/a.png")
    ran = memnet(*sr, "in", "in")
    assert ran.code == 2 and "in/a.png is itself one of the inputs" in ran.err


def test_what_is_left_as_it_is_keeps_all_its_frames(memnet: Memnet, folder: Path) -> None:
    frames = [Image.linear_gradient("L").convert("RGB").rotate(angle) for angle in (0, 90)]
    Path("many").mkdir()
    frames[0].save("many/a.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save("many/b.mpo", "MPO", save_all=True, append_images=frames[1:], quality=98)
    Path("many/b.mpo").rename("many/b.jpg")
    for name in ("a.webp", "b.jpg"):
        ran = memnet("restore", "--json", f"many/{name}", f"kept/{name}")
        (entry,) = json.loads(ran.out)["files"]
        assert entry["status"] == "unchanged" and "frames" not in str(entry["notes"])
        assert Path(f"kept/{name}").read_bytes() == Path(f"many/{name}").read_bytes()
    ran = memnet("restore", "--json", "many/a.webp", "kept/a.png")
    assert "first of 2 frames" in json.loads(ran.out)["files"][0]["notes"]


@pytest.mark.parametrize("task", ["sr", "denoise", "jpeg"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 9), (7, 5)])
def test_pictures_of_a_few_pixels_keep_their_brightness(task: str, shape: tuple[int, int]) -> None:
    flat = np.full((*shape, 3), (200, 100, 50), np.uint8)
    restored = Restorer.load(task=task, precision="fp32")(flat, scale=2 if task == "sr" else None)
    assert np.abs(restored.astype(int) - (200, 100, 50)).max() <= 1


def test_a_jpeg_is_deblocked_before_it_is_enlarged(
    memnet: Memnet, folder: Path, sr: list[str]
) -> None:
    Image.open("in/colour.png").save("poor.jpg", quality=20)
    ran = memnet(*sr, "--json", "poor.jpg", "in/colour.png", "out/")
    files = {entry["input"]: entry for entry in json.loads(ran.out)["files"]}
    assert files["poor.jpg"]["deblocked"] and not files["in/colour.png"]["deblocked"]
    assert files["poor.jpg"]["notes"] == ["deblocked first: JPEG of quality about 20"]
    recorded = read_provenance(Path("out/poor.png"))
    assert recorded["memnet:task"] == "jpeg, sr"
    assert recorded["memnet:weights"].count("sha256:") == 2
    memnet("restore", "--task", "jpeg", "--chroma", "poor.jpg", "better.png")
    memnet(*sr, "better.png", "apart.png")
    # apart, the deblocked picture is rounded to 8 bits on the way
    apart, together = (pixels(name).astype(int) for name in ("apart.png", "out/poor.png"))
    assert np.abs(apart - together).max() <= 2
    memnet(*sr, "--no-deblock", "poor.jpg", "blocks.png")
    assert read_provenance(Path("blocks.png"))["memnet:task"] == "sr"
    assert np.abs(pixels("blocks.png").astype(int) - together).max() > 2


def test_deblocking_first_goes_with_sr(memnet: Memnet, folder: Path) -> None:
    ran = memnet("restore", "--task", "jpeg", "--no-deblock", "in", "out/")
    assert ran.code == 2
    assert "go with --task sr" in ran.err


def test_dry_run_writes_nothing(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    ran = memnet(*sr, "--dry-run", "in", "out/")
    assert ran.code == 0
    assert "in/colour.png -> out/colour.png: 60x48, whole" in ran.out
    assert "Nothing was written" in ran.out
    assert not Path("out").exists()
    document = json.loads(memnet(*sr, "--dry-run", "--json", "in", "out/").out)
    assert document["files"][0]["size"] == [60, 48]
    assert document["files"][0]["memory_bytes"] > 60 * 48 * 4


def test_dry_run_names_what_cannot_be_done(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    Path("in/text.png").write_text("no picture")
    Image.new("L", (9000, 2)).save("in/wide.png")
    ran = memnet(*sr, "--dry-run", "in", "out/", "--format", "webp")
    assert ran.code == 1
    assert "in/text.png is not a picture" in ran.err
    assert "in/wide.png: A picture of 18000x4 pixels cannot be written as webp" in ran.err
    assert "text.png" not in ran.out
    document = json.loads(memnet(*sr, "--dry-run", "--json", "in", "out/").out)
    errors = {Path(file["input"]).name: file["error"] for file in document["files"]}
    assert errors["colour.png"] is None
    assert errors["text.png"].startswith("in/text.png is not a picture")


def test_an_output_without_a_suffix_that_is_a_file_is_refused(
    memnet: Memnet, folder: Path, sr: list[str]
) -> None:
    Path("plain").write_text("mine")
    for more in ((), ("--dry-run",)):
        ran = memnet(*sr, "in/colour.png", "plain", *more)
        assert ran.code == 2
        assert "plain is a file, and its name does not say of which format" in ran.err
    assert Path("plain").read_text() == "mine"


def test_values_beyond_black_and_white_are_told(
    memnet: Memnet, folder: Path, sr: list[str]
) -> None:
    for name, high in {"bright": 1.9, "sharp": 1.1}.items():
        samples = np.full((24, 30), 0.5, np.float32)
        samples[4:8, 4:8] = high
        tifffile.imwrite(f"in/{name}.tif", samples)
    assert "values from 0.50 to 1.90" in memnet(*sr, "in/bright.tif", "b.png").err
    assert "values" not in memnet(*sr, "in/sharp.tif", "s.png").err


def test_other_scale_is_said(memnet: Memnet, folder: Path, tiny_weights: dict[str, Path]) -> None:
    options = ["restore", "--task", "sr", "--scale", "2.5", "--weights", str(tiny_weights["sr"])]
    ran = memnet(*options, "in", "out/")
    assert "made at x3 and resized bicubically" in ran.out
    assert pixels("out/colour.png").shape == (60, 75, 3)


def test_quiet_says_nothing(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    ran = memnet(*sr, "--quiet", "in", "out/")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_verify_tiles_reports(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    ran = memnet(*sr, "--verify-tiles", "in", "out/")
    assert "tiled against whole: 0.00" in ran.err


def test_cuda_that_is_not_there(memnet: Memnet, folder: Path, sr: list[str]) -> None:
    ran = memnet(*sr, "--device", "cuda:99", "in", "out/")
    assert ran.code == 2
    assert "cuda:99 was asked for" in ran.err


@pytest.mark.parametrize(("scale", "name"), [("2", "every-sr"), ("4", "x4-sr"), ("6", "x4-sr")])
def test_default_weights_are_those_for_the_scale(
    memnet: Memnet, folder: Path, by_level: Path, scale: str, name: str
) -> None:
    options = ("--task", "sr", "--scale", scale, "--no-deblock", "--device", "cpu", "--json")
    document = json.loads(memnet("restore", *options, "in", "out/").out)
    assert document["weights"]["sr"]["name"] == name
    (done,) = (entry for entry in document["files"] if entry["status"] == "restored")
    with Image.open(done["output"]) as image:
        written = np.asarray(image)
    picture = np.asarray(Image.open(done["input"]))
    expected = Restorer.load(task="sr", level=float(scale), device="cpu")(
        picture, scale=float(scale)
    )
    assert np.array_equal(written, expected)


@pytest.mark.parametrize("task", ["jpeg", "auto"])
def test_default_weights_are_those_for_the_quality(
    memnet: Memnet, folder: Path, by_level: Path, photograph: NDArray[np.uint8], task: str
) -> None:
    Path("mixed").mkdir()
    part = Image.fromarray(photograph[:200, 200:400])
    for quality in (15, 75, 92):
        part.save(f"mixed/{quality}.jpg", quality=quality)
    Image.open("mixed/15.jpg").save("mixed/15.png")
    Image.open("mixed/15.jpg").crop((3, 3, 195, 195)).save("mixed/again.jpg", quality=92)
    options = ("--task", task, "--device", "cpu", "--json", "--suffix", "_{ext}")
    ran = memnet("restore", *options, "mixed", "out/")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    used = {Path(entry["input"]).name: entry["weights"] for entry in document["files"]}
    assert used == {
        "15.jpg": ["bad-jpeg"],
        "15.png": ["bad-jpeg"],
        "75.jpg": ["good-jpeg"],
        "92.jpg": ["good-jpeg"] if task == "jpeg" else [],
        "again.jpg": ["good-jpeg"],
    }
    assert document["weights"]["good jpeg"]["name"] == "good-jpeg"
    for level, best in ((15, "bad-jpeg"), (75, "good-jpeg")):
        restorer = Restorer.load(task="jpeg", level=level, device="cpu")
        assert restorer.weights.stem == best
        with Image.open(f"out/{level}_jpg.png") as made, Image.open(f"mixed/{level}.jpg") as was:
            assert np.array_equal(np.asarray(made), np.asarray(restorer(was)))


def test_auto_chooses_per_picture(
    memnet: Memnet,
    folder: Path,
    photograph: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    tiny_weights: dict[str, Path],
) -> None:
    monkeypatch.setattr(
        weights, "find_weights", lambda _n, *, model, task, level: tiny_weights[task]
    )
    Path("mixed").mkdir()
    part = photograph[64:128, 64:128]
    noise = np.random.default_rng(0).normal(0, 40, part.shape)
    Image.fromarray(np.clip(part + noise, 0, 255).astype(np.uint8)).save("mixed/noisy.png")
    Image.fromarray(part).save("mixed/blocky.jpg", quality=15)
    Image.fromarray(part).save("mixed/fine.png")
    document = json.loads(memnet("restore", "--json", "mixed", "out/").out)
    chosen = {Path(e["input"]).stem: (e["task"], e["status"]) for e in document["files"]}
    assert chosen == {
        "noisy": ("denoise", "restored"),
        "blocky": ("jpeg", "restored"),
        "fine": (None, "unchanged"),
    }
    np.testing.assert_array_equal(pixels("out/fine.png"), part)
    # with auto, --chroma goes to those that are JPEGs
    again = memnet("restore", "--chroma", "--overwrite", "mixed", "out/")
    assert (again.code, "2 restored" in again.out) == (0, True)
    assert "chroma" in read_provenance(Path("out/blocky.png"))["memnet:options"]
    assert "chroma" not in read_provenance(Path("out/noisy.png"))["memnet:options"]
    # what is left as it is stays so in a lossy format as well
    Image.fromarray(part).save("fine.jpg", quality=97)
    ran = memnet("restore", "fine.jpg", "same.jpg")
    assert "1 unchanged" in ran.out
    assert Path("same.jpg").read_bytes() == Path("fine.jpg").read_bytes()
    said = memnet("restore", "mixed/noisy.png", "alone/").out
    assert tiny_weights["denoise"].stem in said and tiny_weights["jpeg"].stem not in said


@pytest.mark.parametrize(
    ("number", "name", "code"),
    [(signal.SIGINT, b"Ctrl-C", 130), (signal.SIGTERM, b"SIGTERM", 143),
     pytest.param(getattr(signal, "SIGHUP", 0), b"SIGHUP", 129, marks=HANGUP)],
)  # fmt: skip
def test_a_signal_keeps_what_is_done(
    folder: Path, sr: list[str], number: int, name: bytes, code: int
) -> None:
    big = np.zeros((1100, 1000), np.uint8)
    for index in range(30):
        Image.fromarray(big).save(f"in/{index:02}.png")
    command = [sys.executable, "-m", "memnet_cli", *sr, "in", "out/"]
    running = subprocess.Popen(
        command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 90
    while not Path("out/00.png").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == code
    assert b"Stopped by " + name in said
    written = sorted(Path("out").iterdir())
    assert not [path for path in written if path.suffix == ".part"]
    assert 0 < len(written) < 31
    assert all(pixels(path).shape == (2200, 2000) for path in written if path.stem != "colour")
