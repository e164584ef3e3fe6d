"""Portraits refined: what moves the code, and that a few steps bring it nearer to the person."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.core.records import Pose
from mien.core.seeding import stream
from mien.faces.pose import angles_degrees, mean_shape, pose, rotation_of_pose
from mien.faces.readers import FaceReaders
from mien.generators.decoder import Decoder, DecoderConfig
from mien.generators.portrait import mien, refine
from mien.generators.portrait.mien import MienPortrait
from mien.generators.portrait.neutral import NeutralConfig, Neutraliser
from mien.generators.portrait.refine import darkness, mouth_gap, refined, tones
from mien.generators.portrait.settings import RefineConfig

SMALL = DecoderConfig(features=6, style=2, trunk=8, code=8, channels=(8, 8, 8, 8), rgb_from_px=8)


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    shape = mean_shape()
    r = rotation_of_pose(Pose(yaw, pitch, roll))
    return (shape.points @ r.T * 40 + [0, 0, 3]) * [1, -1, -1] + 96


def test_angles_agree_with_pose() -> None:
    random = stream(0, "angles")
    meshes = [turned(*random.uniform(-50, 50, 3)) + random.normal(0, 0.5, (468, 3)) for _ in range(20)]
    ours = angles_degrees(torch.from_numpy(np.stack(meshes)))
    for mesh, row in zip(meshes, ours.tolist(), strict=True):
        known = pose(mesh)
        assert row == pytest.approx([known.yaw_degrees, known.pitch_degrees, known.roll_degrees], abs=0.02)


def test_gradients_of_angles_agree_with_finite_differences() -> None:
    mesh = torch.from_numpy(turned(12, -7, 4)).float()
    moving = mesh[None].clone().requires_grad_(True)
    direction = torch.randn(mesh.shape, generator=torch.Generator().manual_seed(0))
    for axis in range(3):
        (slope,) = torch.autograd.grad(angles_degrees(moving)[0, axis], [moving])
        step = 0.3
        ends = [angles_degrees((mesh + sign * step * direction)[None])[0, axis] for sign in (1, -1)]
        assert float((slope[0] * direction).sum()) == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=0.02)


def test_mouth_and_background_by_hand() -> None:
    from mien.evaluation.portrait import mouth_opening

    mesh = turned(0, 0, 0) + stream(0, "lips").normal(0, 1, (468, 3))
    assert float(mouth_gap(torch.from_numpy(mesh[None]))) == pytest.approx(mouth_opening(mesh), rel=1e-5)
    white = torch.ones(1, 3, 64, 64)
    assert float(darkness(white)) == pytest.approx(1e-3, abs=1e-6)
    white[:, :, 40:, :] = -1  # below the strips
    white[:, :, :, 10:54] = -1  # between them
    assert float(darkness(white)) == pytest.approx(1e-3, abs=1e-6)
    assert float(darkness(-torch.ones(2, 3, 64, 64))[1]) == pytest.approx(2)


def test_tones_are_those_of_the_face_without_its_features() -> None:
    images = stream(0, "tones").normal(0, 0.3, (2, 3, 64, 64)).astype(np.float32)
    shown = torch.from_numpy(images)
    around = shown.clone()
    around[:, :, :16], around[:, :, 56:], around[..., :16], around[..., 48:] = -1, 1, 1, -1  # hair, clothes, background
    assert torch.equal(tones(around), tones(shown))
    assert torch.allclose(tones(shown - 0.2), tones(shown) - 0.2, atol=1e-6)
    features = shown.clone().unflatten(3, (8, 8)).flip(4).flatten(3)  # moved within eight pixels
    assert torch.allclose(tones(features), tones(shown), atol=1e-6)


def test_skin_does_not_drift_where_the_encoder_does_not_mind() -> None:
    torch.manual_seed(0)
    decoder = Decoder(SMALL).eval().requires_grad_(False)
    planes = [torch.zeros_like(plane) for plane in decoder.noise_planes(1, torch.Generator().manual_seed(0))]
    code, wanted = torch.randn(1, 8), torch.nn.functional.normalize(torch.randn(1, 3))
    drifts = []
    for tone in (0.0, 30.0):
        config = RefineConfig(steps=12, rate=0.2, turn=0.0, mouth=0.0, dark=0.0, tone=tone)
        after = refined(code, planes, decoder, FaceReaders(Eye(), None), wanted, config)  # type: ignore[arg-type]
        drift = tones(decoder.decode(after, planes)) - tones(decoder.decode(code, planes))
        drifts.append(float(drift.square().mean()))
    assert drifts[1] < 0.5 * drifts[0]


class Eye:
    """Reads the colours of quarters of the picture: six values, and their first three as embedding."""

    name, input_size, taps = "eye", 16, ("pool", "embedding")
    network: nn.Module

    def __call__(self, images: Tensor, taps: object) -> dict[str, Tensor]:
        pooled = torch.nn.functional.adaptive_avg_pool2d(images, (1, 2)).flatten(1)
        return {"pool": pooled, "embedding": torch.nn.functional.normalize(pooled[:, :3])}


def test_refined_pictures_are_read_as_the_person_and_rows_do_not_mix() -> None:
    torch.manual_seed(0)
    decoder = Decoder(SMALL).eval().requires_grad_(False)
    planes = [torch.zeros_like(plane) for plane in decoder.noise_planes(1, torch.Generator().manual_seed(0))]
    config = RefineConfig(steps=12, rate=0.2, turn=0.0, mouth=0.0, dark=0.0, tone=0.0)
    readers = FaceReaders(Eye(), None)  # type: ignore[arg-type]
    codes = torch.randn(2, 8)
    wanted = torch.nn.functional.normalize(torch.randn(2, 3))

    def likeness(code: Tensor, row: int) -> float:
        seen = Eye()(refine.align.encoder_window(decoder.decode(code, planes), 16), ())
        return float((seen["embedding"] * wanted[row]).sum())

    for row in range(2):
        code = codes[row : row + 1]
        after = refined(code, planes, decoder, readers, wanted[row : row + 1], config)
        assert 1 - likeness(after, row) < 0.7 * (1 - likeness(code, row))
        assert torch.equal(after, refined(code.clone(), planes, decoder, readers, wanted[row : row + 1], config))
        still = refined(code, planes, decoder, readers, wanted[row : row + 1], RefineConfig(steps=0))
        assert torch.equal(still, code)


def test_faces_refined_together_are_those_refined_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    torch.manual_seed(0)
    maker = MienPortrait(Decoder(SMALL), Neutraliser(NeutralConfig(features=6, style=2)), "1")
    maker.refine = RefineConfig(steps=12, rate=0.2, turn=0.0, mouth=0.0, dark=0.0, tone=0.0)
    monkeypatch.setattr(mien, "AT_ONCE", 2)
    eye = Eye()
    eye.network = nn.Module()
    readers = FaceReaders(eye, None)  # type: ignore[arg-type]
    codes, people = torch.randn(3, 8), nn.functional.normalize(torch.randn(3, 3))
    together = maker._refined(codes, people, readers)
    for row in range(3):
        alone = maker._refined(codes[row : row + 1], people[row : row + 1], readers)
        assert torch.allclose(together[row : row + 1], alone, atol=1e-4)
        assert float((alone - codes[row : row + 1]).abs().max()) > 0.1


def test_whatever_makes_another_picture_is_another_version() -> None:
    assert RefineConfig().version == "refined-8b"
    assert RefineConfig(steps=0, rate=1.0).version == ""
    assert RefineConfig(steps=3, rate=0.05, tone=0.0).version == "refined-3b-rate-0.05-tone-0"
