"""Further readers of sex: small heads on other networks, whose logits are averaged with that of the attribute heads.

The heads read sex from FaceNet (``reader``). The other networks (``sex_sights``) were taught by other people's photos,
to other ends and on other windows of the face, so they err on different faces: together they err less than each. A
head reads maps near the end of its network, each the mean over a face and its mirror image.

dlib's network is also a judge of what mien generates; no generator is trained with any of these networks or heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.attributes.calibration import fit_temperature, sigmoid
from mien.attributes.heads import CLIP, FEMALE, MALE
from mien.attributes.packing import from_steps, in_steps
from mien.attributes.sex_sights import SIGHTS, Network, Sight, networks_of, sight_of
from mien.core.checkpoints import WEIGHTS, load_into, load_weights
from mien.core.config import Config
from mien.core.errors import RequestError, WeightsError
from mien.core.records import Float32Array
from mien.pretrained import registry as store

MODEL = "sex-readers"


class SexHeadConfig(Config):
    """How a head is built: enough to build it again."""

    widths: tuple[int, ...]  # numbers of each look
    inner: tuple[int, ...]  # what each look is brought to
    dropout: float = 0.4  # before every layer


class SexHead(nn.Module):
    """Looks (N D) -> the logit of "female" (N): one linear layer a look, SiLU, one linear layer over all."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: SexHeadConfig) -> None:
        super().__init__()
        self.config = config
        if len(config.widths) != len(config.inner):
            raise RequestError(f"{MODEL}: {len(config.widths)} looks, {len(config.inner)} inner widths given")
        self.register_buffer("mean", torch.zeros(sum(config.widths)))
        self.register_buffer("scale", torch.ones(sum(config.widths)))
        self.looks = nn.ModuleList(
            nn.Linear(width, inner) for width, inner in zip(config.widths, config.inner, strict=True)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.sex = nn.Linear(sum(config.inner), 1)

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Keep the mean and deviation (D each) of the training features inside; dead features stay dead."""
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 1e-4, 1 / deviation.clamp(min=1e-4), torch.zeros_like(deviation)))

    def inner(self, looks: Tensor) -> Tensor:
        """Looks (N D) -> what the last layer reads (N sum of ``inner``)."""
        if looks.ndim != 2 or looks.shape[1] != len(self.mean):
            raise ValueError(f"{MODEL}: looks of shape {tuple(looks.shape)}, wanted N {len(self.mean)}")
        x = ((looks - self.mean) * self.scale).clamp(-CLIP, CLIP)  # N D
        parts = torch.split(self.dropout(x), list(self.config.widths), 1)
        found = torch.cat([layer(part) for layer, part in zip(self.looks, parts, strict=True)], 1)
        brought: Tensor = self.dropout(F.silu(found))
        return brought

    def forward(self, looks: Tensor) -> Tensor:
        logits: Tensor = self.sex(self.inner(looks))[:, 0]
        return logits


def merged(heads: Sequence[SexHead]) -> SexHead:
    """One head whose logit is the mean of those of several that read the same looks, standardised alike."""
    first = heads[0].config
    if any(head.config.widths != first.widths for head in heads):
        raise RequestError(f"{MODEL}: heads of different looks cannot be one")
    inner = tuple(sum(head.config.inner[k] for head in heads) for k in range(len(first.widths)))
    whole = SexHead(first.model_copy(update={"inner": inner}))
    whole.load_state_dict({name: heads[0].state_dict()[name] for name in ("mean", "scale")}, strict=False)
    last = []
    for k, layer in enumerate(whole.looks):
        own = [head.looks[k] for head in heads]
        layer.load_state_dict({name: torch.cat([one.state_dict()[name] for one in own]) for name in ("weight", "bias")})
        places = [sum(head.config.inner[:k]) for head in heads]
        last += [head.sex.weight[:, a : a + head.config.inner[k]] for head, a in zip(heads, places, strict=True)]
    bias = torch.stack([head.sex.bias for head in heads]).mean(0)
    whole.sex.load_state_dict({"weight": torch.cat(last, 1) / len(heads), "bias": bias})
    return whole.eval()


def packed(head: SexHead) -> dict[str, Tensor]:
    """The tensors of a weights file: the layers of the looks in 8 bits, each row in steps of its own, the rest fp16."""
    found: dict[str, Tensor] = {}
    for name, value in head.state_dict().items():
        if name.startswith("looks.") and name.endswith(".weight"):
            found[name], found[f"{name}.steps"] = in_steps(value, (value.shape[1],))
        else:
            found[name] = value.to(torch.float16)
    return found


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a head from the tensors of a weights file."""
    whole = {name: value for name, value in tensors.items() if not name.endswith(".steps")}
    for name, steps in tensors.items():
        if name.endswith(".steps"):
            own = name.removesuffix(".steps")
            whole[own] = from_steps(whole[own], steps, (whole[own].shape[1],))
    return whole


@dataclass(frozen=True, slots=True)
class Sum:
    """How R + 1 logits of "female" become one, fitted on faces that no reader learnt from.

    Each logit is brought to the spread of the first and all are averaged: each has the same say, and the sign is
    that of the standardised logits together. The temperature makes a probability of it.
    """

    deviations: tuple[float, ...]  # of the first reader, then of the R others
    temperature: float = 1.0

    def __post_init__(self) -> None:
        values = (*self.deviations, self.temperature)
        if len(self.deviations) < 2 or not all(np.isfinite(value) and value > 0 for value in values):
            raise WeightsError(
                f"{MODEL}: deviations and temperature {values}; wanted are three numbers and more above 0"
            )

    def logit(self, first: npt.ArrayLike, others: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The logits of the first reader (N) and of the others (N R) -> their mean (N) at the spread of the first."""
        each = np.concatenate([np.asarray(first, np.float64)[:, None], np.asarray(others, np.float64)], 1)
        if each.shape[1] != len(self.deviations):
            raise ValueError(f"{MODEL}: {each.shape[1]} logits a face, wanted {len(self.deviations)}")
        found: npt.NDArray[np.float64] = (each / np.array(self.deviations)).mean(1) * self.deviations[0]
        return found

    def female(self, first: npt.ArrayLike, others: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The logits (N; N R) of the readers -> the probability (N) of "female"."""
        return sigmoid(self.logit(first, others) / self.temperature)


def logit_of(sex: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The two logits of the head of sex (N 2) -> one logit of "female" (N)."""
    logits = np.asarray(sex, np.float64)
    found: npt.NDArray[np.float64] = logits[:, FEMALE] - logits[:, MALE]
    return found


def fit_sum(first: npt.ArrayLike, others: npt.ArrayLike, female: npt.ArrayLike) -> Sum:
    """The sum for logits (N; N R) of faces of known sex (N: 1 female, 0 male) that no reader learnt from."""
    each = np.concatenate([np.asarray(first, np.float64)[:, None], np.asarray(others, np.float64)], 1)
    deviations = tuple(float(value) for value in each.std(0))
    logits = Sum(deviations).logit(first, others)
    classes = (np.asarray(female) > 0.5).astype(np.int64)
    return Sum(deviations, fit_temperature(np.stack([-logits / 2, logits / 2], 1), classes))


def fit_sums(
    first: npt.ArrayLike, others: npt.ArrayLike, female: npt.ArrayLike, sights: Sequence[Sight]
) -> dict[str, Sum]:
    """A sum for every choice of the R other readers, as networks may be absent: ``networks_of`` the choice -> it."""
    logits = np.asarray(others, np.float64)
    chosen = [c for size in range(1, len(sights) + 1) for c in combinations(range(len(sights)), size)]
    return {networks_of([sights[k] for k in c]): fit_sum(first, logits[:, list(c)], female) for c in chosen}


@dataclass(frozen=True)
class SexReader:
    """A trained head on its network."""

    sight: Sight
    network: Network
    head: SexHead

    @torch.no_grad()
    def logits(self, crops: Tensor, *, mirrored: bool = True) -> Float32Array:
        """The logits of "female" (N) of crops (N 3 S S, tensor convention)."""
        return self.logits_of(self.sight.seen(self.network, crops, mirrored=mirrored))

    @torch.no_grad()
    def logits_of(self, looks: Tensor) -> Float32Array:
        """The logits of "female" (N) of looks (N D), as ``Sight.seen`` gives them."""
        found: Float32Array = self.head(looks.float()).float().numpy()
        return found


class SexReaders:
    """The readers that are there (R), and how their logits are summed with that of the attribute heads."""

    def __init__(self, readers: Sequence[SexReader], total: Sum, metadata: Mapping[str, Any]) -> None:
        if not readers or len(total.deviations) != len(readers) + 1:
            raise RequestError(f"{MODEL}: {len(readers)} readers, a sum of {len(total.deviations)} given")
        for reader in readers:
            reader.head.eval().requires_grad_(False)
        self.readers, self.sum, self.metadata = tuple(readers), total, dict(metadata)

    @classmethod
    def load(cls, path: str | Path | None = None, *, only_fetched: bool = False) -> SexReaders:
        """The heads that travel with the package, or those of the weights file ``path``, on their networks.

        ``WeightsError`` for an unusable file, and says how to fetch a network that is not on this machine; with
        ``only_fetched`` such a network is left out, unless none is left.
        """
        tensors, metadata = load_weights(path or WEIGHTS / f"{MODEL}.safetensors", model=MODEL)
        name = f"{path or 'the packaged readers of sex'}"
        heads = metadata.get("heads", {})
        try:
            sights = [sight_of(network) for network in heads]
            there = [sight for sight in sights if not only_fetched or fetched(sight)] or sights
            total = metadata["sums"][networks_of(there)]
            total = Sum(tuple(total["deviations"]), total["temperature"])
        except (KeyError, TypeError, RequestError) as error:
            raise WeightsError(f"{name}: it does not say which networks are read, or how they are summed") from error
        readers = []
        for sight in there:
            own = {
                k.removeprefix(f"{sight.network}."): v for k, v in tensors.items() if k.startswith(f"{sight.network}.")
            }
            head = SexHead(SexHeadConfig.make(heads[sight.network], where=name))
            load_into(head, unpacked(own), name=f"{name}: {sight.network}")
            readers.append(SexReader(sight, sight.load(), head))
        return cls(readers, total, metadata)

    @classmethod
    def where_fetched(cls, first: str) -> SexReaders | None:
        """The packaged readers beside heads of the version ``first`` whose networks were fetched; ``None`` without any,
        and for heads that they were not fitted beside. ``WeightsError`` for damaged files."""
        if not any(fetched(sight) for sight in SIGHTS):
            return None
        found = cls.load(only_fetched=True)
        return found if found.first == first else None

    @property
    def first(self) -> str:
        """The version of the heads that they are summed with."""
        return str(self.metadata.get("first"))

    @property
    def networks(self) -> str:
        """The networks that are read: ``dlib-resnet+faceres``."""
        return networks_of([reader.sight for reader in self.readers])

    @property
    def version(self) -> str:
        """``sex-readers-VERSION(NETWORKS)``: what the version of a reading is longer by."""
        return f"{MODEL}-{self.metadata.get('version', 'unknown')}({self.networks})"

    def logits(self, crops: Tensor, *, mirrored: bool = True) -> Float32Array:
        """The logits of "female" (N R) of crops (N 3 S S, tensor convention)."""
        return np.stack([reader.logits(crops, mirrored=mirrored) for reader in self.readers], 1)


def fetched(sight: Sight) -> bool:
    """Whether a network is on this machine."""
    try:
        store.weights_path(sight.network)
    except WeightsError:
        return False
    return True
