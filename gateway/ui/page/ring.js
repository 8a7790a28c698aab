/**
 * The rings, drawn as rings: the first outermost. Each shard has an arc as long as its share, in the order of the
 * configuration; the thin band within shows the first few hundred of the real arcs, stretched round. Which shard is which,
 * and how it is, is in the table beside it.
 */
import { byId, setText, svgElement } from './dom.js';
import { counted, durationText, listed, stateWords } from './words.js';

/** @import { LayerNow, LayerSample } from '../wire.ts' */

const OUTER = 206;
const BAND = 30;
const SAMPLE = 7;
const SAMPLE_GAP = 4;
const BETWEEN = 14;
/** Radians between two arcs. */
const GAP = 0.018;
/** Below it a name does not fit. */
const NAMED_FROM = 26;
const TINTS = 5;
const TURN = 2 * Math.PI;

export class RingView {
  #svg = byId('ring');
  #layers = svgElement('g');
  #middle = svgElement('text', { class: 'middle', y: 2 });
  #middleNote = svgElement('text', { class: 'middle-note', y: 24 });
  /** @type {readonly LayerSample[]} */
  #samples = [];
  /** What is drawn: it is drawn anew only where the shards or their shares are others. */
  #drawn = '';
  /** @type {Map<string, SVGGElement>} */
  #arcs = new Map();
  /** @type {ReadonlySet<string>} */
  #candidates = new Set();

  constructor() {
    this.#svg.append(
      svgElement(
        'defs',
        {},
        svgElement(
          'pattern',
          { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
          svgElement('rect', { class: 'hatch-ground', width: 6, height: 6 }),
          svgElement('rect', { class: 'hatch-line', width: 2, height: 6 }),
        ),
        svgElement(
          'pattern',
          { id: 'dots', width: 6, height: 6, patternUnits: 'userSpaceOnUse' },
          svgElement('rect', { class: 'dots-ground', width: 6, height: 6 }),
          svgElement('circle', { class: 'dots-dot', cx: 3, cy: 3, r: 1.2 }),
        ),
      ),
      this.#layers,
      this.#middle,
      this.#middleNote,
    );
  }

  /** @param {readonly LayerSample[]} samples */
  sampled(samples) {
    this.#samples = samples;
    this.#drawn = '';
    const shown = samples[0]?.arcs.length ?? 0;
    const points = samples.map(({ points: all }) => all.toLocaleString('en')).join(' and ');
    setText(
      byId('ring-caption'),
      `Arcs are shares of the hash space. The thin bands show the first ${shown} arcs as they lie, of ${points}.`,
    );
  }

  /** @param {readonly LayerNow[]} layers */
  show(layers) {
    const shape = JSON.stringify(layers.map(({ ring, shards }) => [ring, shards.map((one) => [one.shard, one.share])]));
    if (shape !== this.#drawn) this.#draw(layers);
    this.#drawn = shape;
    for (const { ring, shards } of layers) {
      for (const { shard, state } of shards) {
        const arc = this.#arcs.get(nameOf(ring, shard));
        if (arc === undefined) continue;
        const { kind, symbol } = stateWords(state);
        arc.dataset['kind'] = kind;
        setText(/** @type {Element} */ (arc.querySelector('.symbol')), kind === 'good' ? '' : ` ${symbol}`);
        setText(/** @type {Element} */ (arc.querySelector('title')), `${shard}: ${state}`);
      }
    }
    this.#tell(layers);
  }

  /**
   * Where a key may lie.
   * @param {readonly { readonly ring: string, readonly shard: string }[]} candidates
   */
  mark(candidates) {
    this.#candidates = new Set(candidates.map(({ ring, shard }) => nameOf(ring, shard)));
    for (const [name, arc] of this.#arcs) arc.classList.toggle('candidate', this.#candidates.has(name));
  }

  /** @param {readonly LayerNow[]} layers */
  #tell(layers) {
    const all = layers.flatMap(({ shards }) => shards);
    const out = all.filter(({ state }) => stateWords(state).kind === 'bad');
    setText(this.#middle, `${all.length - out.length} of ${all.length}`);
    setText(this.#middleNote, 'shards in use');
    const rings = layers.map(({ ring, shards }) => {
      const told = shards.map(({ shard, state, share }) => `${shard} ${Math.round(share * 100)} %, ${state}`);
      return `${ring}: ${told.join('; ')}`;
    });
    this.#svg.ariaLabel = `${counted(layers.length, 'ring')}. ${rings.join('. ')}.`;
    const lags = all.flatMap(({ lagMs }) => (lagMs === null ? [] : [lagMs]));
    const note = lags.length === 0 ? '' : `, heard of changes ${durationText(Math.max(...lags))} ago at most`;
    setText(byId('ring-note'), `${listed(layers.map(({ ring }) => ring))}, the first outermost${note}`);
  }

  /** @param {readonly LayerNow[]} layers */
  #draw(layers) {
    this.#arcs.clear();
    const step = Math.min(BAND + SAMPLE + SAMPLE_GAP + BETWEEN, (OUTER - 62) / Math.max(1, layers.length));
    const scale = step / (BAND + SAMPLE + SAMPLE_GAP + BETWEEN);
    this.#layers.replaceChildren(
      ...layers.map((layer, index) => {
        const outer = OUTER - index * step;
        const sample = this.#samples.find(({ ring }) => ring === layer.ring);
        return svgElement('g', {}, ...this.#arcsOf(layer, outer, BAND * scale), ...sampleBand(sample, outer, scale));
      }),
    );
    this.mark([...this.#candidates].map((name) => JSON.parse(name)));
  }

  /**
   * @param {LayerNow} layer
   * @param {number} outer
   * @param {number} band
   */
  #arcsOf({ ring, shards }, outer, band) {
    let from = 0;
    return shards
      .filter(({ share }) => share > 0)
      .map(({ shard, share }, index, { length }) => {
        const to = from + share * TURN;
        const gap = length === 1 ? 0 : Math.min(GAP, (to - from) / 4);
        const path = sector(from + gap / 2, to - gap / 2, outer, outer - band);
        const middle = (from + to) / 2;
        const radius = outer - band / 2;
        const isNamed = share * TURN * radius >= NAMED_FROM;
        const arc = svgElement(
          'g',
          { class: `arc tint-${index % TINTS}` },
          svgElement('title', {}, shard),
          svgElement('path', { class: 'ground', d: path }),
          svgElement('path', { class: 'sheet', d: path }),
          svgElement(
            'text',
            { x: (Math.sin(middle) * radius).toFixed(1), y: (-Math.cos(middle) * radius + 4.5).toFixed(1) },
            isNamed ? shard : '',
            svgElement('tspan', { class: 'symbol' }),
          ),
        );
        this.#arcs.set(nameOf(ring, shard), arc);
        from = to;
        return arc;
      });
  }
}

/**
 * @param {string} ring
 * @param {string} shard
 */
function nameOf(ring, shard) {
  return JSON.stringify({ ring, shard });
}

/**
 * One path for each shard.
 * @param {LayerSample | undefined} sample
 * @param {number} outer
 * @param {number} scale
 */
function sampleBand(sample, outer, scale) {
  if (sample === undefined) return [];
  const top = outer - (BAND + SAMPLE_GAP) * scale;
  /** @type {string[]} */
  const paths = sample.shards.map(() => '');
  let from = 0;
  for (const [shard, part] of sample.arcs) {
    const to = from + part * TURN;
    paths[shard] += sector(from, Math.min(to, TURN - 0.0001), top, top - SAMPLE * scale);
    from = to;
  }
  return paths.map((d, index) => svgElement('path', { class: `sample tint-${index % TINTS}`, d }));
}

/**
 * Part of a ring, clockwise from the top; radians.
 * @param {number} from
 * @param {number} to
 * @param {number} outer
 * @param {number} inner
 * @returns {string}
 */
function sector(from, to, outer, inner) {
  // An arc that ends where it begins is none: a whole ring is made of two.
  if (to - from > TURN - 0.01) return sector(0, Math.PI, outer, inner) + sector(Math.PI, TURN - 0.0001, outer, inner);
  const large = to - from > Math.PI ? 1 : 0;
  /** @type {(angle: number, radius: number) => string} */
  const at = (angle, radius) => `${(Math.sin(angle) * radius).toFixed(2)} ${(-Math.cos(angle) * radius).toFixed(2)}`;
  return (
    `M${at(from, outer)}A${outer} ${outer} 0 ${large} 1 ${at(to, outer)}` +
    `L${at(to, inner)}A${inner} ${inner} 0 ${large} 0 ${at(from, inner)}Z`
  );
}
