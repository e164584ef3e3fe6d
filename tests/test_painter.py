"""The painter: its basis, its network, its optimiser, and that it learns."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mien.core.checkpoints import WEIGHTS
from mien.core.contract import FaceRequest
from mien.core.errors import RequestError
from mien.core.images import from_values, to_photos, to_tensor, to_values
from mien.generators.enlarger import Enlarger, EnlargerConfig, EnlargerNetwork
from mien.generators.painter.backdrop import evened
from mien.generators.painter.basis import PatchBasis, folding
from mien.generators.painter.crispness import SHARE, SIZE, crisp
from mien.generators.painter.network import Given, Painter, PainterConfig
from mien.generators.painter.renderer import PainterRenderer
from mien.generators.painter.sampling import sample, times
from mien.generators.painter.scenes import LENDERS, Scenes, fit_scenes
from mien.pipelines.crowd import load_crowd
from mien.pipelines.train.begun import begun_with
from mien.training.loop import LoopSettings
from mien.training.muon import Muon, orthogonal
from mien.training.painter import PaintedSet, PainterTrainingConfig, flow_error, forgetful, train_painter, whole

TINY = PainterConfig(
    size_px=32, patch_px=16, channels=6, code=4, conditions=3, sources=2, width=24, depth=2, heads=2, hidden=32
)


def images(count: int, size: int = 32) -> torch.Tensor:
    draws = torch.Generator().manual_seed(3)
    small = torch.randn(count, 3, 4, 4, generator=draws)
    return torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic").clamp(-1, 1)


def painted(count: int = 12) -> PaintedSet:
    draws = np.random.default_rng(0)
    tokens = draws.standard_normal((count, TINY.tokens, TINY.channels)).astype(np.float32)
    codes = draws.standard_normal((count, TINY.code)).astype(np.float32)
    conditions = draws.standard_normal((count, TINY.conditions)).astype(np.float32)
    conditions[::3, 1] = np.nan
    valid = np.ones((count, TINY.tokens), np.float32)
    return PaintedSet(tokens, codes, conditions, valid, np.arange(count) % 2)


def batch_of(faces: PaintedSet, count: int) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(np.array(value))
        for name, value in faces.rows(np.arange(count)).items()
        if name != "shared"
    }


@pytest.mark.parametrize(("size", "patch"), [(128, 16), (32, 16), (48, 8)])
def test_folding_is_orthonormal_and_leaves_the_outer_border_alone(size: int, patch: int) -> None:
    matrix = folding(size, patch)
    assert torch.allclose(matrix @ matrix.T, torch.eye(size), atol=1e-6)
    reach = patch // 2
    assert torch.equal(matrix[:reach, :reach], torch.eye(reach))


def test_all_coefficients_give_the_picture_back() -> None:
    basis = PatchBasis(32, 16, 3 * 16 * 16)
    photos = images(8)
    basis.fit(photos)
    assert torch.allclose(basis.decode(basis.encode(photos)), photos, atol=1e-4)


def test_few_coefficients_give_the_best_picture_and_no_seam() -> None:
    photos = images(16)
    basis = PatchBasis(32, 16, 24)
    basis.fit(photos)
    tokens = basis.encode(photos)
    assert float(tokens.square().mean()) == pytest.approx(1, abs=0.05)
    error = (basis.decode(tokens) - photos).square().mean()
    other = PatchBasis(32, 16, 24)  # axes of the first values instead of the principal ones
    assert error < (other.decode(other.encode(photos)) - photos).square().mean()
    # What one token holds reaches over its border and fades out there: no step at the seam.
    one = torch.zeros(1, 4, 24)
    one[0, 0, 0] = 1
    drawn = (basis.decode(one) - basis.decode(0 * one))[0, 0]
    assert float((drawn[:, 15] - drawn[:, 16]).abs().max()) < 0.35 * float(drawn.abs().max())
    assert float(drawn[:, 16:].abs().max()) > 0


def test_orthogonal_keeps_singular_vectors_and_makes_values_one() -> None:
    draws = torch.Generator().manual_seed(1)
    for shape in ((2, 12, 20), (1, 20, 12)):
        found = orthogonal(torch.randn(*shape, generator=draws))
        values = torch.linalg.svdvals(found)
        assert float((values - 1).abs().max()) < 0.2
    left, right = torch.linalg.qr(torch.randn(8, 8, generator=draws))[0], torch.eye(8)
    given = left @ torch.diag(torch.linspace(1, 3, 8)) @ right
    assert torch.allclose(orthogonal(given[None])[0], left, atol=0.25)


def test_other_parameters_move_as_by_torchs_adamw() -> None:
    draws = torch.Generator().manual_seed(1)
    ours = torch.nn.Parameter(torch.randn(5, 3, generator=draws))
    theirs = torch.nn.Parameter(ours.detach().clone())
    mine = Muon([], [ours], lr=0.01, other_share=1.0)
    reference = torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.95), weight_decay=0.01)
    for _ in range(5):
        gradient = torch.randn(5, 3, generator=draws)
        for parameter, optimiser in ((ours, mine), (theirs, reference)):
            parameter.grad = gradient.clone()
            optimiser.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_what_is_not_known_does_not_count() -> None:
    """A dropped code, condition, look and border change nothing, whatever their values are."""
    torch.manual_seed(0)
    painter = Painter(TINY).eval()
    for parameter in painter.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    batch, time = batch_of(painted(), 4), torch.full((4,), 0.5)
    noisy = torch.randn(4, TINY.tokens, TINY.channels)
    given = whole(batch)
    unknown, nowhere = torch.zeros_like(given.code_known), torch.full_like(given.source, TINY.sources)
    hidden = replace(
        given, code_known=unknown, conditions_known=torch.zeros_like(given.conditions_known), source=nowhere
    )
    other = Given(
        -given.code, hidden.code_known, given.code_noise + 1, given.conditions + 1, hidden.conditions_known,
        hidden.source, given.valid, given.valid_known,
    )  # fmt: skip
    assert torch.allclose(painter(noisy, time, hidden), painter(noisy, time, other), atol=1e-6)
    assert not torch.allclose(painter(noisy, time, hidden), painter(noisy, time, given), atol=1e-3)


def test_forgetting_drops_as_often_as_it_says_and_keeps_the_variance_of_codes() -> None:
    faces = painted(4000)
    given = forgetful(batch_of(faces, 4000), PainterTrainingConfig(painter=TINY), torch.Generator().manual_seed(0))
    assert float(given.code_known.mean()) == pytest.approx(0.9, abs=0.02)
    assert float(given.conditions_known[:, 0].mean()) == pytest.approx(0.75 * 0.65, abs=0.03)
    assert float((given.source == TINY.sources).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert float(given.code.var()) == pytest.approx(1, abs=0.05)
    assert not given.conditions.isnan().any()
    assert not (given.conditions_known[::3, 1] > 0).any(), "what nobody knows is never known"


def test_patches_outside_the_photograph_teach_next_to_nothing() -> None:
    faces = painted(2)
    batch = batch_of(faces, 2)
    valid = batch["valid"].clone()
    valid[:, 0] = 0

    def predicted(noisy: torch.Tensor, time: torch.Tensor, given: Given) -> torch.Tensor:
        made = batch["tokens"].clone()
        made[:, 0] += 10  # wrong in the one patch that is mirrored
        return made

    time, normals = torch.full((2,), 0.3), torch.zeros_like(batch["tokens"])
    inside = flow_error(predicted, batch["tokens"], batch["valid"], whole(batch), time, normals)
    outside = flow_error(predicted, batch["tokens"], valid, whole(batch), time, normals)
    assert float(outside.max()) < 0.05 * float(inside.min())


def test_it_learns_faces_by_heart_and_a_resumed_run_is_the_same(tmp_path: object) -> None:
    from pathlib import Path

    where = Path(str(tmp_path))
    faces = painted(2)
    config = PainterTrainingConfig(painter=TINY, forget_code=0.0, largest_code_noise=0.0, warmup_steps=5)

    def run(out: Path, steps: int, *, minutes: float | None = None, resume: bool = False) -> torch.nn.Module:
        settings = LoopSettings(
            steps=steps, batch_size=16, threads=1, tensorboard=False, progress=False, minutes=minutes,
            channels_last=False, checkpoint_every=20,
        )  # fmt: skip
        found = train_painter(faces.batch_at(16, 0), out, config, settings, resume=resume)
        painter: torch.nn.Module = found.shown["painter"]
        return painter

    once = run(where / "once", 150)
    run(where / "twice", 150, minutes=0.005)
    again = run(where / "twice", 150, resume=True)
    for a, b in zip(once.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    batch = batch_of(faces, 2)
    noise = torch.randn(batch["tokens"].shape, generator=torch.Generator().manual_seed(1))
    assert isinstance(once, Painter)
    made = sample(once, whole(batch), noise, steps=12)
    to_own = (made - batch["tokens"]).square().mean((1, 2))
    to_other = (made - batch["tokens"].flip(0)).square().mean((1, 2))
    assert bool((to_own < 0.5 * to_other).all()), (to_own, to_other)


def tiny_renderer(look: str = "studio", finisher: Enlarger | None = None) -> PainterRenderer:
    torch.manual_seed(0)
    painter, basis = Painter(TINY), PatchBasis(TINY.size_px, TINY.patch_px, TINY.channels)
    for parameter in painter.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    basis.fit(images(8))
    frame = {
        "mean": torch.zeros(6), "deviation": torch.ones(6), "axes": torch.eye(6, TINY.code),
        "scale": torch.ones(TINY.code),
    }  # fmt: skip
    about = {
        "version": "tiny", "conditions": ["grey", "age", "Smiling"], "sources": ["generated", "lfw"],
        "asked": {"grey": 0.0}, "scale": {"grey": [0, 1], "age": [0.3, 0.2], "Smiling": [0.5, 0.5]},
    }  # fmt: skip
    return PainterRenderer(painter, basis, frame, about, look, scenes_of(np.random.default_rng(0)), finisher=finisher)


def test_a_painted_face_depends_on_its_own_request_alone() -> None:
    renderer = tiny_renderer()
    features = np.random.default_rng(1).standard_normal((11, 6))
    requests = [FaceRequest(4, k) for k in range(11)]
    together = renderer.draw(features, requests)
    assert len(together) == 11
    assert together[0].shape == (3, 32, 32)
    alone = renderer.draw(features[9:10], requests[9:10])[0]
    assert np.array_equal(alone, together[9])
    assert not np.array_equal(renderer.draw(features[9:10], [FaceRequest(5, 9)])[0], alone)
    assert not np.array_equal(renderer.draw(features[8:9], requests[9:10])[0], alone)


def test_what_is_asked_of_all_is_what_is_asked_of_each() -> None:
    renderer = tiny_renderer()
    features, requests = np.zeros((2, 6)), [FaceRequest(1, 0), FaceRequest(1, 1)]
    plain = renderer.draw(features, requests)
    of_all = renderer.asking({"age": 0.7, "Wings": 1.0}).draw(features, requests)
    of_each = renderer.draw(features, requests, asked=[{"age": 0.7}, {}])
    assert np.array_equal(of_all[0], of_each[0])
    assert np.array_equal(plain[1], of_each[1])
    assert not np.array_equal(plain[0], of_all[0])


def test_a_look_is_one_of_four_and_changes_the_picture() -> None:
    features, requests = np.zeros((1, 6)), [FaceRequest(1, 0)]
    pictures = [tiny_renderer(look).draw(features, requests)[0] for look in ("studio", "news", "any")]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    with pytest.raises(RequestError, match="look: 'opera' given; allowed: studio, natural, news, any"):
        tiny_renderer("opera")


def test_a_finisher_doubles_pictures_and_smaller_ones_are_of_the_same_face() -> None:
    plain = tiny_renderer()
    torch.manual_seed(1)
    sizes = {"channels": 4, "blocks": 1, "deep_channels": 8, "deep_blocks": 1}
    network = EnlargerNetwork(EnlargerConfig(**sizes, deepest_channels=8, deepest_blocks=1))
    torch.nn.init.normal_(network.out.weight, std=0.05)
    renderer = tiny_renderer(finisher=Enlarger(network, "fin"))
    features, requests = np.zeros((2, 6)), [FaceRequest(1, 0), FaceRequest(1, 1)]
    large, small = (one.draw(features, requests) for one in (renderer, renderer.at(32)))
    assert large.shape == (2, 3, 64, 64)
    assert small.shape == (2, 3, 32, 32)
    assert (torch.nn.functional.avg_pool2d(large.clamp(-1, 1), 2) - small).abs().max() < 1e-5
    assert len(set((127.5 * large + 127.5).frac().flatten().tolist())) > 1000, "no network's picture is rounded"
    other = tiny_renderer("news", Enlarger(network, "fin")).draw(features, requests)
    assert other.shape == large.shape
    assert np.array_equal(renderer.unfinished().draw(features, requests), plain.draw(features, requests))
    assert not np.array_equal(small, plain.draw(features, requests))
    assert renderer.version == f"{plain.version}+fin"
    with pytest.raises(RequestError, match="size: 48 px given; allowed: 32, 64"):
        renderer.at(48)
    with pytest.raises(RequestError, match="size: 64 px given; allowed: 32"):
        plain.at(64)


def test_the_packaged_painter_makes_labelled_faces() -> None:
    crowd = load_crowd("painter")
    faces = crowd.sample(2, sex="female", age=30, attributes={"Smiling": True}, seed=3)
    assert [face.labels.sex for face in faces] == ["female", "female"]
    assert faces[0].image.shape in {(128, 128, 3), (256, 256, 3)}
    assert faces[0].image.std() > 20
    assert np.array_equal(crowd.sample(1, sex="female", age=30, attributes={"Smiling": True}, seed=3, first=1)[0].image,
                          faces[1].image)  # fmt: skip


def gaussian(deviation: float) -> Painter:
    """A painter that knows the answer: of normals of that deviation, the mean of the clean tokens given the noisy."""

    class Known(Painter):
        def forward(self, tokens: torch.Tensor, time: torch.Tensor, given: Given) -> torch.Tensor:
            t = time[:, None, None]
            found: torch.Tensor = tokens * t * deviation**2 / (t**2 * deviation**2 + (1 - t) ** 2)
            return found

    return Known(TINY)


def test_the_solver_ends_where_the_flow_of_a_gaussian_does() -> None:
    """The exact flow takes every normal to ``deviation`` times itself; Euler's method ends well beside it."""
    noise = torch.randn(5, TINY.tokens, TINY.channels, generator=torch.Generator().manual_seed(0))
    given = whole(batch_of(painted(), 5))
    for deviation in (0.3, 1.0, 2.0):
        for steps, share in ((8, 0.8), (16, 0.3)):
            x, known = noise, gaussian(deviation)
            for here, there in itertools.pairwise(times(steps)):
                clean = known(x, torch.full((5,), here), given)
                x = x + (clean - x) / (1 - here) * (there - here)
            made = sample(known, given, noise, steps=steps)
            error, euler = (float((end - deviation * noise).square().mean().sqrt()) for end in (made, x))
            assert error < share * euler, (deviation, steps, error, euler)


def test_repainting_keeps_as_much_of_a_picture_as_it_is_told() -> None:
    renderer = tiny_renderer()
    pictures = to_photos(images(3))
    features, requests = np.zeros((3, 6)), [FaceRequest(1, k) for k in range(3)]

    def apart(kept: float) -> float:
        made = to_photos(renderer.repaint(features, requests, pictures, np.full(3, kept)))
        return float(np.abs(made.astype(float) - pictures).mean())

    assert np.array_equal(
        renderer.repaint(features, requests, pictures, np.zeros(3)), renderer.draw(features, requests)
    )
    assert apart(0.95) < apart(0.5) < apart(0.0)
    one = renderer.repaint(features[1:2], requests[1:2], pictures[1:2], [0.5])[0]
    assert np.array_equal(one, renderer.repaint(features, requests, pictures, [0.2, 0.5, 0.7])[1])
    with pytest.raises(RequestError, match="wanted N S S 3"):
        renderer.repaint(features, requests, pictures[:, :16], np.zeros(3))


def scenes_of(draws: np.random.Generator) -> Scenes:
    codes = draws.standard_normal((200, TINY.code)).astype(np.float32)
    ages = draws.uniform(1, 90, 200).astype(np.float32)
    conditions = {"grey": codes[:, 0], "Smiling": draws.standard_normal(200).astype(np.float32)}
    looks = {"studio": range(100), "news": range(100, 200)}
    return fit_scenes(codes, conditions, ages, [k % 2 for k in range(200)], looks)


def test_a_scene_is_lent_by_a_photograph_of_that_look_age_and_promise() -> None:
    draws = np.random.default_rng(0)
    scenes = scenes_of(draws)
    again = Scenes.of(scenes.tensors(), scenes.names, scenes.look_names)
    assert again is not None
    code = np.array([1.5, 0, 0, 0], np.float32)
    lent = [scenes.lend(code, 70.0, "news", np.random.default_rng(k)) for k in range(40)]
    assert lent == [again.lend(code, 70.0, "news", np.random.default_rng(k)) for k in range(40)]
    values = {one[0]["grey"] for one in lent if one}
    assert 1 < len(values) <= LENDERS
    of_look = scenes.values[scenes.looks == 1]
    assert values <= set(of_look[:, 0].tolist())
    rows = [int(np.flatnonzero(scenes.values[:, 0] == np.float32(value))[0]) for value in values]
    assert np.abs(scenes.ages_years[rows] - 70).mean() < 0.6 * np.abs(scenes.ages_years[100:] - 70).mean()
    assert scenes.values[rows, 0].mean() > of_look[:, 0].mean(), "the code promises more of it than most"
    assert scenes.lend(code, 70.0, "opera", np.random.default_rng(0)) is None
    assert Scenes.of({}, (), ()) is None


def test_a_studios_cloth_is_even_and_the_sitter_is_left_alone() -> None:
    """A head and shoulders before a mottled grey: the mottles go, their mean and the face stay."""
    draws = np.random.default_rng(0)
    rows, columns = np.mgrid[0:256, 0:256]
    person = ((rows - 120) / 85) ** 2 + ((columns - 128) / 62) ** 2 < 1
    person |= (rows > 205) & (np.abs(columns - 128) < 50 + (rows - 205))
    picture = np.full((256, 256, 3), 190.0)
    picture += np.kron(draws.standard_normal((32, 32, 1)), np.ones((8, 8, 1))) * 8
    picture[person] = (150, 100, 80)
    shown = np.clip(picture, 0, 255).astype(np.uint8)
    (made,) = to_photos(evened(to_tensor(shown), [np.random.default_rng(0)]))
    cloth = np.s_[10:120, 8:50]
    smooth = cv2.GaussianBlur(made.astype(np.float32), (0, 0), 3.0)
    assert smooth[cloth].std() < 0.35 * shown[cloth].astype(float).std()
    assert 0.3 < (made - smooth)[cloth].std() < 8, "the grain of a photograph"
    assert abs(float(made[cloth].mean()) - float(shown[cloth].mean())) < 2
    face = np.s_[80:160, 90:166]
    assert np.abs(made[face].astype(float) - shown[face]).mean() < 1


def test_detail_gets_contrast_and_what_is_even_stays() -> None:
    """Of a wave the amplitude grows as an unsharp mask says; a plain colour and the mean stay."""
    x = np.arange(256)
    for cycles in (2, 16, 40):
        wave = 128 + 40 * np.sin(2 * np.pi * cycles * x / 256)
        picture = np.repeat(np.repeat(wave[None, :, None], 256, 0), 3, 2).astype(np.float32)
        (made,) = to_values(crisp(from_values(picture[None])))
        kept = np.exp(-2 * (np.pi * cycles * SIZE) ** 2)  # of the wave, by the blur
        inner = np.s_[64:192, 64:192]
        assert made[inner].std() / picture[inner].std() == pytest.approx(1 + SHARE * (1 - kept), rel=0.02)
        assert made.mean() == pytest.approx(128, abs=0.5)
    plain = np.full((1, 256, 256, 3), 77, np.float32)
    assert np.abs(to_values(crisp(from_values(plain))) - 77).max() < 0.01


def test_hair_that_a_mask_takes_for_background_stays() -> None:
    """A dark lock in the corner, where a mask sees background always; the cloth beside it keeps its own colour."""
    picture = np.full((256, 256, 3), 190, np.uint8)
    picture[60:256, 70:186] = (150, 100, 80)
    lock = np.s_[4:60, 4:40]
    picture[lock] = (70, 50, 35)
    (made,) = to_photos(evened(to_tensor(picture), [np.random.default_rng(0)]))
    assert np.abs(made[10:54, 10:34].astype(float) - picture[10:54, 10:34]).mean() < 1
    assert np.abs(cv2.blur(made, (9, 9))[75:115, 9:45].astype(int) - 190).max() <= 3, "the lock throws no shadow"


def test_training_goes_on_with_what_its_codes_and_sources_mean(tmp_path: Path) -> None:
    packaged = PainterRenderer.load(device="cpu")
    begun = begun_with(WEIGHTS / "painter.safetensors")
    assert begun.config == packaged.painter.config
    assert begun.images > 100_000
    features = np.random.default_rng(0).standard_normal((3, len(begun.frame.mean)))
    assert np.allclose(begun.frame.codes(features), packaged.codes(features), atol=1e-4)
    assert begun.sources_of(["ffhq", "lfw"]) == tuple(packaged.sources)
    with pytest.raises(RequestError, match="the data has the source 'mars'; its painter knows"):
        begun.sources_of(["ffhq", "mars"])
    with pytest.raises(RequestError, match="wanted is a RUN of `mien train painter` that ended, or its file"):
        begun_with(tmp_path)
