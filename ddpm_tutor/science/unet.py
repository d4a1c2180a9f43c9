"""The assignment's U-Net: 12.9 million parameters at width 64.

The network that the lessons take apart. Everything happens at four sizes, 32, 16, 8 and 4 pixels a
side; skip connections carry each size from the way down to the way up.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_tutor.science.checks import IMAGE_SHAPE
from ddpm_tutor.science.noise_predictor import NoisePredictor, time_encoding


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each normalised; the residual form adds its input."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int | None = None,
        residual: bool = False,
    ) -> None:
        super().__init__()
        mid_channels = mid_channels or out_channels
        self.residual = residual
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, 3, padding=1, bias=False),
            nn.GroupNorm(1, mid_channels),
            nn.GELU(),
            nn.Conv2d(mid_channels, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(1, out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.layers(x)) if self.residual else self.layers(x)


class Down(nn.Module):
    """Halves the side of the image."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.MaxPool2d(2),
            DoubleConv(in_channels, in_channels, residual=True),
            DoubleConv(in_channels, out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x)  # (B, out, H / 2, W / 2)
        return x


class Up(nn.Module):
    """Doubles the side of the image and takes in the skip from the way down."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.layers = nn.Sequential(
            DoubleConv(in_channels, in_channels, residual=True),
            DoubleConv(in_channels, out_channels, mid_channels=in_channels // 2),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = torch.cat([skip, self.upsample(x)], dim=1)  # (B, in, 2H, 2W)
        x = self.layers(x)  # (B, out, 2H, 2W)
        return x


class SelfAttention(nn.Module):
    """Lets every pixel look at every other one, then thinks about what it saw."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, num_heads=4, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, channels),
            nn.GELU(),
            nn.Linear(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        pixels: Tensor = x.flatten(2).transpose(1, 2)  # (B, H * W, C)
        normed = self.norm(pixels)
        pixels = pixels + self.attention(normed, normed, normed, need_weights=False)[0]
        pixels = pixels + self.feed_forward(pixels)
        return pixels.transpose(1, 2).reshape(x.shape)  # (B, C, H, W)


def informed(x: Tensor, encoding: Tensor) -> Tensor:
    """Feature maps (B, C, H, W) plus an encoding (B, C), the same for every pixel."""
    return x + encoding[:, :, None, None].to(x.dtype)


class UNet(NoisePredictor):
    """The assignment's network; `width` is a multiple of 4, the assignment's is 64.

    Raises:
        ValueError: `width` is not a positive multiple of 4.
    """

    training_memory_format = torch.channels_last
    image_shape = IMAGE_SHAPE

    def __init__(self, width: int = 64, num_classes: int | None = None) -> None:
        super().__init__(width, num_classes)
        if type(width) is not int or width < 4 or width % 4:
            raise ValueError(f"width must be a positive multiple of 4, not {width!r}")
        w = width
        self.stem = DoubleConv(1, w)
        self.down_1 = Down(w, 2 * w)
        self.down_2 = Down(2 * w, 4 * w)
        self.down_3 = Down(4 * w, 4 * w)
        self.attention_8 = SelfAttention(4 * w)
        self.attention_4 = SelfAttention(4 * w)
        self.up_1 = Up(8 * w, 2 * w)
        self.up_2 = Up(4 * w, w)
        self.up_3 = Up(2 * w, w)
        self.attention_8_up = SelfAttention(2 * w)
        self.out = nn.Conv2d(w, 1, 1)
        self.informed_channels = (2 * w, 4 * w, 4 * w, 2 * w, w, w)  # after each down and up
        # the assignment's Embedding(10, 256), with one row more for "no label"
        if num_classes is not None:
            self.label_embedding = nn.Embedding(num_classes + 1, 4 * w)

    def encoding(self, t: Tensor, label: Tensor | None, channels: int) -> Tensor:
        """The sum of the encodings of t and the label for so many channels, (B, channels)."""
        encoding = time_encoding(t, channels)
        if self.num_classes is not None:
            encoding = encoding + self.label_embedding(self.label_or_null(label, t))[:, :channels]
        return encoding

    def modulations(self, t: Tensor, label: Tensor | None) -> tuple[Tensor, ...]:
        """What is added to the feature maps after each down and up, (B, channels) each."""
        return tuple(self.encoding(t, label, channels) for channels in self.informed_channels)

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        self.check(x_t, t, label)
        return self.predict(x_t, t, self.modulations(t, label))

    def predict(self, x_t: Tensor, t: Tensor, modulations: tuple[Tensor, ...]) -> Tensor:
        """The predicted noise, from x_t and what `modulations` made of t and the label."""
        down_1, down_2, down_3, up_1, up_2, up_3 = modulations
        x_32 = self.stem(x_t)  # (B, w, 32, 32)
        x_16 = informed(self.down_1(x_32), down_1)  # (B, 2w, 16, 16)
        x_8 = self.attention_8(informed(self.down_2(x_16), down_2))  # (B, 4w, 8, 8)
        x = self.attention_4(informed(self.down_3(x_8), down_3))  # (B, 4w, 4, 4)
        x = self.attention_8_up(informed(self.up_1(x, x_8), up_1))  # (B, 2w, 8, 8)
        x = informed(self.up_2(x, x_16), up_2)  # (B, w, 16, 16)
        x = informed(self.up_3(x, x_32), up_3)  # (B, w, 32, 32)
        eps: Tensor = self.out(x)  # (B, 1, 32, 32)
        return eps
