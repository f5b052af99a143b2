"""Labelled images with regions in; what COCO, YOLO, Label Studio and CVAT read beside the images out."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from anomaly_clustering.data.opening import image_size

# What made the regions, as annotation tools list it.
MODEL = "anomaly-clustering"
# An attribute of CVAT's shapes.
SCORE = {"name": "score", "mutable": "False", "input_type": "text", "default_value": "", "values": ""}


class Region(NamedTuple):
    """A part of an image that its heat map marks.

    Attributes:
        polygon: its corners (x, y) in order, each from 0 (left, top) to 1 (right, bottom); at least three.
        score: from 0, at the threshold, to 1, at the most unusual patches of the run.

    Example:
        >>> region = Region([(0.0, 0.0), (0.5, 0.0), (0.5, 0.25), (0.0, 0.25)], 0.9)
        >>> region.box, area_of(region.polygon)
        ((0.0, 0.0, 0.5, 0.25), 0.125)
    """

    polygon: Sequence[tuple[float, float]]
    score: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        xs, ys = zip(*self.polygon, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


class Item(NamedTuple):
    """An image with a class, and the name of its copy.

    Attributes:
        path: of the image.
        label: name of its class.
        name: of the copy, told apart by a number from those of the same name in other folders.
        regions: where its heat map shows a defect; None where no heat map was asked.

    Example:
        >>> Item(Path("photos/a.png"), "dent", "0-a.png").name
        '0-a.png'
    """

    path: Path
    label: str
    name: str
    regions: Sequence[Region] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, upright."""
        return image_size(self.path)


def area_of(polygon: Sequence[tuple[float, float]]) -> float:
    """The area of a polygon, by the shoelace formula.

    Args:
        polygon: corners (x, y) in order.

    Returns:
        The area in the square of their unit.

    Example:
        >>> area_of([(0.0, 0.0), (4.0, 0.0), (0.0, 3.0)])
        6.0
    """
    turned = [*polygon[1:], *polygon[:1]]
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(polygon, turned, strict=True))) / 2


def coco(items: Sequence[Item], names: Sequence[str]) -> dict[str, Any]:
    """Images, annotations and categories of COCO: a box and a polygon a region, or one box around the whole image where
    no heat map was asked. An image without a region is listed and has no annotation.

    Args:
        items: with names and labels.
        names: of the categories, in the order of their numbers.

    Returns:
        What `annotations.json` holds. The area is that of the polygon, and a region has a `score`.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, item in enumerate(items, start=1):
        width, height = item.size
        images.append({"id": number, "file_name": item.name, "width": width, "height": height})
        found: list[dict[str, Any]] = [{"bbox": [0, 0, width, height], "area": width * height}]
        if item.regions is not None:
            found = [_coco_region(region, width, height) for region in item.regions]
        for annotation in found:
            known = {"id": len(annotations) + 1, "image_id": number, "category_id": names.index(item.label) + 1}
            annotations.append(known | annotation | {"iscrowd": 0})
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _coco_region(region: Region, width: int, height: int) -> dict[str, Any]:
    polygon = _pixels(region.polygon, width, height)
    xs, ys = zip(*polygon, strict=True)
    return {
        "bbox": [min(xs), min(ys), round(max(xs) - min(xs), 2), round(max(ys) - min(ys), 2)],
        "segmentation": [[value for corner in polygon for value in corner]],
        "area": round(area_of(polygon), 2),
        "score": round(region.score, 4),
    }


def yolo(item: Item, names: Sequence[str], *, boxes: bool) -> str:
    """The lines of YOLO's file beside an image: class and place of each region, in shares of width and height.

    Args:
        item: with regions; a file without a line is an image without a defect.
        names: of the classes, in the order of their numbers.
        boxes: centre, width and height of a box; else the corners of a polygon.

    Returns:
        A line for each region.

    Example:
        >>> region = Region([(0.0, 0.0), (0.5, 0.0), (0.5, 0.25), (0.0, 0.25)], 0.9)
        >>> yolo(Item(Path("a.png"), "dent", "a.png", [region]), ["dent"], boxes=True)
        '0 0.250000 0.125000 0.500000 0.250000\\n'
    """
    lines = []
    for region in item.regions or []:
        left, top, right, bottom = region.box
        box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        place = box if boxes else [value for corner in region.polygon for value in corner]
        lines.append(" ".join([str(names.index(item.label)), *(f"{value:.6f}" for value in place)]) + "\n")
    return "".join(lines)


def label_studio(items: Sequence[Item], *, boxes: bool) -> list[dict[str, Any]]:
    """Tasks of Label Studio: class and regions of each image as predictions that a person accepts or corrects.

    Args:
        items: with names and labels, and regions if there are any.
        boxes: rectangles in place of polygons.

    Returns:
        What `tasks.json` holds. Images are served from the folder `images` below Label Studio's document root.
    """
    kind = "rectanglelabels" if boxes else "polygonlabels"
    tasks = []
    for item in items:
        width, height = item.size
        place = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
        chosen = {"id": "class", "from_name": "class", "type": "choices", "value": {"choices": [item.label]}}
        results: list[dict[str, Any]] = [place | chosen]
        for number, region in enumerate(item.regions or []):
            value = _percent_box(region) if boxes else {"points": _percent(region.polygon), "closed": True}
            results.append(
                {
                    **place,
                    "id": f"region-{number}",
                    "from_name": "region",
                    "type": kind,
                    "value": value | {kind: [item.label]},
                    "score": round(region.score, 4),
                }
            )
        score = max((region.score for region in item.regions or []), default=0.0)
        # Bytes of names that are not Unicode go through as they are.
        url = f"/data/local-files/?d=images/{quote(item.name, errors='surrogateescape')}"
        predicted = {"model_version": MODEL, "score": round(score, 4), "result": results}
        tasks.append({"data": {"image": url}, "predictions": [predicted]})
    return tasks


def label_studio_config(items: Sequence[Item], *, boxes: bool) -> str:
    """The labelling interface that fits `label_studio`.

    Args:
        items: with labels.
        boxes: rectangles in place of polygons.

    Returns:
        XML, to paste into the settings of a project.

    Example:
        >>> "RectangleLabels" in label_studio_config([Item(Path("a.png"), "dent", "a.png")], boxes=True)
        True
    """
    view = ET.Element("View")
    ET.SubElement(view, "Image", name="image", value="$image", zoom="true")
    regions = ET.SubElement(view, "RectangleLabels" if boxes else "PolygonLabels", name="region", toName="image")
    classes = ET.SubElement(view, "Choices", name="class", toName="image", choice="single", showInLine="true")
    for label in sorted({item.label for item in items}):
        ET.SubElement(regions, "Label", value=label)
        ET.SubElement(classes, "Choice", value=label)
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def cvat(items: Sequence[Item], *, boxes: bool) -> str:
    """CVAT's 'images 1.1': the class of each image as a tag, and its regions, marked as made by a machine.

    Args:
        items: with names and labels, and regions if there are any.
        boxes: boxes in place of polygons.

    Returns:
        XML, to upload as annotations of a task that has the images and the labels of `cvat_labels`.
    """
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    # CVAT has its labels from the task; Datumaro has them from here.
    labels = ET.SubElement(ET.SubElement(ET.SubElement(root, "meta"), "task"), "labels")
    for name in sorted({item.label for item in items}):
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = name
        attribute = ET.SubElement(ET.SubElement(label, "attributes"), "attribute")
        for field, value in SCORE.items():
            ET.SubElement(attribute, field).text = value
    for number, item in enumerate(items):
        width, height = item.size
        image = ET.SubElement(root, "image", id=str(number), name=item.name, width=str(width), height=str(height))
        ET.SubElement(image, "tag", label=item.label, source="auto")
        for region in item.regions or []:
            corners = _pixels(region.polygon, width, height)
            common = {"label": item.label, "source": "auto", "occluded": "0", "z_order": "0"}
            if boxes:
                xs, ys = zip(*corners, strict=True)
                place = {"xtl": min(xs), "ytl": min(ys), "xbr": max(xs), "ybr": max(ys)}
                shape = ET.SubElement(image, "box", common | {name: f"{value:.2f}" for name, value in place.items()})
            else:
                points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners)
                shape = ET.SubElement(image, "polygon", common | {"points": points})
            ET.SubElement(shape, "attribute", name="score").text = f"{region.score:.3f}"
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def cvat_labels(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The labels that a task of CVAT needs, each with a score of its shapes.

    Args:
        items: with labels.

    Returns:
        What CVAT's editor of labels takes as 'Raw'.

    Example:
        >>> [label["name"] for label in cvat_labels([Item(Path("a.png"), "dent", "a.png")])]
        ['dent']
    """
    score = SCORE | {"mutable": False, "values": [""]}
    return [{"name": label, "type": "any", "attributes": [score]} for label in sorted({item.label for item in items})]


def _pixels(polygon: Sequence[tuple[float, float]], width: int, height: int) -> list[tuple[float, float]]:
    return [(round(x * width, 2), round(y * height, 2)) for x, y in polygon]


def _percent(polygon: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(round(100 * x, 4), round(100 * y, 4)) for x, y in polygon]


def _percent_box(region: Region) -> dict[str, float]:
    left, top, right, bottom = (round(100 * value, 4) for value in region.box)
    return {"x": left, "y": top, "width": round(right - left, 4), "height": round(bottom - top, 4), "rotation": 0}
