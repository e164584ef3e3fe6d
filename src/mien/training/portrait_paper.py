"""Training the decoder of A. Wang's thesis (2019): networks in ``papers/frontal_wang_2019/networks``, losses in
``portrait_losses``, data in batches that come in (``datasets/portrait_views``).

As printed: FaceNet and the landmark network are frozen; texture is compared after the input and the output are warped
to canonical landmarks, the 14 reliable ones; the discriminator sees the noisy face F_N and the input photos; the
generator learns four times for every turn of the discriminator; the sum of all losses is minimised.

Where the thesis is silent, we decided:

- *Which image* texture, identity and landmarks are measured on: the output F_O ("the output face image").
- *The mask of 3.1* is warped with the output: the pixels compared lie in the canonical frame.
- *When 3.1 moves the mask*: the thesis finds that its mask loss "makes it more optimal to discard" hair (5.2), so the
  gradient of 3.1 reaches the mask; but an empty mask ends the loss. Let loose at once, or on the first blurred faces
  (after 2,000 images), it falls to nothing within 400 images, and the picture with it. The default is what is printed;
  with ``mask_from_images`` 200,000, with which all runs of docs/portrait.md were made, 3.1 only weighs by the mask
  until then, and it "tends towards values of 1 everywhere" (3.5.3).
- *Canonical landmarks*: those of the mean face that looks ahead (``faces/landmarks68.mean_points``).
- *The start*: landmarks of noise are noise, and a texture compared by them draws no face within 1,000 images. So for
  the first ``warm_images`` the output is taken to lie where the mean face lies, and learns by 3.1, 3.8 and 3.9 alone
  (which is six times as fast); then landmarks, identity and the discriminator come in, their weights rising evenly over
  as many images again. At full weight at once they undid a blurred face within 120 images: the gradients of 3.4 to 3.6
  through the landmark network are as long as that of 3.1 where it is not sure of a face. Rising evenly over 12,000
  images they left it whole in all three runs of the ablation (docs/portrait.md).
- *Weights*: 3.7's are printed, the others are not. The sum of 3.1 over 320 x 320 x 3 values would be four orders of
  magnitude above the rest; the thesis reports "an order of magnitude or sometimes two". ``texture`` 3e-3 and
  ``identity`` 10 make it one at the start. With less the gradients of the two frozen networks, which stripes satisfy
  as well as faces, come first.
- *Adam* 2e-4, beta1 0.5 (Radford et al., 2016, whom the thesis follows for adversarial training); batch 16; 280,000
  steps ("after 280k iterations").
- *The discriminator* learns at 2e-4 even where the decoder learns faster, and its gradient is clipped at 1: its scores
  have no bound (3.11). At 1e-3, unclipped, they blew up from one to tens of millions after 25,000 images, and took
  the picture with them.
- *Mirrored borders*: beyond its photo a crop is mirrored; those pixels count in no texture loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydantic
import torch
from torch import Tensor, nn

from mien.core.checkpoints import save_weights
from mien.core.config import Config
from mien.core.images import sheet, to_facenet, to_photos, to_tensor
from mien.core.quantise import packed
from mien.core.records import UInt8Image
from mien.core.seeding import torch_seed
from mien.faces import align
from mien.faces.landmarks68 import RELIABLE, mean_points
from mien.papers.frontal_wang_2019.losses import (
    FRAME_PX,
    LandmarkWeights,
    adversarial_discriminator,
    adversarial_generator,
    identity,
    landmark,
    mask_loss,
    texture,
)
from mien.papers.frontal_wang_2019.networks import (
    ENCODER_TAP,
    MODEL,
    Drawn,
    FrontalConfig,
    FrontalDiscriminator,
    PortraitDecoder,
)
from mien.papers.frontal_wang_2019.warp import Warp
from mien.training.ema import EmaConfig
from mien.training.loop import BatchAt, Hook, LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import constant

ENCODER_PX = 160
DISCRIMINATOR_RATE = 2e-4  # at most
DISCRIMINATOR_CLIP = 1.0  # norm of its gradient


class PortraitPaperConfig(Config):
    """Everything that decides what is trained."""

    networks: FrontalConfig = FrontalConfig()
    texture: float = 3e-3
    landmarks: LandmarkWeights = LandmarkWeights()
    identity: float = 10.0
    mask: float = 1.0
    mask_exponent: float = 1.0
    warm_images: int = 20_000  # learn texture at the mean face's landmarks alone
    mask_from_images: int = 0  # texture moves the mask from here on; 0: always, as printed
    adversarial: float = 1.0
    with_mask: bool = True  # False, with_adversarial False: the ablation of section 4.4
    with_adversarial: bool = True
    generator_turns: int = 4  # for each of the discriminator
    learning_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    rules: dict[str, Any] = pydantic.Field(
        default_factory=dict
    )  # which faces were chosen (datasets/portrait_views.PortraitRules)
    faces: tuple[tuple[str, int, int], ...] = ()  # filter, faces that it left, of them unknown to it
    data: str = ""  # fingerprint


def photos_of(batch: Batch) -> Tensor:
    """The batch's input photos as N 3 S S, -1 to 1."""
    return to_tensor(batch["photo"])


def in_pixels(points: Tensor, size: float, frame: float = FRAME_PX) -> Tensor:
    """Landmarks (N K 3) in px of a square of ``frame`` -> px of a square of ``size``."""
    scale = size / frame
    return torch.cat([(points[..., :2] + 0.5) * scale - 0.5, points[..., 2:] * scale], -1)


def loose_view(images: Tensor, out: int = ENCODER_PX) -> Tensor:
    """The whole image at the encoder's size.

    The thesis's loose crop is the square of which the tight box of VGGFace2 takes 0.625 of the side (section
    5.1); in ours, placed by landmarks, the mean face is 0.56 of the side wide and 0.66 high.
    """
    return align.window(images, 0.0, 0.0, 1.0, out)


def generator_cost(config: PortraitPaperConfig) -> Any:
    """The decoder's objective: texture, landmark, identity, mask and adversarial losses, weighted."""
    reliable = list(RELIABLE)

    def cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
        photo, size = photos_of(batch), config.networks.size_px
        drawn: Drawn = networks["decoder"](batch["features"])
        wanted, warm = batch["landmarks"], info.images < config.warm_images
        share = min((info.images - config.warm_images) / config.warm_images, 1.0) if config.warm_images else 1.0
        terms: dict[str, Tensor] = {}

        # Landmarks, in px of the image and of the thesis's 320 px square.
        if not warm:
            points = networks["landmarks"](drawn.output)  # N 68 3
            made = in_pixels(points, FRAME_PX, size)
            weighted = landmark(wanted, made, config.landmarks)
            terms = {f"landmark {name}": share * value for name, value in weighted.items()}

        # Texture, in the canonical frame.
        with torch.no_grad():
            known = torch.cat([photo, batch["known"]], 1)  # N 4 S S
            theirs = networks["warp"](known, in_pixels(wanted, size)[:, reliable, :2])
        both = torch.cat([drawn.output, drawn.mask], 1)  # N 4 S S
        warped = both if warm else networks["warp"](both, points[:, reliable, :2])
        scale = (FRAME_PX / size) ** 2  # of the sum: what a 320 px image would have
        weight = warped[:, 3:] * theirs[:, 3:]
        weight = weight if info.images >= config.mask_from_images else weight.detach()
        terms["texture"] = config.texture * scale * texture(weight, theirs[:, :3], warped[:, :3])

        # Identity.
        if not warm:
            seen = networks["encoder"](to_facenet(loose_view(drawn.output)), ("embedding",))
            terms["identity"] = share * config.identity * identity(batch["embedding"], seen["embedding"])

        if config.with_mask:
            terms["mask"] = config.mask * mask_loss(drawn.mask, config.mask_exponent)
        if config.with_adversarial and not warm:
            scores = networks["discriminator"](drawn.noisy)
            terms["adversarial"] = share * config.adversarial * adversarial_generator(scores)
        shared: dict[str, Any] = batch["shared"]
        shared["noisy"], shared["photo"] = drawn.noisy.detach(), photo
        return terms

    return cost


def discriminator_cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
    """The discriminator's objective (3.11), on the noisy faces of the generator's turn and the input photos."""
    shared: dict[str, Any] = batch["shared"]
    judge = networks["discriminator"]
    return {"total": adversarial_discriminator(judge(shared["photo"]), judge(shared["noisy"]))}


def portrait_phases(config: PortraitPaperConfig, batch_size: int) -> list[Phase]:
    """The generator's turn at every step, the discriminator's at every fourth once the generator minds it."""
    rate = constant(config.learning_rate)
    adam = OptimiserConfig(beta1=config.beta1, beta2=config.beta2)
    phases = [Phase("decoder", ("decoder",), generator_cost(config), rate, adam)]
    if config.with_adversarial:
        every, start = config.generator_turns, -(-config.warm_images // batch_size)
        slower = constant(min(config.learning_rate, DISCRIMINATOR_RATE))
        held = adam.model_copy(update={"clip_norm": DISCRIMINATOR_CLIP})
        phases.append(
            Phase("discriminator", ("discriminator",), discriminator_cost, slower, held, every=every, start=start)
        )
    return phases


def portrait_networks(config: PortraitPaperConfig, seed: int) -> dict[str, nn.Module]:
    """Fresh networks, their weights drawn from ``seed`` (torch's global state is left as it was)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "initial weights"))
        networks: dict[str, nn.Module] = {"decoder": PortraitDecoder(config.networks, masked=config.with_mask)}
        if config.with_adversarial:
            networks["discriminator"] = FrontalDiscriminator(config.networks)
    return networks


def canonical_warp(size: int) -> Warp:
    """The warp of the texture loss: to the 14 reliable landmarks of the mean face."""
    return Warp(torch.from_numpy(mean_points(size)[list(RELIABLE), :2].copy()), size, size)


def preview_sheet(batch: Batch) -> Callable[[Networks, int], UInt8Image]:
    """A row a face of a fixed batch: input, noisy face F_N, mask, output F_O."""
    photo, features = torch.as_tensor(batch["photo"]), torch.as_tensor(batch["features"])

    def draw(networks: Networks, step: int) -> UInt8Image:
        decoder = networks["decoder"]
        with torch.no_grad():
            drawn: Drawn = decoder(features.to(next(decoder.parameters()).device))
        return portrait_rows(photo.numpy(), drawn)

    return draw


def portrait_rows(photos: UInt8Image, drawn: Drawn, columns: int = 2) -> UInt8Image:
    """Input | F_N | mask | F_O, ``columns`` faces a row."""
    masks = to_photos((drawn.mask * 2 - 1).expand(-1, 3, -1, -1))
    parts = (photos, to_photos(drawn.noisy), masks, to_photos(drawn.output))
    return sheet([tile for tiles in zip(*parts, strict=True) for tile in tiles], columns=4 * columns)


def train_portrait(
    batch_at: BatchAt,
    encoder: nn.Module,
    landmarks: nn.Module,
    run_dir: Path,
    config: PortraitPaperConfig,
    settings: LoopSettings,
    *,
    preview: Batch | None = None,
    hooks: Sequence[Hook] = (),
    resume: bool = False,
) -> Outcome:
    """Train in ``run_dir``; at the end (also an early one) write ``weights.safetensors``.

    ``encoder`` (FaceNet) and ``landmarks`` (``faces/landmarks68``) stay as they are. ``preview`` is a batch of held-out
    faces.
    """
    outcome = train(
        networks=portrait_networks(config, settings.seed),
        frozen={"encoder": encoder, "landmarks": landmarks, "warp": canonical_warp(config.networks.size_px)},
        phases=portrait_phases(config, settings.batch_size),
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(),
        preview=None if preview is None else preview_sheet(preview),
        hooks=hooks,
        resume=resume,
    )
    export(outcome, run_dir / "weights.safetensors", config)
    return outcome


def export(outcome: Outcome, path: Path, config: PortraitPaperConfig) -> None:
    """Write the decoder for ``PaperPortrait.load``: a byte a weight in the large matrices, fp16 elsewhere."""
    metadata = {
        "model": MODEL,
        "version": f"{MODEL}-{outcome.images // 1000}k",
        "config": config.networks.model_dump(mode="json"),
        "masked": config.with_mask,
        "encoder": {"name": "facenet", "tap": ENCODER_TAP, "input": "the whole aligned crop at 160 px, RGB"},
        "training": config.model_dump(mode="json", exclude={"networks"}),
        "batches": outcome.step,
        "images": outcome.images,
    }
    save_weights(path, packed(outcome.shown["decoder"].state_dict()), metadata, dtype=torch.float16)
