"""Wrong versions of exercises 21, 22, 24 and 25, as learners write them: is each told what is
wrong with it?

As in test_wrong_versions_8_to_14.py, each stands with the known mistake that it is taken for, or
with words of its verdict.
"""

import pytest
from test_wrong_versions_8_to_14 import told

# what wrong versions begin with
OF_21 = """
    share = share.reshape(-1, 1, 1, 1)
    a, b = q_sample(schedule, x_0, t, eps), q_sample(schedule, x_0_other, t, eps_other)
"""
OF_22 = """
    there = q_sample(schedule, x_0, t_prev, eps)
    m = known.to(x_t.dtype)
"""
OF_24 = """
    x_t = q_sample(schedule, x_0, t, eps)
    ab = schedule.alpha_bar[t].to(x_0.dtype).reshape(-1, 1, 1, 1)
    a, s = ab ** 0.5, (1 - ab) ** 0.5
    v = a * eps - s * x_0
"""
OF_25 = """
    s = tau.reshape(-1, 1, 1, 1)
    x = x_0 + s * (eps - x_0)
    u = eps - x_0
    t = tau * 1000
"""

WRONG = [
    (21, "mixed first, then noised with both", """
    share = share.reshape(-1, 1, 1, 1)
    mixed = torch.lerp(x_0, x_0_other, share)
    return q_sample(schedule, mixed, t, torch.lerp(eps, eps_other, 1 - share))
    """, "noises_swapped"),
    (21, "both noises, whole", """
    share = share.reshape(-1, 1, 1, 1)
    return q_sample(schedule, (1 - share) * x_0 + share * x_0_other, t, eps + eps_other)
    """, "you multiply eps by"),
    (21, "noised by λ t", """
    share = share.reshape(-1, 1, 1, 1)
    return (1 - share) * q_sample(schedule, x_0, t, eps) + share * x_0_other + share * eps_other
    """, "you multiply x_0_other by"),
    (21, "a lerp from the other", OF_21 + "    return torch.lerp(b, a, share)", "swapped"),
    (21, "the mean of the share", OF_21 + "    w = share.mean()\n    return a + w * (b - a)",
     "you multiply x_0 by"),
    (21, "on an arc", OF_21 + "    return (share * torch.pi / 2).cos() * a"
     " + (share * torch.pi / 2).sin() * b", "you multiply x_0 by"),
    (21, "kept at its level", OF_21 + "    mixed = (1 - share) * a + share * b\n"
     "    return mixed / ((1 - share) ** 2 + share ** 2).sqrt()", "you multiply x_0 by"),
    (22, "noised after the choice", "    x = torch.where(known, x_0, take(x_t))\n"
     "    return q_sample(schedule, x, t_prev, eps)", "all_noised"),
    (22, "by a mask of numbers, the wrong one", OF_22
     + "    return (1 - m) * there + m * take(x_t)", "mask_inverted"),
    (22, "a step from a picture with the known part", OF_22
     + "    x = torch.where(known, q_sample(schedule, x_0, t, eps), x_t)\n"
     "    return m * there + (1 - m) * take(x)", "take is given another picture"),
    (22, "two steps", OF_22 + "    return m * there + (1 - m) * take(take(x_t))",
     "take is called 2 times"),
    (22, "half of each", OF_22 + "    x = take(x_t)\n"
     "    return torch.where(known, (there + x) / 2, x)",
     "you multiply x_0, where it is known, by"),
    (22, "the noise of t, the picture of t_prev", OF_22
     + "    a, b = (schedule.alpha_bar[i].to(m.dtype).view(-1, 1, 1, 1) for i in (t_prev, t))\n"
     "    return m * (a.sqrt() * x_0 + (1 - b).sqrt() * eps) + (1 - m) * take(x_t)",
     "you multiply eps, where x_0 is known, by"),
    (22, "a step of x_0", OF_22 + "    return m * there + (1 - m) * take(x_0)",
     "take is given x_0"),
    (22, "True minus known", OF_22 + "    return known * there + (1 - known) * take(x_t)",
     "write `~mask`"),
    (24, "ε̂ with a minus", OF_24 + "    return v, a * x_t - s * v_theta, s * x_t - a * v_theta",
     "you multiply v_theta in ε̂ by"),
    (24, "roots swapped on the way back",
     OF_24 + "    return v, s * x_t - a * v_theta, a * x_t + s * v_theta",
     "you multiply x_t in x̂_0 by"),
    (24, "divided", OF_24 + "    return v, (x_t - s * v_theta) / a, (x_t - a * v_theta) / s",
     "you multiply x_t in x̂_0 by"),
    (24, "x̂_0 by Eq. 15 from ε, not ε̂", OF_24
     + "    return v, (x_t - s * eps) / a, s * x_t + a * v_theta",
     "the true v in x̂_0"),
    (24, "ε̂ first", OF_24 + "    return v, s * x_t + a * v_theta, a * x_t - s * v_theta", "order"),
    (24, "v of x_t", OF_24 + "    return a * eps - s * x_t, a * x_t - s * v_theta,"
     " s * x_t + a * v_theta", "you multiply x_0 in v by"),
    (24, "two results", OF_24 + "    return v, a * x_t - s * v_theta", "It is to return v"),
    (25, "t of T steps", OF_25 + "    return F.mse_loss(model(x, tau * 100), u)",
     "the t for the network is"),
    (25, "t shaped for pictures", OF_25 + "    return F.mse_loss(model(x, 1000 * s), u)",
     "t is to be a tensor (B,)"),
    (25, "1 - τ for the network", OF_25 + "    return F.mse_loss(model(x, 1000 * (1 - tau)), u)",
     "the t for the network is"),
    (25, "divided by the rest", OF_25
     + "    return F.mse_loss(model(x, t), (eps - x) / (1 - s) ** 2)",
     "in the velocity by"),
    (25, "halved", OF_25 + "    return F.mse_loss(model(x, t), u) / 2", "The loss is 0.5 times"),
    (25, "summed over the pixels",
     OF_25 + "    return ((model(x, t) - u) ** 2).sum((1, 2, 3)).mean()", "The loss is 64 times"),
    (25, "a sum wanted", OF_25 + "    return F.mse_loss(model(x, t), eps + x_0)",
     "you multiply x_0 in the velocity by 1"),
    (25, "a picture wanted", OF_25 + "    return F.mse_loss(model(x, t), x_0)",
     "you multiply x_0 in the velocity by 1"),
    (25, "noise on top", OF_25 + "    return F.mse_loss(model(x_0 + s * eps, t), u)",
     "you multiply x_0 in x_τ by 1 where"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "body", "named"),
    [(number, body, named) for number, _, body, named in WRONG],
    ids=[f"{number}: {what}" for number, what, *_ in WRONG],
)
def test_what_is_wrong_is_named(number: int, body: str, named: str) -> None:
    verdict = told(number, body)
    assert not verdict.passed
    assert verdict.mistake == named or named in verdict.says, verdict
