"""The layouts in which `export` writes labelled images, by name; light, so that --help needs nothing else."""

from typing import Literal

ExportLayout = Literal["folders", "coco", "yolo-cls", "yolo-det", "yolo-seg", "label-studio", "cvat"]
# Layouts that make a folder of each class, and know no place in an image.
BY_FOLDER = ("folders", "yolo-cls")
# Layouts that hold nothing but places.
OF_REGIONS = ("yolo-det", "yolo-seg")
# Layouts whose classes are those of places, if they have any: good is nowhere.
OF_PLACES = ("coco", *OF_REGIONS)
# Layouts that write labels as XML, and those of them that write names of images so too.
IN_XML = ("label-studio", "cvat")
NAMED_IN_XML = ("cvat",)
