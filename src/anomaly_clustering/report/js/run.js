// The run that the page shows, as it was written into the page: images, their clusters, the dendrogram and the map.

// Before anything is drawn by what is read here.
import "report/pristine.js";

export const run = JSON.parse(document.getElementById("run").textContent);
