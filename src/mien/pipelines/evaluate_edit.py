"""Photos of held-out people edited, by `edit` and by `imagine --like`, and judged beside their photographs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mien.attributes.sentences import Description
from mien.core.contract import FaceRequest
from mien.core.images import resize_tensor, to_photos, to_tensor
from mien.core.progress import OnStage, counted
from mien.core.records import UInt8Image
from mien.evaluation import faces
from mien.evaluation.edit import EditedFaces, EditTask, judge_edits
from mien.evaluation.features import NetworkJudges
from mien.evaluation.portrait import draw_people
from mien.evaluation.report import Report, ReportProvenance
from mien.faces.encoder import who
from mien.generators.imagine.density import Condition
from mien.generators.imagine.mien import Imagine
from mien.generators.painter.editor import applied
from mien.pipelines.evaluate_requests import EditEvaluation
from mien.pipelines.photo_edit_model import PainterEdits, PhotoEditPipeline
from mien.pipelines.portrait_model import CROP_PX
from mien.pipelines.request import SEX

EDIT, REMADE = "edit", "imagine --like"
EditWay = Callable[[UInt8Image, Description], UInt8Image]


def judged(request: EditEvaluation, on_stage: OnStage) -> Report:
    """The report on the edits of ``request``, which was checked."""
    people = draw_people(request.data, request.count, seed=request.seed)
    rows = [row for pair in people for row in pair]
    with counted(on_stage("photos read"), len(rows)) as advance:
        crops = faces.read_faces(request.data, rows, CROP_PX, progress=advance).crops
    photos, others = crops[0::2], crops[1::2]
    editor = PhotoEditPipeline.load().editor
    assert isinstance(editor, PainterEdits)
    ways: dict[str, EditWay] = {EDIT: lambda crop, wanted: applied(crop, editor.of_crop(crop, wanted).change)}
    if request.like:
        ways[REMADE] = _remaking(editor)
    asked = [*(EditTask(f"{age:g} years", float(age)) for age in request.ages), *map(_attribute, request.attributes)]
    asked += [EditTask("other sex", other_sex=True)] if request.sex else []
    edits = []
    with counted(on_stage("edits made"), len(asked) * len(ways) * len(photos)) as advance:
        for one in asked:
            for name, way in ways.items():
                edits.append(_edited(one, name, way, photos, editor, advance))
    return judge_edits(
        photos, others, edits, judges := NetworkJudges.load(), title="Edited photos, judged", on_stage=on_stage,
        provenance=ReportProvenance(
            model=f"{editor.editor.name} {editor.editor.version}", judges=judges.version,
            dataset_fingerprint=faces.fingerprint(rows, CROP_PX), n=len(people), seed=request.seed,
            details={"split": "test", "photos": len(rows)},
        ),
    )  # fmt: skip


def _attribute(name: str) -> EditTask:
    return EditTask(f"{name} changed", attribute=name)


def _edited(
    asked: EditTask,
    name: str,
    way: EditWay,
    photos: UInt8Image,
    editor: PainterEdits,
    on_advance: Callable[[int], None],
) -> EditedFaces:
    """One edit of all photos. What is to be the other one is read by what edits, not by a judge."""
    images, male, there = [], [], []
    for crop in photos:
        read = editor.editor.read(crop[None])[0]
        wants: dict[str, bool | float] = {}
        male.append(read.woman >= 0.5)
        there.append(read.degrees.get(asked.attribute, 0.0) < 0.5)
        if asked.other_sex:
            wants[SEX] = bool(male[-1])
        if asked.attribute:
            wants[asked.attribute] = bool(there[-1])
        ages = None if asked.years is None else (asked.years, asked.years)
        images.append(way(crop, Description(wants, ages)))
        on_advance(1)
    flags: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]] = (np.array(male, bool), np.array(there, bool))
    return EditedFaces(name, asked, np.stack(images), *flags)


def _remaking(editor: PainterEdits) -> EditWay:
    """What `imagine --like` makes: the whole face drawn anew by the decoder, at the crop's size."""
    makes = Imagine.load()

    def remade(crop: UInt8Image, wanted: Description) -> UInt8Image:
        plan = makes.density.compile(Condition(wanted.attributes, wanted.ages_years))
        (features,), _ = who(editor.editor.encoder, to_tensor(crop))
        moved = makes.density.moved(features.astype(np.float64), plan)
        drawn = makes.renderer.draw(moved[None], [FaceRequest(0, 0)])
        return np.asarray(to_photos(resize_tensor(drawn, len(crop)))[0])

    return remade
