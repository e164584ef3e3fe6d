"""Faults to plant in the papers' modules and losses, and the run that shows whether tests notice.

    python tests/planted_faults.py              # all: about ten seconds each
    python tests/planted_faults.py --only 3 9   # some, by number

Each fault is one line of the source with another in its place, in a copy of the package; the tests of ``TESTS`` run
against the copy until one fails. A fault that none notices survives, which is a fault of the tests. At most one of
thirty may. ``HELD_OUT`` were written after the tests, which were not changed for them. Of ``LAST_DAY``, written when
none of the first thirty survived any more, six of ten did, and of ``UNSEEN``, chosen when none of those did, three of
ten; the tests that notice them came afterwards. ``SAMPLED`` and ``BESIDE`` reach samplers and evaluation, whose tests
they name: two of ten of each survived. Of ``AFTER``, written when none of all these did, none of ten did.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src" / "mien"
TESTS = (
    "test_papers_as_printed.py", "test_portrait_losses.py", "test_core_losses.py", "test_generators_paper.py",
    "test_portrait_paper.py", "test_portrait_warp.py", "test_imagine_mixture.py", "test_imagine_pictures.py",
    "test_papers_draw.py", "test_paper_encoder.py", "test_training_books.py",
)  # fmt: skip
SAMPLERS = (
    "test_generators_density.py", "test_imagine_density.py", "test_painter.py", "test_painter_sampling.py",
)  # fmt: skip
FIGURES = (
    "test_evaluation_verification.py", "test_evaluation_imagine.py", "test_metrics_that_say_no.py",
    "test_reports_that_say_no.py",
)  # fmt: skip
SECONDS = 900


@dataclass(frozen=True, slots=True)
class Fault:
    """``old`` occurs once in ``file`` (below src/mien); ``new`` takes its place."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = TESTS


SANCHE, WANG, CATE = "papers/cgan_sanche/networks.py", "papers/frontal_wang_2019/", "papers/deepface_2016/"
PORTRAIT, GAN = "training/portrait_paper.py", "training/crowd_paper.py"
FAULTS = (
    # The audit of 2026-11-25: these survived the tests of that day.
    Fault("no batch norm after the generator's fully connected layers", SANCHE,
          "x = torch.relu(norm(layer(x)))", "x = torch.relu(layer(x))"),
    Fault("no ReLU in the discriminator", SANCHE,
          "torch.relu(nn.functional.max_pool2d(convolution(x), 2))", "nn.functional.max_pool2d(convolution(x), 2)"),
    Fault("no ReLU before the discriminator's last layer", SANCHE,
          "x = torch.relu(self.hidden(x.flatten(1)))", "x = self.hidden(x.flatten(1))"),
    Fault("average instead of max pooling", SANCHE, "max_pool2d(convolution(x), 2)", "avg_pool2d(convolution(x), 2)"),
    Fault("bilinear instead of repeated pixels", SANCHE, 'mode="nearest"', 'mode="bilinear"'),
    Fault("the discriminator trained on F_O", PORTRAIT,
          'shared["noisy"], shared["photo"] = drawn.noisy.detach(), photo',
          'shared["noisy"], shared["photo"] = drawn.output.detach(), photo'),
    Fault("the output not warped for texture", PORTRAIT,
          'warped = both if warm else networks["warp"](both, points[:, reliable, :2])', "warped = both"),
    Fault("one residual block a stage", WANG + "networks.py",
          "nn.Sequential(FrontalBlock(channels), FrontalBlock(channels))",
          "nn.Sequential(FrontalBlock(channels), nn.Identity())"),
    Fault("the generator's turn judged on F_O", PORTRAIT,
          'networks["discriminator"](drawn.noisy)', 'networks["discriminator"](drawn.output)'),
    Fault("ridge 1e-2", CATE + "mixture.py", "LAMBDA = 1e-5", "LAMBDA = 1e-2"),
    Fault("rate 5e-3", GAN, "learning_rate: float = 5e-4", "learning_rate: float = 5e-3"),
    Fault("dropout off", "attributes/heads.py", "axes = self.dropout(axes)", "axes = axes"),
    Fault("blur off", CATE + "descent.py", "if config.blur_every and (step + 1)", "if False and (step + 1)"),
    Fault("one cascade of seven", "evaluation/detection.py",
          "own.cascades = list(load_cascades().values())", "own.cascades = list(load_cascades().values())[:1]"),
    # Invented with the tests at hand.
    Fault("no batch norm after deconvolutions", SANCHE,
          "x = torch.relu(self.norms[number](x))", "x = torch.relu(x)"),
    Fault("no shortcut in the residual block", WANG + "networks.py",
          "functional.relu(x + self.norm2(self.conv2(y)))", "functional.relu(self.norm2(self.conv2(y)))"),
    Fault("a black background", WANG + "networks.py",
          "background: float | Tensor = 1.0", "background: float | Tensor = -1.0"),
    Fault("landmarks measured on the noisy face", PORTRAIT,
          'points = networks["landmarks"](drawn.output)', 'points = networks["landmarks"](drawn.noisy)'),
    Fault("samples of unit variance", CATE + "mixture.py",
          "means + np.sqrt(variances) * draws", "means + draws"),
    Fault("rate 5e-3 for the heads of the paper", "training/attributes_presets.py",
          "learning_rate=5e-6", "learning_rate=5e-3"),
)  # fmt: skip
HELD_OUT = (
    Fault("the generator pauses below a half, too", GAN,
          "pause_generator_below: float = 1 / 3", "pause_generator_below: float = 1 / 2"),
    Fault("the discriminator told other labels than the generator", GAN,
          'torch.cat([labels, labels])', 'torch.cat([labels, -labels])'),
    Fault("the mean of made images counted twice", "core/losses.py",
          "+ sigmoid_cross_entropy(fake, 0.0)) / 2", "+ 2 * sigmoid_cross_entropy(fake, 0.0)) / 3"),
    Fault("the mask leaves one stage later", WANG + "networks.py",
          "self.branch = count - config.mask_stages ", "self.branch = count - config.mask_stages + 1 "),
    Fault("tilt measured across", WANG + "losses.py",
          "return (left[..., 1] - right[..., 1]).abs().mean()", "return (left[..., 0] - right[..., 0]).abs().mean()"),
    Fault("the discriminator learns at every step", PORTRAIT,
          "generator_turns: int = 4", "generator_turns: int = 1"),
    Fault("the mixture's targets not divided by |C|", CATE + "mixture.py",
          "self.weights[columns] @ values / len(columns)", "self.weights[columns] @ values"),
    Fault("inversion not divided by |T|^2", CATE + "invert.py",
          "return off / wanted.square().sum(1).clamp_min(1e-12)", "return off"),
    Fault("the visualised softmax replaced by its logit", CATE + "visualise.py",
          "logits.float().softmax(1) for logits", "logits.float() for logits"),
    Fault("the photograph not warped for texture", PORTRAIT,
          'theirs = networks["warp"](known, in_pixels(wanted, size)[:, reliable, :2])', "theirs = known"),
)  # fmt: skip
DRAW, LEARN = "papers/draw_gregor_2015/", "training/encoder_paper.py"
LAST_DAY = (
    # Of what was added later, DRAW and the encoder of section 7, and once more of the rest.
    Fault("only the last glimpse pays for its code", DRAW + "network.py",
          "cost = cost + latent(mean, log_deviation)", "cost = latent(mean, log_deviation)"),
    Fault("the reader sees no error image", DRAW + "network.py",
          "self._read(rows, rows - canvas.sigmoid(), decoder[0])", "self._read(rows, rows, decoder[0])"),
    Fault("writing times gamma instead of through it", DRAW + "network.py",
          "CHANNELS).float() / patch.strength", "CHANNELS).float() * patch.strength"),
    Fault("the reader does not know the painter's state", DRAW + "network.py",
          "torch.cat([seen, decoder[0], condition], 1)", "torch.cat([seen, encoder[0], condition], 1)"),
    Fault("no batch norm after the encoder's hidden layer", "papers/cgan_sanche/encoder.py",
          "torch.relu(self.hidden_norm(self.hidden(x.flatten(1))))", "torch.relu(self.hidden(x.flatten(1)))"),
    Fault("the encoder's generator is told the other labels", LEARN,
          'networks["encoder"](batch["image"]), batch["labels"])',
          'networks["encoder"](batch["image"]), -batch["labels"])'),
    Fault("jitter along the diagonal alone", CATE + "descent.py", "return y, x", "return y, y"),
    Fault("the thesis's losses come at once after the warm images", PORTRAIT,
          "share = min((info.images - config.warm_images) / config.warm_images, 1.0) if", "share = 1.0 if"),
    Fault("the rate falls at every batch", "training/schedules.py", "factor ** (step // every)",
          "factor ** (step / every)"),
    Fault("the largest difference of four in the pyramid", "core/losses.py",
          "functional.avg_pool2d(difference, 2)", "functional.max_pool2d(difference, 2)"),
)  # fmt: skip
UNSEEN = (
    # Of 2026-11-27: chosen from the sources alone, before a test was looked at.
    Fault("noise from 0 to 1", SANCHE, "device=generator.device) * 2 - 1", "device=generator.device)"),
    Fault("pictures cut off at black and white instead of tanh", SANCHE,
          "return torch.tanh(x.float())", "return x.float().clamp(-1, 1)"),
    Fault("signed errors of symmetry cancel", WANG + "losses.py",
          "/ 2 - middle).abs().mean()", "/ 2 - middle).mean().abs()"),
    Fault("mirrored borders count as texture", PORTRAIT,
          "weight = warped[:, 3:] * theirs[:, 3:]", "weight = warped[:, 3:]"),
    Fault("the thesis's discriminator learns while the generator is warm", PORTRAIT,
          "every=every, start=start)", "every=every, start=0)"),
    Fault("half a pixel lost between two sizes of landmarks", PORTRAIT,
          "(points[..., :2] + 0.5) * scale - 0.5", "points[..., :2] * scale"),
    Fault("pairs of attributes divided by |C| once", CATE + "mixture.py",
          "self.pairs + shares.T @ shares", "self.pairs + shares.T @ has[some]"),
    Fault("a rate is taken that falls by less than its slope promises", CATE + "descent.py",
          "else losses[0] - losses[1] >= KEEPS * promised", "else losses[0] > losses[1]"),
    Fault("filters half a stride off", DRAW + "attention.py", "(filters - grid / 2 - 0.5)", "(filters - grid / 2)"),
    Fault("every photo mirrored for the encoder", LEARN, "1, 1, 1)) < 0.5)", "1, 1, 1)) < 1.5)"),
)  # fmt: skip
SAMPLED = (
    # Of 2026-11-27, evening: chosen from the sources alone, before a test was looked at.
    Fault("the generator pauses with the discriminator", GAN,
          'gate=pause_below("generator", "discriminator"', 'gate=pause_below("discriminator", "generator"'),
    Fault("lips apart as a mean of three pairs", WANG + "losses.py", ".abs().sum(1).mean()", ".abs().mean()"),
    Fault("half a pixel of the border lost in the warp", WANG + "warp.py", "align_corners=True", "align_corners=False"),
    Fault("converged by a share of the first loss instead of the gain", CATE + "descent.py",
          "np.maximum(losses[0] - after, 0)", "np.maximum(losses[0], 0)"),
    Fault("variances weighed by w instead of its square", CATE + "mixture.py", "(share**2 @", "(share @"),
    Fault("the code's divergence of the deviation, not the variance", DRAW + "losses.py",
          "(2 * log_deviation).exp()", "log_deviation.exp()"),
    Fault("every step of the flow is Euler's", "generators/density.py",
          "((1 + ratio / 2) * now - (ratio / 2) * before) * length", "now * length", SAMPLERS),
    Fault("the solver bends twice as far", "generators/painter/sampling.py",
          "(2 * (second - first))", "(second - first)", SAMPLERS),
    Fault("a fold's threshold found on the fold itself", "evaluation/verification.py",
          "best_threshold(values[pairs.fold != f], pairs.same[pairs.fold != f])",
          "best_threshold(values[pairs.fold == f], pairs.same[pairs.fold == f])", FIGURES),
    Fault("two pictures without a face are two people", "evaluation/imagine_variety.py",
          "np.where(ok, np.linalg.norm(a - b, axis=1), 0)", "np.linalg.norm(a - b, axis=1)", FIGURES),
)  # fmt: skip
AGREED = ("test_imagine_antithetic.py", "test_imagine_conditional.py", "test_evaluation_metrics.py")
BESIDE = (
    # Of the same evening, by another hand: the sources were read, the tests not.
    Fault("faces of a group less wide than the density", "generators/imagine/antithetic.py",
          "math.sqrt(GROUP / (GROUP - 1)) * (normals", "1.0 * (normals", AGREED),
    Fault("Gibbs steps by the variance", "generators/imagine/conditional.py",
          "precision[k, k] ** -0.5", "precision[k, k] ** -1.0", AGREED),
    Fault("a level costs no probability", "generators/imagine/conditional.py",
          "log_weights += -(low**2) / 2 - math.log(factor[k, k] * math.sqrt(2 * math.pi))",
          "log_weights += 0 * low", AGREED),
    Fault("density not over k", "evaluation/metrics.py", "holders / (k * len(mades))", "holders / len(mades)", AGREED),
    Fault("the jackknife's error without its factor", "evaluation/metrics.py",
          "np.sqrt((groups - 1) * np.var(values))", "np.sqrt(np.var(values))", AGREED),
    Fault("one of two detectors is enough for a portrait", "evaluation/portrait.py",
          "return self.detected & self.meshed", "return self.detected | self.meshed",
          ("test_evaluation_portrait.py", "test_reports_that_say_no.py")),
    Fault("men alone in the detection rate", GAN,
          '"female" if number % 2 else "male" for number', '"female" if number % 1 else "male" for number'),
    Fault("DRAW begins with an empty canvas", DRAW + "network.py",
          "return self.first_canvas.expand(count", "return (0 * self.first_canvas).expand(count"),
    Fault("what is read is not weighed by gamma", DRAW + "network.py",
          "torch.cat(seen, 1) * patch.strength[:, None]", "torch.cat(seen, 1)"),
    Fault("the encoder pools after its batch norm", "papers/cgan_sanche/encoder.py",
          "norm(nn.functional.max_pool2d(convolution(x), 2))", "nn.functional.max_pool2d(norm(convolution(x)), 2)"),
)  # fmt: skip
MEASURES = ("test_evaluation_metrics.py", "test_evaluation_statistics.py", *FIGURES)
AFTER = (  # chosen by a third hand from the sources alone
    Fault(
        "merged moments forget the other's weight",
        CATE + "mixture.py",
        "delta**2 * (self.n * other.n / n)",
        "delta**2 * (self.n / n)",
    ),
    Fault(
        "lasso instead of ridge in the loss",
        CATE + "mixture.py",
        "penalty * weights @ weights)",
        "penalty * np.abs(weights).sum())",
    ),
    Fault(
        "the clearest class of a set counts alone",
        CATE + "visualise.py",
        "for g, c in asked]).mean() for row",
        "for g, c in asked]).max() for row",
    ),
    Fault(
        "symmetry may cancel between pairs",
        WANG + "losses.py",
        "/ 2 - middle).abs().mean()",
        "/ 2 - middle).mean().abs()",
    ),
    Fault(
        "distances of landmarks without depth",
        WANG + "losses.py",
        "(points[:, :, None] - points[:, None, :]).abs().sum(-1)",
        "(points[:, :, None] - points[:, None, :])[..., :2].abs().sum(-1)",
    ),
    Fault(
        "a variance that is a deviation in L^z",
        "papers/draw_gregor_2015/losses.py",
        "(2 * log_deviation).exp()",
        "log_deviation.exp()",
    ),
    Fault(
        "a jackknife without its factor",
        "evaluation/metrics.py",
        "(groups - 1) * np.var(values)",
        "np.var(values)",
        MEASURES,
    ),
    Fault(
        "recall by the balls of the photographs",
        "evaluation/metrics.py",
        "distances <= made_radii[None]",
        "distances <= real_radii[start:stop, None]",
        MEASURES,
    ),
    Fault(
        "Newcombe's ends exchanged",
        "evaluation/statistics.py",
        "value - float(np.hypot(first.value - first.low, second.high - second.value))",
        "value - float(np.hypot(first.high - first.value, second.value - second.low))",
        MEASURES,
    ),
    Fault(
        "a pyramid's mask is not weighed out",
        "core/losses.py",
        "mask.float().mean() * difference.numel()",
        "difference.numel() * mask.float().amax()",
    ),
)
ALL = (*FAULTS, *HELD_OUT, *LAST_DAY, *UNSEEN, *SAMPLED, *BESIDE, *AFTER)


def planted(fault: Fault, room: Path) -> Path:
    """A copy of the package with the fault, as a directory for ``PYTHONPATH``."""
    package = room / "mien"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    for kept in SOURCE.rglob("*.safetensors"):
        (package / kept.relative_to(SOURCE)).symlink_to(kept)
    path = package / fault.file
    text = path.read_text()
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.name}: {fault.file} has {text.count(fault.old)} times: {fault.old}")
    path.write_text(text.replace(fault.old, fault.new))
    return room


def noticed(fault: Fault, tests: tuple[str, ...] | None = None) -> str | None:
    """The first of ``tests`` (None: the fault's own) that fails on a fault; ``None``: it survives."""
    with tempfile.TemporaryDirectory() as folder:
        room = planted(fault, Path(folder))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
        done = subprocess.run(
            [*command, *(str(HERE / test) for test in tests or fault.tests)],
            env=os.environ | {"PYTHONPATH": f"{room}{os.pathsep}{HERE}", "OMP_NUM_THREADS": "1"},
            cwd=HERE.parent, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{fault.name}: the tests could not run\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return next((line for line in done.stdout.splitlines() if line.startswith("FAILED")), None)


def main() -> int:
    """Plant the faults one by one; status 1 where more than one in thirty survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of faults, from 1")
    chosen = parser.parse_args().only or range(1, len(ALL) + 1)
    survivors = []
    for number in chosen:
        found = noticed(ALL[number - 1])
        print(f"{number:3d} {ALL[number - 1].name}: {found or 'SURVIVES'}", flush=True)
        survivors += [] if found else [number]
    print(f"{len(survivors)} of {len(list(chosen))} survive: {survivors}")
    return int(len(survivors) * 30 > len(list(chosen)))


if __name__ == "__main__":
    sys.exit(main())
