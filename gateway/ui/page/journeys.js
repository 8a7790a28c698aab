/**
 * The seed's two architectures, each as a line from left to right, or from top to bottom in a narrow window, with what the
 * gateway knows at the arrows. What it does not know it does not show.
 */
import { byId, element, setText } from './dom.js';
import { bytesText, durationText, percent, rate } from './words.js';

/** @import { About, Now } from '../wire.ts' */

/**
 * @typedef {object} Arrow
 * @property {(now: Now) => readonly [figure: string, note: string]} tell
 * @property {(now: Now) => number | null} flow how much goes along it: the arrow is heavier while it is not zero
 *
 * @typedef {object} Journey
 * @property {string} name
 * @property {string} words
 * @property {'read-through' | 'mirror'} mode
 * @property {readonly (string | Arrow)[]} line stations, and the arrows between them
 */

/** @type {readonly Journey[]} */
const JOURNEYS = [
  {
    name: 'Read-through',
    words: 'the shard, and MySQL for what it lacks',
    mode: 'read-through',
    line: [
      'client',
      {
        tell: ({ figures }) => [`${rate(figures.throughRows)} rows/s`, 'asked for'],
        flow: ({ figures }) => figures.throughRows,
      },
      'gateway',
      {
        tell: ({ figures }) => [`${percent(figures.throughHitRatio)} %`, 'answered by a shard'],
        flow: ({ figures }) => figures.throughRows,
      },
      'shard',
      {
        tell: ({ figures }) => [
          `${rate(figures.originRows)} rows/s`,
          `missed: ${rate(figures.originReads)} SELECTs/s, ${rate(figures.stored)} stored/s`,
        ],
        flow: ({ figures }) => figures.originRows,
      },
      'MySQL',
    ],
  },
  {
    name: 'Mirror',
    words: 'every row in the shard, and no MySQL for readers',
    mode: 'mirror',
    line: [
      'MySQL',
      { tell: () => ['', 'every commit'], flow: () => null },
      'binlog',
      {
        tell: ({ worker }) =>
          worker === null || worker.bytesBehind === null
            ? ['', 'not known here']
            : [bytesText(worker.bytesBehind), 'not read yet'],
        flow: () => null,
      },
      'worker',
      {
        tell: ({ worker }) =>
          worker === null || worker.lagMs === null
            ? ['', 'not known here']
            : [durationText(worker.lagMs), 'since all was published'],
        flow: () => null,
      },
      'RabbitMQ',
      {
        tell: ({ worker, figures }) => [
          worker === null || worker.changesApplied === null
            ? durationText(figures.lagMs)
            : `${rate(worker.changesApplied)} changes/s`,
          worker === null ? 'lag of the slowest shard' : `applied; lag ${durationText(figures.lagMs)}`,
        ],
        flow: ({ worker }) => worker?.changesApplied ?? null,
      },
      'shard',
      {
        tell: ({ figures }) => [`${rate(figures.mirrorRows)} rows/s`, `${percent(figures.mirrorHitRatio)} % hits`],
        flow: ({ figures }) => figures.mirrorRows,
      },
      'gateway',
    ],
  },
];

export class JourneysView {
  #root = byId('journeys');
  /** @type {((now: Now) => void)[]} */
  #tellers = [];

  /** @param {About} about */
  begin({ tables, isSynced }) {
    this.#tellers = [];
    this.#root.replaceChildren(
      ...JOURNEYS.map((journey) => {
        const labels = tables.filter(({ mode }) => mode === journey.mode).map(({ label }) => label);
        return this.#drawn(journey, labels, journey.mode === 'read-through' || isSynced);
      }),
    );
  }

  /** @param {Now} now */
  show(now) {
    for (const tell of this.#tellers) tell(now);
  }

  /**
   * @param {Journey} journey
   * @param {readonly string[]} labels
   * @param {boolean} isPossible
   */
  #drawn({ name, words, line }, labels, isPossible) {
    const head = element('h3', {}, name, ' ', element('span', { class: 'quiet' }, words));
    const tables = labels.length === 0 ? 'no table' : labels.slice(0, 6).join(', ') + (labels.length > 6 ? ', …' : '');
    const foot = element('p', { class: 'quiet' }, isPossible ? tables : 'Changes are not followed here.');
    const steps = element('ol', { class: 'line' });
    for (const step of line)
      steps.append(typeof step === 'string' ? element('li', { class: 'station' }, step) : this.#arrow(step));
    return element('article', { class: labels.length === 0 ? 'journey idle' : 'journey' }, head, steps, foot);
  }

  /** @param {Arrow} arrow */
  #arrow({ tell, flow }) {
    const figure = element('span', { class: 'amount' });
    const note = element('span', { class: 'quiet' });
    const arrow = element(
      'li',
      { class: 'arrow' },
      figure,
      element('span', { class: 'shaft', 'aria-hidden': 'true' }),
      note,
    );
    this.#tellers.push((now) => {
      const [amount, words] = tell(now);
      setText(figure, amount);
      setText(note, words);
      arrow.classList.toggle('flowing', (flow(now) ?? 0) > 0);
    });
    return arrow;
  }
}
