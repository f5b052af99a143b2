// Starts the page: it comes with the clusters of the run, and what was decided since is put on top.

// These listen to the mouse and to keys, and draw nothing that follows the labels.
import "report/drag.js";
import "report/folds.js";
import "report/heat.js";
import "report/label-files.js";
import "report/missing-sheets.js";
import "report/named-report.js";
import "report/printing.js";
import "report/thumbnail-size.js";
import "report/tiles.js";

import { offerNames } from "report/cluster-decisions.js";
import { leaveComparison } from "report/compare.js";
import { drawCurves } from "report/curves.js";
import { showCut } from "report/cut.js";
import { showFilter } from "report/filter-bar.js";
import { keepFocus, noteFocus } from "report/focus.js";
import { arrange } from "report/gallery.js";
import { currentDecisions, onChange } from "report/history.js";
import { drawMap } from "report/map.js";
import { drawCounts } from "report/metadata-fold.js";
import { showNavigation } from "report/navigation.js";
import { showProgress } from "report/progress.js";
import { onSelect } from "report/selection.js";
import { offerTargets, showSelectionBar } from "report/selection-bar.js";
import { drawSimilar, markSimilar } from "report/similar.js";
import { drawSummary } from "report/summary.js";
import { onLanguage, startTranslated } from "report/texts.js";
import { showUndo } from "report/undo.js";
import { showViewAgain } from "report/view.js";

const shows = [
  ...[noteFocus, arrange, showNavigation, showFilter, offerTargets, offerNames, showProgress, showUndo, showCut, drawMap],
  ...[drawSimilar, drawSummary, drawCounts, showSelectionBar, leaveComparison, showViewAgain, keepFocus],
];
startTranslated();
drawCurves();
const begun = { do: currentDecisions().length ? "cut" : "none" };
for (const show of shows) {
  onChange(show);
  show(begun);
}
for (const show of [showSelectionBar, markSimilar, drawMap]) onSelect(show);
onLanguage(() => {
  drawCurves();
  for (const show of shows) show({ do: "none" });
});
