"""One picture: what it becomes, and every reason for which it is not taken."""

import hashlib
import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from data_served import animated, bomb, encoded, jpeg, png, scene
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from descend.lab.data.picture import Looked, Settings, Unfit, claimed, decoded, examine, perceptual

ANY = Settings(side=0, least=1)


def unfit(data: bytes, claim: str = "", settings: Settings = ANY) -> tuple[str, str]:
    with pytest.raises(Unfit) as caught:
        decoded(data, claim, settings)
    return caught.value.args  # type: ignore[return-value]


def near(one: Image.Image, other: Image.Image, most: float = 4.0) -> bool:
    assert one.size == other.size
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean()) < most


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF", "AVIF"])
def test_every_format_becomes_the_same_picture(format: str):
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98}, "AVIF": {"quality": 98}}.get(format, {})
    most = 25.0 if format == "GIF" else 4.0
    assert near(decoded(encoded(scene(1), format, **lossless), format, ANY), scene(1), most)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_stand_upright_whatever_exif_says(orientation: int, format: str):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(scene(1, (120, 80)), format, exif=exif, **({"quality": 98} if format == "JPEG" else {}))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        wanted = ImageOps.exif_transpose(image).convert("RGB")
    assert near(decoded(data, format, ANY), wanted)
    assert near(
        decoded(data, format, Settings(side=60, least=1)), wanted.resize((60, 40) if orientation < 5 else (40, 60)), 8
    )


def test_nothing_of_the_maker_stays(tmp_path: Path):
    exif = Image.Exif()
    exif[0x010F], exif[0x9286] = "a camera", "a secret remark"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 0.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    words = PngImagePlugin.PngInfo()
    words.add_text("Author", "somebody")
    for folder in ("images", "thumbs"):
        (tmp_path / folder).mkdir()
    for data in (
        encoded(
            scene(1), "JPEG", exif=exif, comment=b"secret", icc_profile=profile, xmp=b"<x:xmpmeta/>", dpi=(300, 300)
        ),
        encoded(scene(2), "PNG", pnginfo=words, exif=exif, icc_profile=profile),
    ):
        (tmp_path / "x").write_bytes(data)
        found = examine(str(tmp_path / "x"), "", Settings(), str(tmp_path))
        for folder in ("images", "thumbs"):
            kept = (tmp_path / folder / f"{found.sha256[:16]}.jpg").read_bytes()
            with Image.open(io.BytesIO(kept)) as image:
                assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
                assert not image.getexif()
            assert not any(word in kept for word in (b"secret", b"camera", b"somebody", b"xmpmeta", b"ICC_PROFILE"))
        assert found.kept == hashlib.sha256((tmp_path / "images" / f"{found.sha256[:16]}.jpg").read_bytes()).hexdigest()


def test_a_profile_is_applied_before_it_is_stripped():
    """A profile that swaps red and green is made from sRGB's by swapping the names of two of its tags."""
    red, green = (Image.new("RGB", (80, 80), colour) for colour in ((200, 30, 30), (30, 200, 30)))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"TEMP").replace(b"gXYZ", b"rXYZ").replace(b"TEMP", b"gXYZ")
    swapped = swapped.replace(b"sRGB", b"mine").replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    assert near(decoded(encoded(red, "PNG", icc_profile=swapped), "PNG", ANY), green)
    assert near(decoded(encoded(red, "PNG", icc_profile=profile), "PNG", ANY), red)
    for nonsense in (b"garbage", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()):
        assert near(decoded(encoded(red, "PNG", icc_profile=nonsense), "PNG", ANY), red)


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
        ("LA", (0, 128), (127, 127, 127)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("P", 0, (0, 0, 0)),
    ],
)
def test_other_modes_become_rgb_over_white(mode: str, colour, wanted):
    data = encoded(Image.new(mode, (70, 70), colour), "PNG")
    assert near(decoded(data, "PNG", ANY), Image.new("RGB", (70, 70), wanted))


def test_cmyk_becomes_rgb():
    assert near(decoded(encoded(scene(1).convert("CMYK"), "JPEG", quality=98), "JPEG", ANY), scene(1), 6)


def test_a_long_side_is_shortened_and_a_short_one_left():
    assert decoded(jpeg(1, (2000, 1000)), "JPEG", Settings(side=512)).size == (512, 256)
    assert decoded(jpeg(1, (96, 80)), "JPEG", Settings(side=512)).size == (96, 80)
    assert decoded(jpeg(1, (2000, 1000)), "JPEG", Settings(side=0)).size == (2000, 1000)


def test_what_is_not_taken_and_why():
    whole = jpeg(1, (300, 300))
    assert unfit(b"") == ("corrupt", "empty")
    assert unfit(b"<!DOCTYPE html>") == ("corrupt", "a web page")
    assert unfit(b"%!PS-Adobe-3.0 EPSF-3.0\n") == ("corrupt", "no picture of a known kind")
    assert unfit(whole[:-300])[0] == "corrupt"
    assert unfit(whole[:20])[0] == "corrupt"
    assert unfit(jpeg(1, (63, 500)), "JPEG", Settings()) == ("tiny", "63 × 500 pixels")
    assert unfit(animated()) == ("animated", "3 frames")
    assert unfit(encoded(scene(1), "TIFF", save_all=True, append_images=[scene(2)])) == ("animated", "2 frames")
    assert unfit(encoded(scene(1), "WEBP", save_all=True, append_images=[scene(2)])) == ("animated", "2 frames")
    assert unfit(encoded(scene(1), "PNG"), "JPEG") == ("mislabelled", "PNG that says it is JPEG")
    assert unfit(bomb())[0] == "too large"
    assert unfit(png(11_000, 11_000, b""))[0] == "too large"
    assert unfit(png(200, 200, b"no zlib"))[0] == "corrupt"
    assert unfit(encoded(Image.fromarray(np.zeros((80, 80), np.uint16)), "PNG"))[0] == "corrupt"


def test_a_phones_jpeg_with_a_small_one_inside_is_one_picture():
    data = encoded(scene(1), "MPO", save_all=True, append_images=[scene(2, (48, 40))], quality=98)
    assert near(decoded(data, "JPEG", ANY), scene(1))


def test_damage_anywhere_is_a_reason_and_never_an_exception():
    """Bytes changed at random, in every format: fit or unfit, and nothing else."""
    rng = np.random.default_rng(0)
    fit = 0
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"):
        data = encoded(scene(1), format)
        for _ in range(40):
            raw = bytearray(data)
            for at in rng.integers(0, len(raw), rng.integers(1, 20)):
                raw[at] = rng.integers(0, 256)
            cut = bytes(raw[: rng.integers(1, len(raw) + 1)]) if rng.random() < 0.3 else bytes(raw)
            with suppress(Unfit):
                fit += bool(decoded(cut, "", Settings()).size)
    assert fit


@pytest.mark.parametrize(
    ("name", "type", "claim"),
    [
        ("a.jpg", "", "JPEG"),
        ("a.JPEG", "", "JPEG"),
        ("a.jpg", "image/png", "PNG"),
        ("a.php", "image/jpg; charset=x", "JPEG"),
        ("a.png", "application/octet-stream", "PNG"),
        ("a.png", "binary/octet-stream", "PNG"),
        ("a", "", ""),
        ("a.webp", "image/x-unheard-of", "x-unheard-of"),
    ],
)
def test_what_a_file_says_it_is(name: str, type: str, claim: str):
    assert claimed(name, type) == claim


def test_a_file_that_cannot_be_read_may_be_read_later(tmp_path: Path):
    assert examine(str(tmp_path / "gone.jpg"), "", Settings(), "").reason == "unreadable"
    (tmp_path / "large.jpg").write_bytes(bytes(99))
    assert examine(str(tmp_path / "large.jpg"), "", Settings(largest=98), "") == Looked("too large", "99 bytes")


def test_hashes_are_of_64_bits_and_the_mirror_image_has_them_swapped():
    plain, turned = perceptual(scene(1))
    assert (len(plain), len(turned)) == (16, 16)
    assert perceptual(ImageOps.mirror(scene(1))) == (turned, plain)
