"""
Mixup in a GAN: does it keep the modes?
=======================================

The discriminator of a generative adversarial net is a classifier of real against generated
points, so it can be trained with mixup as well. Zhang et al. 2017 (arXiv 1710.09412)
write the game as

.. math::
    \\max_g \\min_d E_{x, z, \\lambda}\\; \\ell(d(\\lambda x + (1 - \\lambda) g(z)), \\lambda),
    \\quad \\lambda \\sim \\mathrm{Beta}(\\alpha, \\alpha),

and report that training becomes more stable: a smooth discriminator gives the generator a
gradient everywhere. This script plays the game on the paper's two toy problems, eight Gaussians
on a ring and 25 on a grid, and counts the modes that the generator covers.
"""

# %%
# Nets and optimizer are the paper's: three hidden ReLU layers, noise with two components, Adam
# with its defaults, five steps of the discriminator for one of the generator. Three games have
# the same initial weights, noise and real points:
#
# - **plain training**: λ is 1 for half of a batch and 0 for the other half;
# - **mixup, equation**: as above with α = 0.2, for discriminator and generator;
# - **mixup, authors' code** (github.com/hongyi-zhang/mixup): real and generated points form one
#   batch, which is mixed with another one by λ ~ Uniform(0, 0.2), for the discriminator alone.
#
# All games and seeds are one stack of nets. Here the nets are small and training is short; the
# paper's own size needs a GPU:
# ``python examples/plot_gan_stabilisation.py --seeds 10 --steps 20000 --width 512``.
import argparse
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mixup_tab import MLP, Mixup

parser = argparse.ArgumentParser(
    description="GANs with and without mixup, on a ring and a grid."
)
parser.add_argument("--seeds", type=int, default=1, help="runs of each game")
parser.add_argument("--steps", type=int, default=1000, help="steps of the generator")
parser.add_argument("--width", type=int, default=64, help="units of a hidden layer")
args = parser.parse_args()

GAMES = ("plain training", "mixup, equation", "mixup, authors' code")
ALPHA, BATCH, STD, SAMPLES, D_STEPS = 0.2, 128, 0.01, 2500, 5
device = "cuda" if torch.cuda.is_available() else "cpu"

angles = torch.arange(8) * math.pi / 4
ticks = torch.linspace(-1, 1, 5)
CENTRES = {
    "ring": torch.stack([angles.sin(), angles.cos()], 1).to(device),
    "grid": torch.cartesian_prod(ticks, ticks).to(device),
}


class Source:
    """Random numbers: shape (games · seeds, ...), the same for every game."""

    def __init__(self, centres: Tensor) -> None:
        self.centres = centres
        self.generator = torch.Generator(device).manual_seed(0)

    def noise(self, n: int) -> Tensor:
        drawn = torch.randn(args.seeds, n, 2, generator=self.generator, device=device)
        return drawn.repeat(len(GAMES), 1, 1)

    def real(self, n: int) -> Tensor:
        size = (args.seeds, n)
        which = torch.randint(len(self.centres), size, generator=self.generator, device=device)
        return self.centres[which].repeat(len(GAMES), 1, 1) + STD * self.noise(n)

    def weights(self, n: int) -> tuple[Tensor, Tensor]:
        """λ of the equation, and of the authors' code, shape (seeds, n, 1)."""
        size = (args.seeds, n)
        lam = Mixup().draw(ALPHA, size, generator=self.generator).lam
        uniform = torch.rand(size, generator=self.generator, device=device)
        return lam.unsqueeze(-1), ALPHA * uniform.unsqueeze(-1)


def mix(real: Tensor, fake: Tensor, source: Source, *, for_d: bool) -> tuple[Tensor, Tensor]:
    """Return what the discriminator sees, game after game, and how real each of it is."""
    n = real.shape[1]
    lam, uniform = source.weights(n)
    half = (torch.arange(n, device=device) < n // 2).to(real).view(1, n, 1).expand_as(lam)
    target = torch.cat([half, lam, half])
    seen = torch.lerp(fake, real, target)
    if for_d:  # the authors' second batch: the other halves of the same real and fake points
        order = torch.randperm(n, generator=source.generator, device=device)
        last = slice(2 * args.seeds, None)
        other = torch.lerp(fake[last], real[last], 1 - half)[:, order]
        seen[last] = torch.lerp(other, seen[last], uniform)
        target[last] = torch.lerp(1 - half[:, order], half, uniform)
    return seen, target


def play(centres: Tensor, frames: list[int]) -> dict[int, Tensor]:
    """Train; return samples at some steps, shape (games, seeds, SAMPLES, 2)."""
    source = Source(centres)
    nets = []
    for outputs, salt in ((1, 0), (2, 10_000)):
        generators = [torch.Generator().manual_seed(seed + salt) for seed in range(args.seeds)]
        members = {"n_members": len(GAMES) * args.seeds, "generators": generators * len(GAMES)}
        nets.append(MLP(2, outputs, (args.width,) * 3, **members).to(device))
    d, g = nets
    optimizers = {net: torch.optim.Adam(net.parameters(), fused=True) for net in nets}

    def step(player: MLP, sign: int) -> None:
        with torch.set_grad_enabled(player is g):
            fake = g(source.noise(BATCH))
        seen, target = mix(source.real(BATCH), fake, source, for_d=player is d)
        loss = binary_cross_entropy_with_logits(d(seen), target, reduction="sum") / BATCH
        optimizers[player].zero_grad()
        (sign * loss).backward(inputs=list(player.parameters()))
        optimizers[player].step()

    pictures, shown = {}, source.noise(SAMPLES)
    for number in range(1, args.steps + 1):
        for _ in range(D_STEPS):
            step(d, 1)
        step(g, -1)
        if number in frames:
            with torch.no_grad():
                pictures[number] = g(shown).unflatten(0, (len(GAMES), args.seeds))
    return pictures


# %%
# Of 2,500 samples, one is *good* within four standard deviations of a centre; a mode is
# *covered* if at least a tenth of its fair share of samples is good and nearest to it; a run
# has *collapsed* if fewer than half of the modes are covered at the end.
def count(samples: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Return modes covered, and the share of good samples, of each run."""
    distance, nearest = torch.cdist(samples, centres).min(-1)
    good = distance < 4 * STD
    hits = torch.zeros(*samples.shape[:-2], len(centres), device=device)
    hits.scatter_add_(-1, nearest, good.float())
    return (hits >= SAMPLES / len(centres) / 10).sum(-1), good.float().mean(-1)


frames = sorted({max(args.steps // part, 1) for part in (50, 10, 3, 1)})
threads = torch.get_num_threads()
torch.set_num_threads(1 if args.width <= 128 else threads)  # quicker for nets this small
pictures = {name: play(centres, frames) for name, centres in CENTRES.items()}
torch.set_num_threads(threads)
print(f"runs of each game: {args.seeds}, steps: {args.steps}, width: {args.width}")
print(f"{'':27}modes: mean  least   collapsed   good samples")
for name, centres in CENTRES.items():
    modes, good = count(pictures[name][args.steps], centres)
    for game, label in enumerate(GAMES):
        covered = modes[game].float()
        print(
            f"{name}, {label:20} {covered.mean():10.1f} {covered.min():6.0f}"
            f" {int((covered < len(centres) / 2).sum()):11} {100 * good[game].mean():12.1f} %"
        )

# %%
# The first run over time: generated points on the real ones.
figure, axes = plt.subplots(
    len(GAMES),
    2 * len(frames),
    figsize=(13, 5.6),
    layout="constrained",
    sharex=True,
    sharey=True,
    squeeze=False,
)
for block, (name, centres) in enumerate(CENTRES.items()):
    for column, number in enumerate(frames):
        modes, _ = count(pictures[name][number], centres)
        for game, label in enumerate(GAMES):
            axis = axes[game, block * len(frames) + column]
            axis.plot(*centres.cpu().T.numpy(), "+", color="tab:gray", markersize=7)
            points = pictures[name][number][game, 0].cpu()
            axis.plot(*points.T.numpy(), ".", color="tab:blue", markersize=1.5, alpha=0.4)
            axis.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xticks=[], yticks=[], aspect="equal")
            axis.set_title(f"{modes[game, 0]} of {len(centres)} modes", fontsize=8)
            if game == len(GAMES) - 1:
                axis.set_xlabel(f"{name}, step {number}", fontsize=9)
            if not block and not column:
                axis.set_ylabel(label, fontsize=9)
plt.show()

# %%
# One short run says little; ten longer ones are in :doc:`/results/gan`. There the claim holds
# for the authors' code: mixing batches for the discriminator covers far more modes, and fewer
# runs collapse, on both toy problems. The equation taken literally, with λ mostly near 0 or 1
# and for both players, does not help.
