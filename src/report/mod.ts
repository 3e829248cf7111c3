/** What people look at: tables and plots. */
export { alignmentPlot, type AlignmentPoint, atKl } from "./alignment_plot.ts";
export {
  againstReferencePlot,
  gapsPlot,
  reliabilityPlot,
  rocPlot,
  type RoundPoint,
  roundsPlot,
} from "./plots.ts";
export { figuresTable, type TableOptions } from "./table.ts";
