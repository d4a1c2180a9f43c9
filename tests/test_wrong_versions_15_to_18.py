"""Wrong versions of exercises 15 to 18, as learners write them: is each told what is wrong with it?

As in test_wrong_versions_8_to_14.py, each stands with the known mistake that it is taken for, or
with words of its verdict; "" is where nothing is named yet.
"""

import math

import pytest
import torch
from test_wrong_versions_8_to_14 import told

from ddpm_tutor.course.exercise import find_exercise

# what wrong versions begin with
OF_15 = """
    r, d = variance_1 / variance_2, mean_1 - mean_2
"""
OF_16 = """
    mu_tilde, beta_tilde = q_posterior(schedule, x_t, x_0, t)
    mu = p_mean(schedule, x_t, t, eps_theta)
    r = beta_tilde / variance
    c = 0.5 * (r - 1 - r.log())
"""
OF_17 = """
    n = torch.distributions.Normal(mean, variance.sqrt())
    high, low = n.cdf(x_0 + 1 / 255), n.cdf(x_0 - 1 / 255)
    high = torch.where(x_0 > 0.999, torch.ones_like(high), high)
    low = torch.where(x_0 < -0.999, torch.zeros_like(low), low)
"""
LOGS_17 = """
    sigma = variance.sqrt()
    low = torch.where(x_0 > -0.999, (x_0 - 1 / 255 - mean) / sigma, -math.inf)
    high = torch.where(x_0 < 0.999, (x_0 + 1 / 255 - mean) / sigma, math.inf)
    low, high = torch.where(low > 0, -high, low), torch.where(low > 0, -low, high)
    a, b = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
"""
OF_18 = """
    nats = terms.sum(dim=(0, 2, 3, 4))
"""


def of_erf(cdf: str, lowest: str = "0") -> str:
    """A decoder with a cumulative probability of one's own, of which `lowest` is that of -∞."""
    return f"""
    cdf = lambda z: {cdf}
    low = cdf((x_0 - 1 / 255 - mean) / variance.sqrt()).where(x_0 > -0.999, {lowest})
    high = cdf((x_0 + 1 / 255 - mean) / variance.sqrt()).where(x_0 < 0.999, 1)
    return -(high - low).log2()
"""


WRONG = [
    (15, "σ² for σ in torch.distributions", """
    from torch.distributions import Normal, kl_divergence
    return kl_divergence(Normal(mean_1, variance_1), Normal(mean_2, variance_2))
    """, "variance_for_sigma"),
    (15, "-1 for -½ in the books' form",
     OF_15 + "    return -0.5 * r.log() + (variance_1 + d**2) / (2 * variance_2) - 1",
     "You add -1 to every pixel where -0.5 belongs"),
    (15, "brackets", OF_15 + "    return 0.5 * r - 1 - r.log() + 0.5 * d**2 / variance_2",
     "you multiply log(σ_1² / σ_2²) by -1 where -0.5 belongs"),
    (15, "+ 1", OF_15 + "    return 0.5 * (r + 1 - r.log() + d**2 / variance_2)", "You add 0.5"),
    (15, "log of σ", OF_15 + "    return 0.5 * (r - 1 - r.sqrt().log() + d**2 / variance_2)",
     "by -0.25 where -0.5 belongs"),
    (15, "|d|", OF_15 + "    return 0.5 * (r - 1 - r.log() + d.abs() / variance_2)",
     "Look at (μ_1 - μ_2)²"),
    (15, "d² / σ", OF_15 + "    return 0.5 * (r - 1 - r.log() + d**2 / variance_2.sqrt())",
     "Look at (μ_1 - μ_2)²"),
    (15, "both variances below",
     OF_15 + "    return 0.5 * (r - 1 - r.log() + d**2 / (variance_1 + variance_2))",
     "Look at (μ_1 - μ_2)²"),
    (15, "log1p", OF_15 + "    return 0.5 * (r - 1 - r.log1p() + d**2 / variance_2)",
     "Look at the ratio"),
    (15, "a quotient of logarithms",
     OF_15 + "    log = variance_1.log() / variance_2.log()\n"
     "    return 0.5 * (r - 1 - log + d**2 / variance_2)", "Look at the ratio"),
    (15, "of a VAE", "    return -0.5 * (1 + variance_1.log() - mean_1**2 - variance_1)",
     "second_is_standard"),
    (15, "from a draw", """
    x = mean_1 + variance_1.sqrt() * mean_1.new_empty(mean_1.shape).normal_()
    return 0.5 * ((x - mean_2) ** 2 / variance_2 - (x - mean_1) ** 2 / variance_1)
    """, "draws random numbers"),
    (15, "kept above 0", OF_15 + "    return (0.5 * (r - 1 + r.log() + d**2 / variance_2)).relu()",
     "KL is no sum of"),
    (16, "exchanged in kl_gaussians", "    from ddpm_tutor import kl_gaussians\n" + OF_16
     + "    return kl_gaussians(mu, variance, mu_tilde, beta_tilde)", "reversed"),
    (16, "x_0 for the noise", OF_16.replace("eps_theta)", "x_0)")
     + "    return (mu_tilde - mu) ** 2 / (2 * variance) + c",
     "it is x_0 that you give it as eps_theta"),
    (16, "the noise first", OF_16.replace("x_t, t, eps_theta", "eps_theta, t, x_t")
     + "    return (mu_tilde - mu) ** 2 / (2 * variance) + c",
     "it is eps_theta that you give it as x_t"),
    (16, "t - 1 in the posterior", OF_16.replace("x_0, t)", "x_0, t - 1)")
     + "    return (mu_tilde - mu) ** 2 / (2 * variance) + c", "it is t - 1 that you give it as t"),
    (16, "made from the guess", "    from ddpm_tutor import predict_x_0\n"
     "    x_0 = predict_x_0(schedule, x_t, t, eps_theta)\n" + OF_16
     + "    return (mu_tilde - mu) ** 2 / (2 * variance) + c", "c_alone"),
    (16, "no -1 in C", OF_16 + "    c = 0.5 * (r - r.log())\n"
     "    return (mu_tilde - mu) ** 2 / (2 * variance) + c", "you add 0.5"),
    (16, "a root in C", OF_16 + "    r = r.sqrt()\n"
     "    return (mu_tilde - mu) ** 2 / (2 * variance) + 0.5 * (r - 1 - r.log())",
     "where 0.1124 (= C) belongs"),
    (16, "times 2 σ²", OF_16 + "    return (mu_tilde - mu) ** 2 * 2 * variance + c",
     "you multiply (μ̃_t - μ_θ)² by"),
    (16, "neither brackets nor C", OF_16 + "    return (mu_tilde - mu) ** 2 / 2 * variance",
     "you add 0 to every pixel"),
    (16, "not squared, of |d|", OF_16 + "    return (mu_tilde - mu).abs() / (2 * variance) + c",
     "L_{t-1} is no sum of"),
    (16, "x_t for the mean", OF_16 + "    return (mu_tilde - x_t) ** 2 / (2 * variance) + c",
     "L_{t-1}"),
    (16, "the pair is not taken apart", """
    mu_tilde = q_posterior(schedule, x_t, x_0, t)
    return (mu_tilde - p_mean(schedule, x_t, t, eps_theta)) ** 2 / (2 * variance)
    """, "'tuple' and 'Tensor'"),
    (16, "the mean over a picture",
     OF_16 + "    return ((mu_tilde - mu) ** 2 / (2 * variance) + c).mean(dim=(1, 2, 3))",
     "shape"),
    (17, "a plain difference", OF_17 + "    return -(high - low).log2()", "underflow"),
    (17, "the same in float64",
     "    dtype, x_0, mean, variance = mean.dtype, x_0.double(), mean.double(), variance.double()"
     + OF_17 + "    return -(high - low).log2().to(dtype)", "underflow"),
    (17, "at least 1e-12", OF_17 + "    return -(high - low).clamp(min=1e-12).log2()", "at_least"),
    (17, "at least 1e-10", OF_17 + "    return -(high - low).clamp(min=1e-10).log2()",
     "no pixel can cost over 33.2 bits"),
    (17, "1e-8 added", OF_17 + "    return -(high - low + 1e-8).log2()", "over 26.6 bits"),
    (17, "at least 1e-12, in nats", OF_17 + "    return -(high - low).clamp(min=1e-12).log()",
     "nats"),
    (17, "in nats, by log_ndtr", LOGS_17 + "    return -(a + torch.log1p(-torch.exp(b - a)))",
     "nats"),
    (17, "2/255 and no logarithms",
     OF_17.replace("1 / 255", "1 / 127.5") + "    return -(high - low).log2()", "twice_as_wide"),
    (17, "1/128", OF_17.replace("1 / 255", "1 / 128") + "    return -(high - low).log2()",
     "The bins reach 1/128"),
    (17, "½ / 256 and nats",
     OF_17.replace("1 / 255", "0.5 / 256") + "    return -(high - low).log()",
     "1/255 belongs; and it is in nats"),
    (17, "closed ends by log_ndtr",
     LOGS_17.replace("x_0 > -0.999", "x_0 > -9").replace("x_0 < 0.999", "x_0 < 9")
     + "    return -(a + torch.log1p(-torch.exp(b - a))) / math.log(2)", "closed_ends"),
    (17, "closed ends and nats", OF_17.replace("0.999", "9") + "    return -(high - low).log()",
     "bins of -1 and 1 are closed, and they are open; and it is in nats"),
    (17, "ends by x_0 == 0", OF_17.replace("x_0 > 0.999", "x_0 == 255")
     .replace("x_0 < -0.999", "x_0 == 0") + "    return -(high - low).log2()", "closed_ends"),
    (17, "σ² for σ", OF_17.replace(".sqrt()", "") + "    return -(high - low).log2()",
     "variance_for_sigma"),
    (17, "the density", OF_17 + "    return -n.log_prob(x_0) / math.log(2)", "density"),
    (17, "the density in nats", OF_17 + "    return -n.log_prob(x_0)",
     "the density at x_0, and not of the probability of a bin; and it is in nats"),
    (17, "the density, half a bin", OF_17 + "    return -(n.log_prob(x_0).exp() / 255).log2()",
     "the density at x_0"),
    (17, "the quotient of both Φ", """
    z = [(x_0 + s / 255 - mean) / variance.sqrt() for s in (-1, 1)]
    low, high = z[0].where(x_0 > -0.999, -math.inf), z[1].where(x_0 < 0.999, math.inf)
    return -(torch.special.log_ndtr(high) - torch.special.log_ndtr(low)) / math.log(2)
    """, "difference_of_logs"),
    (17, "exp(a - b)", LOGS_17 + "    return -(a + torch.log1p(-torch.exp(a - b))) / math.log(2)",
     "upside_down"),
    (17, "a sign", LOGS_17 + "    return -(a - torch.log1p(-torch.exp(b - a))) / math.log(2)", ""),
    (17, "no root of 2", of_erf("0.5 * (1 + torch.erf(z))"), "with σ / √2"),
    (17, "twice Φ", of_erf("torch.erf(z / 2**0.5)", "-1"), "The probability is 2 times"),
    (17, "a logistic curve", of_erf("1 / (1 + (-z).exp())"), "logistic"),
    (17, "by tanh, at least 1e-12", of_erf(
        "0.5 * (1 + (math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)).tanh())"
     ).replace("(high - low)", "(high - low).clamp(min=1e-12)"), "approximate"),
    (17, "in 0..1, but σ", "    x_0, mean = (x_0 + 1) / 2, (mean + 1) / 2"
     + OF_17.replace("1 / 255", "1 / 510").replace("x_0 < -0.999", "x_0 <= 0")
     .replace("x_0 > 0.999", "x_0 >= 1") + "    return -(high - low).log2()", "twice the σ"),
    (17, "/784", OF_17 + "    return -(high - low).log2() / 784", "0.001276 times"),
    (17, "opened by the mean", OF_17.replace("x_0 > 0", "mean > 0").replace("x_0 < -", "mean < -")
     + "    return -(high - low).log2()", ""),
    (18, "divided by T", OF_18 + "    return nats / math.log(2) / 784 / (len(terms) - 1)",
     "divided by T, where"),
    (18, "T times the mean",
     "    nats = (len(terms) - 1) * terms.mean(0).sum(dim=(1, 2, 3))\n"
     "    return nats / math.log(2) / 784", "T times the mean"),
    (18, "the mean of the pixels", "    return terms.sum(0).mean(dim=(1, 2, 3)) / math.log(2)",
     "padded"),
    (18, "the mean of all that is a picture's",
     "    return terms.mean(dim=(0, 2, 3, 4)) / math.log(2)",
     "1,024 pixels, where 784 belong; and the T + 1 terms are averaged"),
    (18, "no L_0, and nats", "    return terms[1:].sum(dim=(0, 2, 3, 4)) / 784",
     "L_0 is missing; and it is in nats"),
    (18, "no L_T, and 1,024",
     "    return terms[:-1].sum(dim=(0, 2, 3, 4)) / math.log(2) / 1024",
     "L_T is missing; and it is divided by 1,024 pixels"),
    (18, "the border cut, and 1,024",
     "    return terms[..., 2:-2, 2:-2].sum(dim=(0, 2, 3, 4)) / math.log(2) / 1024",
     "What is spent on the border is missing; and it is divided by 1,024"),
    (18, "the mean of the terms between",
     "    nats = terms[0] + terms[1:-1].mean(0) + terms[-1]\n"
     "    return nats.sum(dim=(1, 2, 3)) / math.log(2) / 784",
     "You multiply L_1 + ... + L_{T-1} by 0.000368"),
    (18, "each term times its index",
     "    nats = sum(i * terms[i] for i in range(len(terms)))\n"
     "    return nats.sum(dim=(1, 2, 3)) / math.log(2) / 784", "no sum of the terms"),
    (18, "logarithms of the terms", "    return terms.log2().sum(dim=(0, 2, 3, 4)) / 784",
     "no sum of the terms"),
    (18, "taken from 8", OF_18 + "    return 8 - nats / math.log(2) / 784", "8 is added"),
    (18, "times 784", OF_18 + "    return nats / math.log(2) * 784", "6.147e+05 times"),
    (18, "log 10", OF_18 + "    return nats / math.log(10) / 784", "0.301 times what is right"),
    (18, "one number", "    return terms.mean()", "shape"),
    (18, "a float", "    return float(terms.sum() / 784)", "must stay a tensor"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "body", "named"),
    [(number, body, named) for number, _, body, named in WRONG],
    ids=[f"{number}: {what}" for number, what, *_ in WRONG],
)
def test_what_is_wrong_is_named(number: int, body: str, named: str) -> None:
    verdict = told(number, body)
    assert not verdict.passed
    assert verdict.mistake == named or (named and named in verdict.says), verdict


def test_most_wrong_versions_are_named() -> None:
    named = [bool(named) for *_, named in WRONG]
    assert len(named) >= 60 and sum(named) >= 5 / 6 * len(named)


def test_the_package_does_not_do_the_work() -> None:
    for number, body in (
        (15, "from ddpm_tutor import kl_gaussians as kl\n"
             "return kl(mean_1, variance_1, mean_2, variance_2)"),
        (16, "from ddpm_tutor import distance_of_means, variance_nats\n"
             "d = distance_of_means(schedule, x_0, x_t, t, eps_theta, variance)\n"
             "return d + variance_nats(schedule, t, variance)"),
        (17, "from ddpm_tutor import log_decoder\n"
             "return -log_decoder(x_0, mean, variance) / math.log(2)"),
        (18, "from ddpm_tutor import bits_per_dim as of_nats\n"
             "return of_nats(terms.sum(dim=(0, 2, 3, 4)))"),
    ):  # fmt: skip
        assert "does the work here" in told(number, body).says


def test_what_is_said_of_the_decoder_is_so() -> None:
    """The numbers in the words of exercise 17, from its own solution."""
    exercise = find_exercise("17")
    bits = exercise.load(exercise.solution)
    values = (torch.arange(256, dtype=torch.float64) / 127.5 - 1).view(1, 1, 16, 16)
    sigma = torch.full((1, 1, 1, 1), 0.0074, dtype=torch.float64)
    for mean in (-1.1, -1.0, 0.3, 1.0):
        p = 2 ** -bits(values, torch.full_like(values, mean), sigma**2)
        assert math.isclose(p.sum().item(), 1, rel_tol=1e-9)
    black = torch.full((1, 1, 1, 1), -1.0, dtype=torch.float64)
    at_black, pushed = (bits(black, black - s * sigma, sigma**2).item() for s in (0, 3))
    assert 0.29 < 1 - 2**-at_black < 0.36 and pushed < 0.01
    grey = torch.full_like(black, 1 / 255)
    assert 1750 < bits(grey, grey + 50 * sigma, sigma**2).item() < 1850
