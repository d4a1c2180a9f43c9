"""The network that ships: a ninth of the arithmetic of the assignment's.

Like the paper's own (App. B) it is built of residual blocks that normalise before they convolve.
The time and label embedding scales and shifts every block, which Dhariwal and Nichol 2021 call
adaptive group normalization.
Its first step folds each 2x2 pixels into four channels, so the largest image it works on is 16x16.
A shortcut leads from x_t to the output: at large t the noise is nearly x_t itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_tutor.science.checks import IMAGE_SHAPE
from ddpm_tutor.science.diffusion import per_image
from ddpm_tutor.science.noise_predictor import NoisePredictor, time_encoding
from ddpm_tutor.science.schedule import linear_schedule

GROUPS = 8  # of channels that are normalised together
ENCODING_CHANNELS = 128


def start_at_zero(layer: nn.Conv2d) -> None:
    """A layer that gives zeros until it is trained."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """x + conv(conv(x)); the embedding scales and shifts what lies between the convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.norm_1 = nn.GroupNorm(GROUPS, in_channels)
        self.conv_1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm_2 = nn.GroupNorm(GROUPS, out_channels)
        self.conv_2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        start_at_zero(self.conv_2)  # the block starts as its skip alone
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        scale, shift = modulation[:, :, None, None].chunk(2, dim=1)  # (B, out, 1, 1) each
        h: Tensor = self.conv_1(F.silu(self.norm_1(x)))
        h = self.norm_2(h) * (1 + scale) + shift
        h = self.skip(x) + self.conv_2(F.silu(h))  # (B, out, H, W)
        return h


class Attention(nn.Module):
    """Self-attention over the pixels of a small feature map."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        start_at_zero(self.out)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.to_qkv(self.norm(x)).view(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(3, 4).unbind(1)  # (B, heads, H * W, C / heads)
        seen = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(seen.transpose(2, 3).reshape(b, c, h, w))
        return x


def through(blocks: nn.ModuleList, x: Tensor, modulations: tuple[Tensor, ...]) -> Tensor:
    """Feature maps after blocks in turn, each with a modulation of its own."""
    for block, modulation in zip(blocks, modulations, strict=True):
        x = block(x, modulation)
    return x


class LeanUNet(NoisePredictor):
    """The network that ships; 8x8 has 1.5 times and 4x4 twice the channels of 16x16, `width`.

    Its layers give v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans and Ho 2022), from
    which the noise follows by Eq. 4: eps = sqrt(alpha_bar) v + sqrt(1 - alpha_bar) x_t. So their
    errors fade with t, and at t = T, where the noise is x_t, there is next to nothing to learn.
    alpha_bar is that of the paper's schedule, t = 1..1000.

    Raises:
        ValueError: `width` is not a positive multiple of 32.
    """

    image_shape: tuple[int, ...] | None = IMAGE_SHAPE
    coef_v: Tensor  # (T + 1,) of v in the predicted noise, by t
    coef_x_t: Tensor  # (T + 1,) of x_t

    def __init__(self, width: int = 64, num_classes: int | None = None) -> None:
        super().__init__(width, num_classes)
        if type(width) is not int or width < 32 or width % 32:
            raise ValueError(
                f"width must be a positive multiple of 32 for the lean network, not {width!r}"
            )
        w_16, w_8, w_4 = width, width * 3 // 2, width * 2
        embedding = 4 * width
        self.stem = nn.Conv2d(4, w_16, 3, padding=1)
        self.down_16 = nn.ModuleList([ResidualBlock(w_16, w_16), ResidualBlock(w_16, w_16)])
        self.down_8 = nn.ModuleList([ResidualBlock(w_16, w_8), ResidualBlock(w_8, w_8)])
        self.attention_8 = Attention(w_8)
        self.middle_4 = nn.ModuleList(
            [ResidualBlock(w_8, w_4), ResidualBlock(w_4, w_4), ResidualBlock(w_4, w_4)]
        )
        self.attention_4 = Attention(w_4)
        self.up_8 = nn.ModuleList([ResidualBlock(w_4 + w_8, w_8), ResidualBlock(w_8, w_8)])
        self.attention_8_up = Attention(w_8)
        self.up_16 = nn.ModuleList([ResidualBlock(w_8 + w_16, w_16), ResidualBlock(w_16, w_16)])
        self.norm = nn.GroupNorm(GROUPS, w_16)
        self.out = nn.Conv2d(w_16, 4, 3, padding=1)
        start_at_zero(self.out)

        self.time_embedding = nn.Sequential(
            nn.Linear(ENCODING_CHANNELS, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        if num_classes is not None:
            self.label_embedding = nn.Embedding(num_classes + 1, embedding)
        self.made_for = alpha_bar = linear_schedule().alpha_bar
        self.register_buffer("coef_v", alpha_bar.sqrt().float(), persistent=False)
        self.register_buffer("coef_x_t", (1 - alpha_bar).sqrt().float(), persistent=False)
        # one matrix product gives the scales and shifts of all blocks
        blocks = [m for m in self.modules() if isinstance(m, ResidualBlock)]
        self.modulation_sizes = [2 * block.out_channels for block in blocks]
        self.to_modulation = nn.Linear(embedding, sum(self.modulation_sizes))

    def modulations(self, t: Tensor, label: Tensor | None) -> tuple[Tensor, ...]:
        """Scales and shifts of each block in turn, (B, 2 * channels) each."""
        embedding = self.time_embedding(time_encoding(t, ENCODING_CHANNELS))
        if self.num_classes is not None:
            embedding = embedding + self.label_embedding(self.label_or_null(label, t))
        modulation = self.to_modulation(F.silu(embedding))
        parts: tuple[Tensor, ...] = modulation.split(self.modulation_sizes, dim=1)
        return parts

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        self.check(x_t, t, label)
        return self.predict(x_t, t, self.modulations(t, label))

    def predict(self, x_t: Tensor, t: Tensor, modulations: tuple[Tensor, ...]) -> Tensor:
        """The predicted noise, from x_t and what `modulations` made of t and the label."""
        return self.noise(self.layers(x_t, modulations), x_t, t)

    def noise(self, results: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The predicted noise, from what `layers` gives."""
        v = results[:, :1]
        return per_image(self.coef_v[t], x_t) * v + per_image(self.coef_x_t[t], x_t) * x_t

    def seen(self, x_t: Tensor) -> Tensor:
        """How the first layer sees x_t: each 2x2 pixels as channels, (B, 4, 16, 16)."""
        return F.pixel_unshuffle(x_t, 2)

    def layers(self, x_t: Tensor, modulations: tuple[Tensor, ...]) -> Tensor:
        """What the U gives back, the v that the noise follows from, (B, 1, 32, 32)."""
        down_16, down_8, middle_4 = modulations[:2], modulations[2:4], modulations[4:7]
        up_8, up_16 = modulations[7:9], modulations[9:]
        x_16 = self.stem(self.seen(x_t))  # (B, w, 16, 16)
        x_16 = through(self.down_16, x_16, down_16)  # (B, w, 16, 16)
        x_8 = through(self.down_8, F.avg_pool2d(x_16, 2), down_8)  # (B, 1.5w, 8, 8)
        x_8 = self.attention_8(x_8)
        x = through(self.middle_4, F.avg_pool2d(x_8, 2), middle_4)  # (B, 2w, 4, 4)
        x = self.attention_4(x)
        x = torch.cat([F.interpolate(x, scale_factor=2.0), x_8], dim=1)  # (B, 3.5w, 8, 8)
        x = self.attention_8_up(through(self.up_8, x, up_8))  # (B, 1.5w, 8, 8)
        x = torch.cat([F.interpolate(x, scale_factor=2.0), x_16], dim=1)  # (B, 2.5w, 16, 16)
        x = through(self.up_16, x, up_16)  # (B, w, 16, 16)
        return F.pixel_shuffle(self.out(F.silu(self.norm(x))), 2)  # (B, 1, 32, 32)
