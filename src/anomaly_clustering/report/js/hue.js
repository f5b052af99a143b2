// The colour of a cluster, the same in its gallery, in the dendrogram and on the map.

// Steps of the golden angle keep the hues of neighbouring numbers apart.
export function hueOf(cluster) {
  return Math.round((cluster * 137.508 + 170) % 360);
}
