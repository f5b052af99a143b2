"""AnomalyClusterer: group images, sort new ones, keep it for tomorrow.

python examples/use_the_estimator.py photos new_photos
"""

import argparse
from pathlib import Path

from anomaly_clustering.estimator import AnomalyClusterer

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("images", type=Path)
parser.add_argument("new_images", type=Path)
parser.add_argument("--image-size", type=int, default=256)
options = parser.parse_args()

clusterer = AnomalyClusterer(n_clusters="auto", image_size=options.image_size).fit(options.images)
print(f"{clusterer.n_clusters_} clusters: {clusterer.labels_.tolist()}")
print(f"the largest weight of a patch in each image: {clusterer.weights_.max((1, 2)).round(3).tolist()}")

clusterer.save("clusterer.safetensors")
found = AnomalyClusterer.load("clusterer.safetensors").assign(options.new_images)
for cluster, distance, unknown in zip(found.labels, found.distances, found.unknown, strict=True):
    print(f"new image: cluster {cluster}, distance {distance:.3f}{', unlike all clusters' if unknown else ''}")
