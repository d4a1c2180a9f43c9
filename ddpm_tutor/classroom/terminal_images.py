"""Images as characters: half-blocks in shades of grey, or letters where there is no colour."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from rich.console import Console, Group, RenderableType
from rich.text import Text
from torch import Tensor

from ddpm_tutor.science.data import to_uint8

SHADES = " .:-=+*#%@"  # from dark to bright


def as_uint8(images: Tensor) -> Tensor:
    """Images as (N, H, W) uint8: floats are taken to be in [-1, 1]."""
    images = images.detach().cpu()
    images = images if images.dtype == torch.uint8 else to_uint8(images)
    return images.reshape(-1, *images.shape[-2:])


def is_image(value: Tensor) -> bool:
    """Whether a tensor has the shape of an image or a batch of images, at least 8x8."""
    square = value.ndim >= 2 and value.shape[-1] == value.shape[-2] and value.shape[-1] >= 8
    kind = value.dtype == torch.uint8 or value.is_floating_point()
    return square and kind and (value.ndim == 2 or (value.ndim <= 4 and value.shape[-3] == 1))


def _lines(image: Tensor, color: bool) -> list[Text]:
    """One image, (H, W) uint8, as lines of W characters, two rows of pixels each."""
    if len(image) % 2:
        image = F.pad(image, (0, 0, 0, 1))
    upper, lower = image[0::2].tolist(), image[1::2].tolist()
    lines = []
    for row_above, row_below in zip(upper, lower, strict=True):
        line = Text(no_wrap=True)
        for a, b in zip(row_above, row_below, strict=True):
            if color:
                line.append("▀", f"rgb({a},{a},{a}) on rgb({b},{b},{b})")
            else:
                line.append(SHADES[(a + b) // 2 * len(SHADES) // 256])
        lines.append(line)
    return lines


def thumbnail(images: Tensor) -> Tensor:
    """Half-size images: the border of 2 that padding added is cut, then 2x2 pixels are averaged."""
    inner = images[:, 2:-2, 2:-2] if images.shape[-1] == 32 else images
    return F.avg_pool2d(inner[:, None].float(), 2)[:, 0].round().to(torch.uint8)


def render_images(
    images: Tensor, console: Console, captions: Sequence[str] | None = None
) -> RenderableType:
    """Images side by side, as many in a line as fit; half-size where one line does not hold all.

    Args:
        images: (N, 1, H, W) or (N, H, W); floats in [-1, 1] or uint8.
        captions: a short text under each.
    """
    pixels = as_uint8(images)
    color = console.color_system is not None and not console.no_color
    if len(pixels) * (pixels.shape[-1] + 1) - 1 > console.width and pixels.shape[-1] >= 28:
        pixels = thumbnail(pixels)
    width = pixels.shape[-1]
    columns = max(1, (console.width + 1) // (width + 1))
    columns = -(-len(pixels) // max(1, -(-len(pixels) // columns)))  # rows of like length
    rows: list[RenderableType] = []
    for start in range(0, len(pixels), columns):
        part = [_lines(image, color) for image in pixels[start : start + columns]]
        rows += [Text(" ").join(line) for line in zip(*part, strict=True)]
        if captions:
            names = [name[:width].center(width) for name in captions[start : start + columns]]
            rows.append(Text(" ".join(names), style="dim"))
        if start + columns < len(pixels):
            rows.append(Text(""))
    return Group(*rows)
