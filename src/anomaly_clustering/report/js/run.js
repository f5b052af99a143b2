// The run that the page shows, as it was written into the page: images, their clusters, the dendrogram and the map.

export const run = JSON.parse(document.getElementById("run").textContent);
