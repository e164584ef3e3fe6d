"""The converted networks compute what TensorFlow Lite computes; the mesh lands on faces; gradients are right."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mien.core.errors import WeightsError
from mien.core.photos import read_photo
from mien.core.records import Box, Detection
from mien.faces import align, detector, landmarks
from mien.pretrained.tflite_graph import TFLiteGraph

# What LiteRT 2.3.0 (ai-edge-litert) gives for ``pattern``: phase -> (presence logit, points 0, 33, 61, 152, 263, 467).
LITERT_POINTS = (0, 33, 61, 152, 263, 467)
LITERT_MESH = {
    0: (-8.158651, [[97.755, 122.475, -12.595], [56.277, 77.212, -1.762], [66.264, 127.967, -1.002],
                    [89.778, 162.825, 4.227], [138.005, 78.476, 15.808], [139.845, 74.649, 14.133]]),
    2: (-7.351758, [[82.963, 114.334, -12.81], [54.678, 69.11, 16.23], [60.186, 120.685, 8.655],
                    [83.736, 157.12, 1.054], [131.379, 70.353, -0.936], [133.121, 66.544, -2.796]]),
}  # fmt: skip
# phase -> (classificators of anchors 0, 300, 511, 512, 700, 895; regressors 0 to 5 of anchors 0, 300, 700).
LITERT_ANCHORS = ((0, 300, 511, 512, 700, 895), (0, 300, 700))
LITERT_BLAZEFACE = {
    0: ([-4.758, -4.473, -3.576, -4.979, -16.582, -75.515],
        [[1.267, -0.52, 28.658, 28.658, -2.841, -3.361], [0.025, -0.466, 22.5, 22.499, -2.708, -3.852],
         [4.367, 8.585, 87.996, 87.985, -1.13, -2.69]]),
    2: ([-4.659, -3.407, -3.457, -4.995, -7.038, -63.135],
        [[0.717, -0.548, 30.272, 30.272, -5.705, -2.091], [-0.624, 0.559, 21.068, 21.068, -4.786, -0.381],
         [1.086, 1.574, 75.386, 75.374, 1.431, -13.291]]),
}  # fmt: skip


def pattern(size: int, phase: float) -> torch.Tensor:
    """A smooth coloured pattern in about [0, 1], 1 3 size size."""
    y, x = np.mgrid[:size, :size] / size
    planes = [
        0.5 + 0.25 * np.sin(7 * x + 3 * y + phase + c) + 0.2 * np.cos(19 * x * y + 11 * y + 2 * c) for c in range(3)
    ]
    return torch.tensor(np.stack(planes), dtype=torch.float32)[None]


@pytest.fixture(scope="module")
def mesh() -> landmarks.FaceMesh:
    return landmarks.load_mesh()


def test_both_networks_give_the_numbers_of_litert(mesh: landmarks.FaceMesh) -> None:
    blazeface = detector.load_detector()
    with torch.inference_mode():
        out = mesh(torch.cat([pattern(192, 0), pattern(192, 2)]))  # a batch of two, as LiteRT cannot
        seen = blazeface(torch.cat([pattern(128, 0), pattern(128, 2)]) * 2 - 1)
    for row, phase in enumerate((0, 2)):
        logit, points = LITERT_MESH[phase]
        assert float(out[landmarks.PRESENCE_OUTPUT][row]) == pytest.approx(logit, abs=1e-3)
        ours = out[landmarks.POINTS_OUTPUT][row].reshape(468, 3)[list(LITERT_POINTS)]
        assert np.abs(ours.numpy() - points).max() < 2e-3  # px; the target is 0.1
        scores, boxes = LITERT_BLAZEFACE[phase]
        assert seen["classificators"][row, list(LITERT_ANCHORS[0]), 0].numpy() == pytest.approx(scores, abs=2e-3)
        assert np.abs(seen["regressors"][row, list(LITERT_ANCHORS[1]), :6].numpy() - boxes).max() < 2e-3


def test_gradients_of_the_mesh_agree_with_finite_differences() -> None:
    exact = landmarks.load_mesh().double()
    rng = torch.Generator().manual_seed(6)
    crop = (pattern(192, 1) * 2 - 1).double().requires_grad_()
    direction = torch.randn(crop.shape, generator=rng, dtype=torch.float64)
    towards = torch.randn(468, 3, generator=rng, dtype=torch.float64)

    def value(x: torch.Tensor) -> torch.Tensor:
        return (landmarks.mesh_points(exact, x)[0] * towards).sum()

    (gradient,) = torch.autograd.grad(value(crop), crop)
    step = 1e-7
    with torch.no_grad():
        slope = (value(crop + step * direction) - value(crop - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-4)
    assert abs(float(slope)) > 1e-2


def test_autocast_and_half_precision_do_not_move_the_points(mesh: landmarks.FaceMesh) -> None:
    crop = pattern(192, 3) * 2 - 1
    with torch.inference_mode():
        still = landmarks.mesh_points(mesh, crop)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(landmarks.mesh_points(mesh, crop), still)
        assert landmarks.mesh_points(mesh, crop.bfloat16()).dtype == torch.float32


def test_the_weights_are_frozen_and_a_wrong_input_is_named(mesh: landmarks.FaceMesh) -> None:
    assert not list(mesh.parameters())
    with pytest.raises(ValueError, match=r"input of shape \(1, 3, 128, 128\), wanted N C 192 192"):
        mesh(torch.zeros(1, 3, 128, 128))


def small_graph(
    steps: list[dict[str, object]], size: tuple[int, int, int], outputs: dict[str, int]
) -> dict[str, object]:
    return {"input": 0, "input_size": list(size), "outputs": outputs, "steps": steps}


@pytest.mark.parametrize(
    ("side", "kernel", "padding"), [(8, 3, (0, 1)), (8, 5, (1, 2)), (7, 3, (1, 1)), (9, 5, (2, 2))]
)
def test_same_padding_at_stride_two_against_a_plain_loop(side: int, kernel: int, padding: tuple[int, int]) -> None:
    """A convolution with uneven padding, a depthwise one, PReLU, channel padding, pooling, in plain numpy."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(2, 3, side, side)).astype(np.float32)
    w, b = rng.normal(size=(5, 3, kernel, kernel)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    d, a = rng.normal(size=(5, 1, 3, 3)).astype(np.float32), rng.normal(size=(1, 1, 5)).astype(np.float32)
    steps: list[dict[str, object]] = [
        {"op": "conv_2d", "inputs": [0], "output": 1, "weight": "w", "bias": "b", "stride": [2, 2],
         "padding": [*padding, *padding], "groups": 1, "activation": "relu"},
        {"op": "depthwise_conv_2d", "inputs": [1], "output": 2, "weight": "d", "bias": "b", "stride": [1, 1],
         "padding": [1, 1, 1, 1], "groups": 5, "activation": "none"},
        {"op": "prelu", "inputs": [2], "output": 3, "weight": "a"},
        {"op": "pad", "inputs": [1], "output": 4, "padding": [0, 0, 0, 0, 0, 2]},
        {"op": "pad", "inputs": [3], "output": 5, "padding": [0, 0, 0, 0, 2, 0]},
        {"op": "add", "inputs": [4, 5], "output": 6},
        {"op": "reshape", "inputs": [6], "output": 7, "shape": [-1, 7]},
        {"op": "max_pool_2d", "inputs": [6], "output": 8, "kernel": [2, 2], "stride": [2, 2], "padding": [0, 0, 0, 0]},
    ]  # fmt: skip
    tensors = {name: torch.tensor(v).half() for name, v in (("w", w), ("b", b), ("d", d), ("a", a))}
    w, b, d, a = (tensors[name].float().numpy() for name in ("w", "b", "d", "a"))
    net = TFLiteGraph(tensors, small_graph(steps, (side, side, 3), {"rows": 7, "pooled": 8}))
    out = net(torch.tensor(x))

    def convolve(
        image: np.ndarray, weight: np.ndarray, stride: int, pad: tuple[int, int], depthwise: bool
    ) -> np.ndarray:
        image = np.pad(image, ((0, 0), (0, 0), pad, pad))
        k, count = weight.shape[-1], (image.shape[-1] - weight.shape[-1]) // stride + 1
        result = np.zeros((len(image), len(weight), count, count), np.float64)
        for i in range(count):
            for j in range(count):
                patch = image[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
                one = (patch * weight[:, 0]).sum((2, 3)) if depthwise else np.einsum("nchw,ochw->no", patch, weight)
                result[:, :, i, j] = one + b
        return result

    first = np.maximum(convolve(x, w, 2, padding, depthwise=False), 0)
    assert first.shape[-1] == -(-side // 2), "SAME keeps ceil(n / 2)"
    second = convolve(first, d, 1, (1, 1), depthwise=True)
    second = np.where(second > 0, second, second * a.reshape(1, 5, 1, 1))
    total = np.concatenate([first, np.zeros_like(first[:, :2])], 1) + np.concatenate([0 * second[:, :2], second], 1)
    assert out["rows"].numpy() == pytest.approx(total.transpose(0, 2, 3, 1).reshape(2, -1, 7), abs=1e-4)
    half = first.shape[-1] // 2 * 2
    pooled = total[:, :, :half, :half].reshape(2, 7, half // 2, 2, half // 2, 2).max((3, 5))
    assert out["pooled"].numpy() == pytest.approx(pooled, abs=1e-4)
    with torch.inference_mode():
        assert all(torch.equal(value, out[name]) for name, value in net(torch.tensor(x)).items())


@pytest.mark.parametrize("side", [6, 7])
def test_without_gradients_nothing_is_written_over_that_is_still_read(side: int) -> None:
    steps: list[dict[str, object]] = [
        {"op": "relu", "inputs": [0], "output": 1},  # the last to read the input, which is the caller's
        {"op": "add", "inputs": [1, 1], "output": 2},
        {"op": "relu", "inputs": [2], "output": 3},
        {"op": "reshape", "inputs": [2], "output": 4, "shape": [-1, 3]},
        {"op": "prelu", "inputs": [1], "output": 5, "weight": "a"},
        {"op": "add", "inputs": [5, 3], "output": 6},
        {"op": "add", "inputs": [6, 2], "output": 7},  # the last to read 2, of which 4 is a view
        {"op": "reshape", "inputs": [7], "output": 8, "shape": [-1, 3]},
        {"op": "relu", "inputs": [7], "output": 9},
        {"op": "max_pool_2d", "inputs": [9], "output": 10, "kernel": [2, 2], "stride": [2, 2], "padding": [0] * 4},
    ]
    outputs = {"view": 4, "rows": 8, "pooled": 10}
    net = TFLiteGraph({"a": torch.tensor([[[-2.0, 0.5, 3.0]]])}, small_graph(steps, (side, side, 3), outputs))
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    given, expected = x.clone(memory_format=torch.channels_last), net(x)
    with torch.inference_mode():
        found = net(given)
    assert torch.equal(given, x)
    assert all(torch.equal(found[name], expected[name]) for name in outputs)


def test_what_is_no_network_is_refused_in_one_line() -> None:
    with pytest.raises(WeightsError, match="carries no graph"):
        TFLiteGraph({}, {})
    step = {"op": "prelu", "inputs": [0], "output": 1, "weight": "slope"}
    with pytest.raises(WeightsError, match=r"lacks: \['slope'\]"):
        TFLiteGraph({}, small_graph([step], (4, 4, 3), {"y": 1}))


def test_the_68_points_are_68_and_keep_their_sides() -> None:
    from mien.faces.pose import mean_shape

    shape = mean_shape()
    points = shape.points[list(landmarks.IBUG_68)]
    assert len(set(landmarks.IBUG_68)) == 68
    # iBUG's own left-right pairs: jaw, brows, eye corners, mouth corners, nostrils; then the middle line.
    for left, right in ((0, 16), (17, 26), (36, 45), (39, 42), (48, 54), (31, 35)):
        assert points[left] == pytest.approx(points[right] * [-1, 1, 1], abs=0.02)
        assert points[left, 0] < 0
    assert np.abs(points[[8, 27, 30, 33, 51, 57], 0]).max() < 0.02


def test_the_square_of_a_detection_is_upright_and_one_and_a_half_times_the_box() -> None:
    eyes = np.array([[40, 60], [80, 100]] + [[60, 90]] * 4, np.float32)  # tilted by 45 degrees
    found = Detection(Box(20, 30, 120, 110), eyes, 0.9)
    transform = landmarks._roi_of_detection(found)
    placed = align.apply(transform, eyes[:2])
    assert placed[0, 1] == pytest.approx(placed[1, 1])
    assert placed[0, 0] < placed[1, 0]
    assert align.apply(transform, [[70, 70]])[0] == pytest.approx([95.5, 95.5])
    assert np.hypot(*transform[:, 0]) == pytest.approx(192 / 150)


def test_nothing_to_locate_gives_nothing() -> None:
    nothing = landmarks.FaceMesh({}, small_graph([{"op": "relu", "inputs": [0], "output": 1}], (192, 192, 3), {"y": 1}))
    photo = np.zeros((20, 20, 3), np.uint8)
    assert landmarks.locate(nothing, [], []) == []
    assert landmarks.locate(nothing, [photo, photo], [[], []]) == [[], []]


@pytest.mark.shared
def test_points_follow_the_photo_when_it_is_turned(shared_data: Path, mesh: landmarks.FaceMesh) -> None:
    """Turned, scaled and moved photos: the second run keeps the points within a hundredth of the face."""
    finder_detector = detector.load_detector()
    paths = sorted((shared_data / "lfw" / "lfw-deepfunneled").glob("*/*_0001.jpg"))[::200][:24]
    photos = [read_photo(path) for path in paths]
    rng = np.random.default_rng(8)
    moves = [cv2.getRotationMatrix2D((124.5, 124.5), rng.uniform(-25, 25), rng.uniform(0.8, 1.1)) for _ in photos]
    moved = [
        cv2.warpAffine(p, m, (250, 250), borderMode=cv2.BORDER_REFLECT_101) for p, m in zip(photos, moves, strict=True)
    ]

    def meshes(of: list[np.ndarray], runs: int) -> list[np.ndarray]:
        from mien.faces.find import central_index

        found = detector.detect(finder_detector, of)
        picked = [[f[central_index(f, p) or 0]] for f, p in zip(found, of, strict=True)]
        return [faces[0].mesh for faces in landmarks.locate(mesh, of, picked, runs=runs)]

    errors = {}
    for runs in (1, 2):
        pairs = zip(meshes(photos, runs), meshes(moved, runs), moves, strict=True)
        errors[runs] = np.array([
            np.sqrt(((align.apply(m, a) - b[:, :2]) ** 2).sum(1).mean()) / align.face_unit(b) for a, b, m in pairs
        ])  # fmt: skip
    assert np.median(errors[2]) < 0.005
    assert errors[2].max() < 0.03
    assert np.median(errors[2]) < 0.8 * np.median(errors[1]), "the second run does not help"
