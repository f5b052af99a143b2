"""Go on with labels that were saved from a report: what has a name becomes a data set, new images are sorted by it.

python examples/label_a_run.py labels.csv --run photos-clusters --new new_photos
"""

import argparse
from pathlib import Path

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.labels import read_labels

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("labels", type=Path, help="labels.csv or labels.json")
parser.add_argument("--run", type=Path, required=True)
parser.add_argument("--new", type=Path, help="folder of images that came later")
options = parser.parse_args()

labels = read_labels(options.labels)
named = [image for image in labels if image.label and not image.unsure]
print(f"{len(named)} of {len(labels)} images are labelled: {sorted({image.label for image in named})}")
main(["export", "--labels", str(options.labels), "--layout", "yolo-cls", "--out", "dataset"])
if options.new:
    main(["assign", str(options.new), "--run", str(options.run), "--labels", str(options.labels)])
