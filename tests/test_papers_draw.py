"""DRAW: filters against cases worked out by hand, both terms of the loss, shapes, and that a toy is learned."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import Result

from mien.core.contract import FaceRequest
from mien.core.errors import RequestError, WeightsError
from mien.core.images import in_crop, to_photos
from mien.core.photos import read_photo
from mien.core.progress import silent
from mien.core.seeding import sample_generator, stream
from mien.evaluation.faces import FaceRow
from mien.evaluation.imagine_sets import AttributeSet
from mien.papers.draw_gregor_2015.attention import Patch, banks, filter_bank, glimpse, painted, patch_of
from mien.papers.draw_gregor_2015.losses import latent, reconstruction
from mien.papers.draw_gregor_2015.network import Draw, DrawConfig
from mien.papers.draw_gregor_2015.renderer import DrawRenderer, Whitening
from mien.pipelines import evaluate_imagine_draw
from mien.pipelines.imagine_draw import draw_renderer
from mien.training.draw import DrawTrainingConfig, elbo, export, fit_whitening, train_draw
from mien.training.settings import LoopSettings, Outcome

SMALL = DrawConfig(size_px=8, glimpses=3, patch_px=4, hidden=12, code=3, condition=2)


def bank(centre: float, stride: float, variance: float, grid: int, pixels: int) -> torch.Tensor:
    one = torch.ones(1, dtype=torch.float64)
    return filter_bank(centre * one, stride * one, variance * one, grid, pixels)[0]


def test_zeros_are_a_patch_in_the_middle_that_reaches_the_edges() -> None:
    patch = patch_of(torch.zeros(1, 5), 5, 9, 3)
    assert [float(value) for value in patch] == [5.0, 3.0, 1.0, 4.0, 1.0]  # (9 + 1) / 2, (5 + 1) / 2, 1, 8 / 2, 1
    moved = patch_of(torch.tensor([[1.0, -1.0, math.log(4), math.log(0.5), math.log(3)]]), 5, 9, 3)
    assert [float(value) for value in moved] == pytest.approx([10.0, 0.0, 4.0, 2.0, 3.0])


def test_filters_are_where_equations_19_and_25_put_them() -> None:
    # Two filters at 3 -+ 1, so that pixel 2 of 5 is the middle of the first: exp(-d^2 / 2) for d = 1, 0, 1, 2, 3.
    found = bank(3.0, 2.0, 1.0, 2, 5)
    heights = np.exp(-np.array([1, 0, 1, 4, 9]) / 2)
    assert found[0].tolist() == pytest.approx((heights / heights.sum()).tolist())
    assert found[1].tolist() == pytest.approx(found[0].tolist()[::-1])
    assert bank(3.0, 7.0, 1.0, 1, 5)[0].argmax() == 2  # one filter lies on the centre whatever the stride


def test_every_filter_sums_to_one_and_one_far_outside_is_empty_and_finite() -> None:
    assert bank(4.2, 1.3, 0.7, 5, 9).sum(1).tolist() == pytest.approx([1.0] * 5)
    far = bank(4000.0, 1.0, 0.5, 2, 9)
    assert torch.isfinite(far).all()
    assert far.sum() == 0


def narrow(grid: int, pixels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Filters of hardly any width on the pixels 1, 2, ... of an image."""
    one = torch.ones(1, dtype=torch.float64)
    patch = Patch((grid + 1) / 2 * one, (grid + 1) / 2 * one, 1e-3 * one, one, one)
    return banks(patch, pixels, pixels, grid)


def test_narrow_filters_read_and_paint_single_pixels_of_each_channel() -> None:
    image = torch.arange(32, dtype=torch.float64).reshape(1, 4, 8)  # 4 x 4 pixels, two channels beside each other
    down, across = narrow(2, 4)
    seen = glimpse(image, down, across, 2).reshape(2, 2, 2)  # rows, channels, columns
    assert seen[:, 0].flatten().tolist() == pytest.approx([0, 1, 8, 9])
    assert seen[:, 1].flatten().tolist() == pytest.approx([4, 5, 12, 13])
    canvas = painted(seen.reshape(1, 4, 2), down, across, 2)[0]
    wanted = torch.zeros(4, 8, dtype=torch.float64)
    wanted[:2, :2], wanted[:2, 4:6] = image[0, :2, :2], image[0, :2, 4:6]
    assert torch.allclose(canvas, wanted)


def test_reading_equals_the_printed_product() -> None:
    draws = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 6, 6, generator=draws)
    down, across = banks(patch_of(torch.randn(2, 5, generator=draws) * 0.3, 6, 6, 4), 6, 6, 4)
    rows = image.permute(0, 2, 1, 3).reshape(2, 6, 18)
    seen = glimpse(rows, down, across, 3).reshape(2, 4, 3, 4)
    for n in range(2):
        for c in range(3):
            assert torch.allclose(seen[n, :, c], down[n] @ image[n, c] @ across[n].T, atol=1e-6)


def test_the_loss_of_codes_is_the_divergence_of_two_normals() -> None:
    zeros = torch.zeros(1, 4)
    assert latent(zeros, zeros).tolist() == [0.0]
    mean, deviation = torch.tensor([[1.5, -0.5]]), torch.tensor([[0.5, 2.0]])
    normal = torch.distributions.Normal
    known = torch.distributions.kl_divergence(normal(mean, deviation), normal(0.0, 1.0)).sum()
    assert float(latent(mean, deviation.log())) == pytest.approx(float(known))


def test_the_loss_of_pictures_is_the_cross_entropy_of_their_intensities() -> None:
    image = torch.tensor([0.0, 1.0, 0.25]).reshape(1, 3, 1, 1)
    logits = torch.tensor([0.0, 0.0, math.log(1 / 3)]).reshape(1, 3, 1, 1)  # sigmoid: 1/2, 1/2, 1/4
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert float(reconstruction(logits, image)) == pytest.approx(2 * math.log(2) + entropy)


def test_shapes_and_what_is_refused() -> None:
    network = Draw(SMALL)
    image, condition = torch.rand(2, 3, 8, 8), torch.zeros(2, 2)
    logits, cost = network(image, condition, torch.randn(3, 2, 3))
    assert (logits.shape, cost.shape) == ((2, 3, 8, 8), (2,))
    assert [one.shape for one in network.stages(condition, torch.randn(3, 2, 3))] == [(2, 3, 8, 8)] * 3
    with pytest.raises(ValueError, match="want N 3 H W and N Y"):
        network(image[:, :, :4], condition, torch.randn(3, 2, 3))


def test_the_first_canvas_is_the_mean_image_and_channels_stay_apart() -> None:
    network = Draw(SMALL)
    mean = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1
    network.start_from(mean)
    for layer in (network.to_patch,):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    first = next(network.stages(torch.zeros(1, 2), torch.zeros(1, 1, 3)))
    assert torch.allclose(first[0].sigmoid(), mean, atol=1e-5)


def test_the_condition_and_the_codes_both_change_the_canvas() -> None:
    network, codes = Draw(SMALL), torch.randn(3, 1, 3)
    plain = list(network.stages(torch.zeros(1, 2), codes))[-1]
    assert not torch.allclose(plain, list(network.stages(torch.ones(1, 2), codes))[-1])
    assert not torch.allclose(plain, list(network.stages(torch.zeros(1, 2), codes + 1))[-1])


def test_whitened_activations_have_unit_covariance() -> None:
    draws = stream(0, "toy")
    features = draws.standard_normal((500, 6)) @ draws.standard_normal((6, 6)) + 3
    codes = (torch.from_numpy(features).float() - fit_whitening(features, 3).mean) @ fit_whitening(features, 3).axes
    assert codes.shape == (500, 3)
    assert np.cov(codes.numpy().T) == pytest.approx(np.eye(3), abs=0.02)


Weights = dict[str, torch.Tensor]


def linear(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def lstm(x: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor], w: Weights, name: str) -> tuple[torch.Tensor, ...]:
    """One step of a cell without peepholes: the new (h, c)."""
    h, c = state
    gates = x @ w[f"{name}.weight_ih"].T + w[f"{name}.bias_ih"] + h @ w[f"{name}.weight_hh"].T + w[f"{name}.bias_hh"]
    i, f, g, o = gates.chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def filters(h: torch.Tensor, w: Weights, name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Equations 19 to 26 once more, in loops: F_Y and F_X (N 4 8 each), and gamma (N)."""
    raw, size, grid = linear(h, w, name), SMALL.size_px, SMALL.patch_px
    found = torch.zeros(2, len(h), grid, size)
    for n, (x, y, variance, stride, _) in enumerate(raw.tolist()):
        step = (size - 1) / (grid - 1) * math.exp(stride)
        for axis, centre in enumerate((y, x)):
            for k in range(grid):
                mean = (size + 1) / 2 * (centre + 1) + (k + 1 - grid / 2 - 0.5) * step
                row = [math.exp(-((a - mean) ** 2) / (2 * math.exp(variance))) for a in range(1, size + 1)]
                found[axis, n, k] = torch.tensor(row) / max(sum(row), 1e-8)
    return found[0], found[1], raw[:, 4].exp()


def test_one_pass_equals_equations_3_to_8_written_anew() -> None:
    """The error image, both states, the condition, gamma on the way in and out, and the codes' cost of all glimpses."""
    network, draws = Draw(SMALL), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn(value.shape, generator=draws) * 0.3)
    w = {name: value.clone() for name, value in network.state_dict().items()}
    image, y = torch.rand(2, 3, 8, 8, generator=draws), torch.randn(2, 2, generator=draws)
    noise = torch.randn(3, 2, 3, generator=draws)
    canvas = w["first_canvas"].reshape(8, 3, 8).permute(1, 0, 2).expand(2, 3, 8, 8)
    first = [state.expand(2, -1) for state in w["first_states"]]
    encoder: tuple[torch.Tensor, ...] = (first[0], first[1])
    decoder: tuple[torch.Tensor, ...] = (first[2], first[3])
    cost = torch.zeros(2)
    for drawn in noise:
        down, across, gamma = filters(decoder[0], w, "to_read")
        assert float((gamma - 1).abs().min()) > 0.01, "else it could stand anywhere"
        seen = [
            torch.einsum("nkh,nchw,nlw->nkcl", down, part, across).flatten(1) * gamma[:, None]
            for part in (image, image - canvas.sigmoid())
        ]
        encoder = lstm(torch.cat([*seen, decoder[0], y], 1), encoder, w, "encoder")  # type: ignore[arg-type]
        mean, log_deviation = linear(encoder[0], w, "to_code").chunk(2, 1)
        cost = cost + 0.5 * (mean**2 + (2 * log_deviation).exp() - 2 * log_deviation - 1).sum(1)
        code = mean + log_deviation.exp() * drawn
        decoder = lstm(torch.cat([code, y], 1), decoder, w, "decoder")  # type: ignore[arg-type]
        down, across, gamma = filters(decoder[0], w, "to_write")
        colours = linear(decoder[0], w, "to_patch").reshape(2, 4, 3, 4)
        canvas = canvas + torch.einsum("nkh,nkcl,nlw->nchw", down, colours, across) / gamma[:, None, None, None]
    logits, found = network(image, y, noise)
    assert torch.allclose(logits, canvas, atol=1e-4)
    assert torch.allclose(found, cost, rtol=1e-4)


def toy(count: int) -> dict[str, np.ndarray]:
    """Left or right half bright, as the condition says; the colour is nobody's to know."""
    draws = stream(0, "pictures")
    right = np.arange(count) % 2
    images = np.full((count, 8, 8, 3), 30, np.uint8)
    for k in range(count):
        images[k, :, 4 * right[k] : 4 * right[k] + 4] = draws.choice([[220, 40, 40], [40, 40, 220]])
    return {"image": images, "condition": np.stack([2 * right - 1, 0 * right], 1).astype(np.float32)}


def test_a_toy_is_learned_and_the_weights_draw_it(tmp_path: Path) -> None:
    data = toy(16)
    config = DrawTrainingConfig(network=SMALL.model_copy(update={"hidden": 32}), learning_rate=1e-2)
    settings = LoopSettings(
        steps=200, batch_size=16, device="cpu", threads=1, preview_every=250, log_every=250, tensorboard=False,
        progress=False, channels_last=False,
    )  # fmt: skip
    whitening = Whitening(torch.zeros(2), torch.eye(2))
    outcome = train_draw(
        lambda step: data, whitening, torch.full((3, 8, 8), 0.3), tmp_path, config, settings, validation=data
    )
    image = torch.from_numpy(data["image"]).permute(0, 3, 1, 2) / 255
    network = outcome.shown["draw"]
    assert isinstance(network, Draw)
    terms = elbo(network, image, torch.from_numpy(data["condition"]), torch.Generator().manual_seed(0))
    own_entropy = float(reconstruction(torch.logit(image.clamp(1e-4, 1 - 1e-4)), image).mean())
    assert float(terms["reconstruction"]) < own_entropy + 6  # 71 at the beginning
    assert math.log(2) / 2 < float(terms["latent"]) < 6  # the colour costs a bit, and no more than some
    renderer = DrawRenderer.load(tmp_path / "weights.safetensors")
    requests = [FaceRequest(1, index) for index in range(8)]
    drawn = to_photos(renderer.draw(data["condition"][:8], requests))
    for picture, where in zip(drawn, data["condition"][:8, 0], strict=True):
        halves = picture[:, :4].mean(), picture[:, 4:].mean()
        assert (halves[1] > halves[0] + 20) == (where > 0)
    alone = to_photos(renderer.draw(data["condition"][5:6], requests[5:6]))[0]
    assert np.array_equal(alone, drawn[5])  # whoever else was asked for
    assert len(renderer.stages(data["condition"][:1], requests[:1])[0]) == 3


def test_other_weights_are_refused(tmp_path: Path) -> None:
    network = Draw(SMALL)
    outcome = Outcome(1, True, None, {"draw": network}, 16)
    path = tmp_path / "weights.safetensors"
    export(outcome, Whitening(torch.zeros(2), torch.eye(2)), path, DrawTrainingConfig(network=SMALL))
    assert DrawRenderer.load(path).version == "imagine-draw-0k"
    with pytest.raises(WeightsError, match="no such weights file"):
        DrawRenderer.load(tmp_path / "none.safetensors")


def written(path: Path, layer: str = "pool") -> Path:
    """Untrained weights that read 1,792 features, as the packaged mixture gives them."""
    network = Draw(SMALL)
    whitening = Whitening(torch.zeros(1792), torch.ones(1792, 2) / 100)
    export(
        Outcome(1, True, None, {"draw": network}, 16), whitening, path, DrawTrainingConfig(network=SMALL, layer=layer)
    )
    return path


def test_words_are_drawn_by_draw_with_their_stages(cli_here: Callable[..., Result], tmp_path: Path) -> None:
    out, weights = tmp_path / "o", written(tmp_path / "draw.safetensors")
    words = ("imagine", "smiling, woman", "--preset", "paper", "--seed", "1", "--set", "render=draw", "--set")
    done = cli_here(*words, f"draw={weights}", "--count", "3", "--set", "stages=yes", "--unmarked", "--out", str(out))
    assert done.exit_code == 0, done.output
    row = json.loads((out / "manifest.jsonl").read_text().splitlines()[2])
    assert (row["render"], row["layer"]) == ("draw", "pool")
    assert row["model_version"].endswith("+imagine-draw-0k")
    face = read_photo(out / "00002.png")
    assert face.shape == (8, 8, 3)
    stages = read_photo(out / "stages.png")
    assert stages.shape == (3 * (8 + 2) + 2, 3 * (8 + 2) + 2, 3)  # three faces, three glimpses
    assert np.array_equal(stages[22:30, 22:30], face)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "--set: draw not given; with render=draw it is the RUN/weights.safetensors of `mien train mixture"),
        (("--set", "curves=yes"), "--set: curves is not read with render=draw"),
        (("--size", "128"), "--size: preset 'paper', method 'mixture' does not use it"),
    ],
)
def test_what_draw_cannot_do_is_refused(
    cli_here: Callable[..., Result], tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    words = ("imagine", "smiling", "--preset", "paper", "--set", "render=draw", "--out", str(tmp_path / "o"))
    done = cli_here(*words, *more)
    assert isinstance(done.exception, RequestError), done.output
    assert message in str(done.exception)


def test_a_mixture_of_another_layer_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "draw.safetensors", "block17_10")
    with pytest.raises(RequestError, match="draws from activations of 'block17_10'; the mixture's are of 'pool'"):
        draw_renderer(path, "pool")


def test_a_report_judges_draw_on_the_mixture_and_on_photographs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Face k of description p is face p * K + k of the command line, laid into its place of the crop."""

    class Known:
        layer = "pool"

        def target(self, names: Sequence[str], draws: np.random.Generator) -> np.ndarray:
            return draws.standard_normal(1792) + len(names)

    def seen(encoder: object, crops: np.ndarray, tap: str, **other: object) -> np.ndarray:
        return crops.reshape(len(crops), -1)[:, :1792].astype(np.float32)

    monkeypatch.setattr(evaluate_imagine_draw, "load_encoder", lambda name: None)
    monkeypatch.setattr(evaluate_imagine_draw, "encoded", seen)
    path = written(tmp_path / "draw.safetensors")
    row = FaceRow("a", "s", "test", "x", 0, None, None, None)
    chosen = [AttributeSet(row, {"Smiling": True, "Male": bool(k % 2)}) for k in range(18)]
    photos = stream(0, "photos").integers(0, 256, (18, 32, 32, 3)).astype(np.uint8)
    mixed, own = evaluate_imagine_draw.drawn_methods(path, Known(), chosen, photos, 2, 5, silent)  # type: ignore[arg-type]
    assert (mixed.name, own.name) == ("paper (cGMM, DRAW)", "photo's features, DRAW")
    assert mixed.crops.shape == own.crops.shape == (18, 2, 32, 32, 3)
    renderer = DrawRenderer.load(path)
    target = Known().target(("Smiling", "Male"), sample_generator(5, 17 * 2 + 1))
    alone = to_photos(renderer.draw(target[None], [FaceRequest(5, 17 * 2 + 1)]))[0]
    assert np.array_equal(mixed.crops[17, 1], in_crop(alone, renderer.frame, 32))
    photo = seen(None, photos[3:4], "pool")
    alone = to_photos(renderer.draw(photo, [FaceRequest(5, 6)]))[0]
    assert np.array_equal(own.crops[3, 0], in_crop(alone, renderer.frame, 32))
