"""One picture: decoded, checked, turned upright, freed of what it tells of its maker, and hashed.

It runs in worker processes and imports nothing of the rest, so that a decoder that crashes takes nobody with it.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import struct
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ...draw.files import write

if TYPE_CHECKING:
    from PIL import Image

# Pillow's names of what is decoded. EPS, PSD, SVG and the other rarities are not: each decoder is a door.
ENDINGS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"), "PNG": ("png", "apng"), "WEBP": ("webp",), "GIF": ("gif",), "BMP": ("bmp",),
    "TIFF": ("tif", "tiff"), "AVIF": ("avif",), "PPM": ("ppm", "pgm", "pbm", "pnm"),
}  # fmt: skip
TYPES = {
    "jpeg": "JPEG", "jpg": "JPEG", "pjpeg": "JPEG", "png": "PNG", "x-png": "PNG", "apng": "PNG", "webp": "WEBP",
    "gif": "GIF", "bmp": "BMP", "x-bmp": "BMP", "x-ms-bmp": "BMP", "tiff": "TIFF", "avif": "AVIF",
    "x-portable-pixmap": "PPM", "x-portable-graymap": "PPM", "x-portable-bitmap": "PPM", "x-portable-anymap": "PPM",
}  # fmt: skip
BY_ENDING = {ending: name for name, endings in ENDINGS.items() for ending in endings}
NAME = 16  # hexadecimal digits of a hash that name a file: 64 bits
THUMB = 160  # pixels of a thumbnail's longer side
SECONDS = 30.0  # that a picture may take to decode
SCREEN = (b"sRGB", b"s\0R\0G\0B")  # how profiles name the colours of screens


@dataclass(frozen=True)
class Settings:
    """What is kept: at most `side` pixels on the longer side (0: as it is), at least `least` on the shorter.

    `largest` is in bytes of the file, `pixels` the most that are decoded (Pillow's own limit).
    """

    side: int = 512
    least: int = 64
    largest: int = 20 * 2**20
    pixels: int = 89_478_485
    quality: int = 90


@dataclass(frozen=True)
class Looked:
    """What became of a picture: kept under the name of its bytes' hash, or the reason why not."""

    reason: str = ""  # "" : it is kept
    detail: str = ""
    sha256: str = ""  # of the bytes that came
    kept: str = ""  # of the file that was written
    phash: str = ""  # 64 bits, hexadecimal
    mirrored: str = ""  # that of the mirrored picture
    width: int = 0  # of what is written
    height: int = 0


class Unfit(Exception):
    """A picture that is not wanted: (reason, detail)."""


def claimed(name: str, content_type: str = "") -> str:
    """The format that a file says it has: by its Content-Type or, where that says nothing, by its name's ending; or "".

    A server's Content-Type is its word; the ending of an address is only a name, and often a script's.
    """
    major, _, minor = content_type.partition(";")[0].strip().lower().partition("/")
    if major == "image":
        return TYPES.get(minor, minor)
    return BY_ENDING.get(PurePosixPath(name).suffix[1:].lower(), "")


def examine(file: str, claim: str, settings: Settings, folder: str) -> Looked:
    """Decode a file and keep it as `images/HASH.jpg` and `thumbs/HASH.jpg` in the folder, or say why not.

    Args:
        claim: the format it says it has (`claimed`); "" for none.
    """
    try:
        size = os.path.getsize(file)
        if size > settings.largest:
            return Looked("too large", f"{size:,} bytes")
        data = Path(file).read_bytes()
    except OSError as error:
        return Looked("unreadable", error.strerror or str(error))
    sha = hashlib.sha256(data).hexdigest()
    try:
        with _at_most(SECONDS):
            picture = decoded(data, claim, settings)
            width, height = picture.size
            whole = _jpeg(picture, settings.quality)
            hashes = perceptual(picture)
            picture.thumbnail((THUMB, THUMB))
            small = _jpeg(picture, 75)
    except Unfit as error:
        return Looked(*error.args, sha256=sha)
    for kind, content in (("thumbs", small), ("images", whole)):
        write(Path(folder) / kind / f"{sha[:NAME]}.jpg", content)
    return Looked("", "", sha, hashlib.sha256(whole).hexdigest(), *hashes, width, height)


def decoded(data: bytes, claim: str, settings: Settings) -> Image.Image:
    """The picture as upright RGB in sRGB, no longer than wanted, carrying no metadata.

    Raises:
        Unfit: it is corrupt, tiny, animated, mislabelled, or too large.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=list(ENDINGS)) as image:
                return _checked(image, claim, settings)
    except Unfit:
        raise
    except Image.UnidentifiedImageError:
        raise Unfit("corrupt", _looks_like(data)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unfit("too large", one_line(error)) from None
    except TimeoutError:
        raise Unfit("too large", f"not decoded within {SECONDS:.0f} s") from None
    except MemoryError:
        raise Unfit("too large", "not enough memory to decode it") from None
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise Unfit("corrupt", one_line(error)) from None


def _checked(image: Image.Image, claim: str, settings: Settings) -> Image.Image:
    from PIL import ImageOps

    found = (
        "JPEG" if image.format == "MPO" else str(image.format)
    )  # what phones write: a JPEG with a smaller one inside
    width, height = image.size
    if claim and claim != found:
        raise Unfit("mislabelled", f"{found} that says it is {claim}")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise Unfit("animated", f"{getattr(image, 'n_frames', 2)} frames")
    if min(width, height) < settings.least:
        raise Unfit("tiny", f"{width} × {height} pixels")
    if width * height > settings.pixels:
        raise Unfit("too large", f"{width} × {height} pixels")
    if image.mode.startswith(("I", "F")):
        raise Unfit("corrupt", f"{image.mode}: more than 8 bits per channel")
    if image.mode in ("1", "P", "PA", "LA", "La", "RGBa"):  # palettes cannot be scaled smoothly
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if settings.side:  # decodes a JPEG at a fraction of its size where that is enough (draft mode)
        image.thumbnail((settings.side, settings.side), reducing_gap=2.0)
    image.load()
    with suppress(Exception):  # damaged EXIF says nothing
        ImageOps.exif_transpose(image, in_place=True)
    image = _srgb(image)
    image.info = {}
    return image


def _srgb(image: Image.Image) -> Image.Image:
    """In the colours of screens; transparency over white. A profile that is stripped must have been applied."""
    from PIL import Image, ImageCms

    profile = image.info.get("icc_profile") or b""
    if image.mode in ("RGB", "CMYK", "L") and profile and not any(word in profile for word in SCREEN):
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError, struct.error):
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            turned = ImageCms.profileToProfile(image, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if turned is not None:
                return turned
    if image.mode == "RGBA":
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def perceptual(picture: Image.Image) -> tuple[str, str]:
    """The perceptual hash (64 bits: low frequencies of a cosine transform) of a picture and of its mirror image."""
    import imagehash
    from PIL import Image, ImageOps

    small = picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return str(imagehash.phash(small)), str(imagehash.phash(ImageOps.mirror(small)))


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _looks_like(data: bytes) -> str:
    if not data:
        return "empty"
    begins = data[:64].lstrip().lower()
    return "a web page" if begins.startswith((b"<!doc", b"<html", b"<?xml", b"<svg")) else "no picture of a known kind"


def one_line(error: BaseException) -> str:
    """What an error says, on one line that is not too long."""
    return " ".join(str(error).split())[:160] or type(error).__name__


@contextmanager
def _at_most(seconds: float):
    """Raise TimeoutError in here after so long, where the system has such a clock and this is the main thread."""
    try:
        before = signal.signal(signal.SIGALRM, _late)
    except (AttributeError, ValueError):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _late(*_: object) -> None:
    raise TimeoutError
