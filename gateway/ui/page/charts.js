/**
 * Small charts that share one time and one cursor. What they show stands in figures beside them, and in the table behind
 * them: to assistive technology they are pictures.
 */
import uPlot from './uPlot.esm.js';

/**
 * @typedef {object} Line
 * @property {'accent' | 'muted'} ink
 *
 * @typedef {object} ChartOptions
 * @property {string} label what it shows
 * @property {readonly Line[]} lines
 * @property {(value: number) => string} format of the scale
 * @property {number} [top] of the scale, where that is known; else as the values have it
 * @property {number} [topAtLeast] a scale is not drawn finer than this
 */

const HEIGHT = 104;
const SPAN_SECONDS = 300;
const FONT = '11px system-ui, "Segoe UI", Inter, Roboto, sans-serif';

/** The colours as they are now. Canvas does not know of CSS variables. */
function ink(/** @type {string} */ name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
}

export class Chart {
  /** @type {HTMLElement} */
  element;
  #plot;

  /**
   * @param {ChartOptions} options
   * @param {(index: number | null) => void} onCursor where the pointer is; null where it is not
   */
  constructor({ label, lines, format, top, topAtLeast = 0 }, onCursor) {
    this.element = document.createElement('div');
    this.element.className = 'chart';
    this.element.role = 'img';
    this.element.ariaLabel = `${label} over the last five minutes`;
    /** @param {number} highest */
    const scaleTop = (highest) => top ?? Math.max(highest * 1.15, topAtLeast);
    /** @type {uPlot.Axis} */
    const axis = {
      stroke: () => ink('muted'),
      font: FONT,
      grid: { stroke: () => ink('hair'), width: 1 },
      ticks: { show: false },
    };
    this.#plot = new uPlot(
      {
        width: 240,
        height: HEIGHT,
        padding: [6, 14, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'figures' }, points: { size: 5 } },
        scales: {
          x: { time: true, range: () => [Date.now() / 1_000 - SPAN_SECONDS, Date.now() / 1_000] },
          y: { range: (_plot, _lowest, highest) => [0, scaleTop(highest ?? 0) || 1] },
        },
        axes: [
          {
            ...axis,
            size: 20,
            gap: 4,
            space: 46,
            incrs: [60, 120, 300],
            values: (_plot, splits) => splits.map(minuteOf),
            grid: { show: false },
          },
          { ...axis, size: 46, gap: 6, space: 34, values: (_plot, splits) => splits.map((value) => format(value)) },
        ],
        series: [
          {},
          ...lines.map((line, index) => ({
            stroke: () => ink(line.ink),
            width: line.ink === 'accent' ? 1.75 : 1.25,
            ...(index === 0 && line.ink === 'accent' && { fill: () => ink('accent-wash') }),
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)] },
      },
      /** @type {uPlot.AlignedData} */ ([[], ...lines.map(() => [])]),
      this.element,
    );
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry?.contentRect.width ?? 0);
      if (width > 0) this.#plot.setSize({ width, height: HEIGHT });
    }).observe(this.element);
    document.addEventListener('themechange', () => this.#plot.redraw(false));
  }

  /**
   * @param {readonly number[]} seconds since 1970
   * @param {readonly (readonly (number | null)[])[]} values of each line
   */
  draw(seconds, values) {
    this.#plot.setData(/** @type {uPlot.AlignedData} */ (/** @type {unknown} */ ([seconds, ...values])));
  }
}

const MINUTE = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });

function minuteOf(/** @type {number} */ second) {
  return MINUTE.format(second * 1_000);
}
