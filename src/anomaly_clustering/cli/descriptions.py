"""What `--help` of a command says beside its options: what the command does, examples, and what its words mean."""

CLUSTER_EXAMPLES = """\
examples:
  anomaly-clustering cluster photos                       cluster the images below photos/
  anomaly-clustering cluster photos --clusters 6          ... into six clusters
  anomaly-clustering cluster photos --normal good_ones    images known to be fine show what is new: better clusters
  anomaly-clustering cluster photos --maps DIR            weigh by the anomaly maps of another detector
  anomaly-clustering cluster --synthetic                  try it without images of your own

By default there are more clusters than types, up to 20, so that each is mostly of one type: give those of one type the
same name in the report. --clusters makes as many as you say.

Open report.html in the output folder with any browser. If the images lie in subfolders, these count as known defect
types and the report compares the clusters with them; they play no part in the clustering. Of a category of MVTec AD
(train, test, ground_truth), and of images beside masks, the images that are meant are taken; a notice says which.

Images are compared by what differs from 32 of them, or from normal ones; --method paper compares weighted averages of
their patches, as the paper does. Each image is looked at four times, turned by quarters: --views 1 takes a quarter of
the time and groups a little worse.

The embedded network works offline at once. Others of timm are downloaded once (--backbone resnet18), or given as a file
with --checkpoint; that larger ones group better is not a rule."""
ASSIGN = """\
Assign new images to the clusters of a run, and show them in its report. A new image is compared with images that the
run has kept, and goes to the cluster with the nearest mean. An image of the run itself, told by the content of its
file, keeps the cluster that it has. assigned.csv in the folder of the run lists these images, and new ones of earlier
calls. --labels holds for later calls too, until another file decides on the same images: what was decided on images
that came later, and that a file does not list, stays."""
UPDATE = """\
As assign, and unknown images, those of earlier calls and of watch among them, are grouped among themselves: the report
shows these proposed groups first. Clusters of the run keep their numbers, names and images. To make a proposed group
known, name it in the report, or move its images to where they belong, save labels.csv, and give it with --labels:
images that come later may then join it. Without NEW_IMAGES, what came before is grouped anew, and --metadata is of the
images of the run and of all that came later."""
WATCH = """\
Assign images as they come into a folder, each once, and go on until Ctrl-C. For each a line of JSON is printed, with
the columns of assigned.csv, and a row is added to that in the folder of the run; the report shows them after the next
`assign` or `update`. A file is taken when it has not changed for --every seconds and can be read; one that stays broken
is named. What was assigned is told by its content, so the command may be ended and started again at any time."""
UNKNOWN = """\
A new image is ranked among the N images of the run by how unusual it is: by its mean distance to the three images that
are nearest, beside how near images are to one another there, and by its most unusual patches. Of N + 1 images so many
are at least as unusual: that share is the column p_value. A new image is unknown, of none of the known types, if it is
at most the share of false alarms. So of new images of the known types, no more than that share are taken for unknown
ones.

Where the run was given normal images (--normal), a new one that is as usual as these are among one another, with the
same share of false alarms, is no finding: it is of no cluster, and not in the report."""

EXPORT = """\
Copy labelled images into a folder that other tools train from, or that annotation tools import. Images without a label,
and those marked as unsure, are left out. With --run, defects are marked by regions, those that
the report outlines: where the heat map is above a quarter of its scale, which is one for all images of the run. A
region has a score from 0, at that threshold, to 1, at the most unusual patches of the run. Regions are proposals for a
person to correct; images labelled good, normal or ok have none."""
EXPORT_LAYOUTS = """\
layouts:
  folders       OUT/CLASS/IMAGE
  yolo-cls      OUT/train/CLASS/IMAGE and OUT/val/CLASS/IMAGE
  coco          OUT/images/IMAGE and OUT/annotations.json: with --run box, polygon and score of each region, without it
                one box around each image
  yolo-det      OUT/images, OUT/labels and OUT/data.yaml: boxes of regions, needs --run
  yolo-seg      the same with polygons
  label-studio  OUT/images, OUT/tasks.json, OUT/label_config.xml: class and regions as predictions
  cvat          OUT/images, OUT/annotations.xml, OUT/labels.json: 'CVAT for images 1.1', class and regions"""

ONNX = """\
Write a run as one ONNX file: network, references, weighing and the clusters with their names. Whatever runs ONNX models
then tells the cluster of images as `assign` does, without this package and without PyTorch. Images are given as numbers
from 0 to 1 [B, 3, side, side]; the file says so itself, and which cluster is which, in its metadata."""
TRENDS = """\
Count the images of each defect, and its share, by hour, day, shift or batch: those of the run, and those that `assign`
has added. trends.csv and trends.html in the folder of the run hold the counts, a Pareto chart, shares over time, the
share of unknown images, and how far embeddings drift. Marked is what has changed beyond chance: of 100 sets of images
in which nothing changes, something is marked in 2. Times are those of the metadata, else of EXIF, else of the files."""
WEIGHTS = """\
Download the weights of networks for a machine that has no network connection. Licence, size and origin are printed
before anything is downloaded. What is there is not downloaded again, what was interrupted goes on, and what came is
compared with the checksum of the Hugging Face Hub. The folder is laid out like the one that HF_HOME names, so that timm
and other programs find the weights too."""
WEIGHTS_EXAMPLES = """\
examples:
  anomaly-clustering weights fetch wide_resnet50_2 --folder stick/weights
  anomaly-clustering weights show vit_small_patch16_dinov3.lvd1689m
  anomaly-clustering weights list --folder stick/weights

On the machine without a network:
  HF_HOME=stick/weights HF_HUB_OFFLINE=1 anomaly-clustering cluster photos --backbone wide_resnet50_2"""
