/**
 * Metrics of what happens with every request. prom-client looks labels up by hashing them, which takes about as long as
 * all the rest of a cached row's way through the gateway; so these count in plain numbers, and tell them when asked.
 */
import { Counter, Histogram, type Registry } from 'prom-client';

interface TallyOptions<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly Label[];
  readonly registry: Registry;
}

export class TallyCounter<Label extends string> {
  readonly #tallies = new LabelTree<{ count: number }>(() => ({ count: 0 }));

  constructor({ name, help, labelNames, registry }: TallyOptions<Label>) {
    const tallies = this.#tallies;
    // The name says what it is; prom-client keeps it by registering it.
    void new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const [values, { count }] of tallies) this.labels(...values).inc(count);
      },
    });
  }

  /** @param values of the labels, in the order of their names; the caller bounds how many there are. */
  inc(...values: readonly string[]): void {
    this.#tallies.at(values).count += 1;
  }
}

export interface TallyHistogramOptions<Label extends string> extends TallyOptions<Label> {
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
}

export class TallyHistogram<Label extends string> extends Histogram<Label> {
  readonly #options: TallyHistogramOptions<Label>;
  readonly #observed: LabelTree<Observed>;

  constructor(options: TallyHistogramOptions<Label>) {
    const { name, help, labelNames, buckets, registry } = options;
    super({ name, help, labelNames, buckets: [...buckets], registers: [registry] });
    this.#options = options;
    this.#observed = new LabelTree(() => new Observed(buckets));
  }

  /** Of the labels' values, in the order of their names; the caller bounds how many there are. */
  of(...values: readonly string[]): Observed {
    return this.#observed.at(values);
  }

  override get(): ReturnType<Histogram<Label>['get']> {
    return this.getForPromString();
  }

  /** What the registry asks for instead. */
  getForPromString(): ReturnType<Histogram<Label>['get']> {
    const { name, help, labelNames } = this.#options;
    const told = [...this.#observed].flatMap(([labelValues, observed]) => {
      const labels = Object.fromEntries(labelNames.map((label, index) => [label, labelValues[index] ?? '']));
      return observed.told(name, labels);
    });
    // prom-client's types know no `le`, and want a `collect` that nobody calls on what has been collected.
    const metric: unknown = { name, help, type: 'histogram', aggregator: 'sum', values: told };
    return Promise.resolve(metric as Awaited<ReturnType<Histogram<Label>['get']>>);
  }
}

export class Observed {
  readonly #bounds: readonly number[];
  /** The last one is of what is past the last bound. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] as number)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
  }

  /** As Prometheus wants it: a bucket counts those before it too. */
  told(name: string, labels: Readonly<Record<string, string>>) {
    let count = 0;
    const buckets = [...this.#counts].map((inBucket, bucket) => {
      count += inBucket;
      return { metricName: `${name}_bucket`, labels: { ...labels, le: this.#bounds[bucket] ?? '+Inf' }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }
}

/** What belongs to a list of labels' values. */
class LabelTree<Leaf> implements Iterable<readonly [values: readonly string[], Leaf]> {
  readonly #make: () => Leaf;
  readonly #root: Branch<Leaf> = new Map();
  readonly #leaves: [readonly string[], Leaf][] = [];

  constructor(make: () => Leaf) {
    this.#make = make;
  }

  at(values: readonly string[]): Leaf {
    let at: Branch<Leaf> | Leaf | undefined = this.#root;
    for (const value of values) at = (at as Branch<Leaf> | undefined)?.get(value);
    return (at as Leaf | undefined) ?? this.#grow(values);
  }

  [Symbol.iterator](): Iterator<readonly [readonly string[], Leaf]> {
    return this.#leaves[Symbol.iterator]();
  }

  #grow(values: readonly string[]): Leaf {
    const leaf = this.#make();
    let branch = this.#root;
    for (const value of values.slice(0, -1)) {
      let next = branch.get(value) as Branch<Leaf> | undefined;
      if (next === undefined) branch.set(value, (next = new Map()));
      branch = next;
    }
    branch.set(values.at(-1) ?? '', leaf);
    this.#leaves.push([values, leaf]);
    return leaf;
  }
}

type Branch<Leaf> = Map<string, Branch<Leaf> | Leaf>;
