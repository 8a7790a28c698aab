/**
 * Gathers the calls of a script that are made in one tick on the same terms into one, as ReadBatch does with reads: the
 * shard decodes its stamp once for all of them, and one round trip serves all. A hundred rows that were missed together are
 * a hundred leases in one command, and a hundred fills in another.
 */
export interface ScriptBatchOptions<Terms, Row, Outcome> {
  /** Calls on the same terms are made together. */
  readonly areSame: (one: Terms, other: Terms) => boolean;
  readonly bytesOf: (row: Row) => number;
  /** The script, with the rows in this order; its rejection is that of every call in it. */
  readonly run: (terms: Terms, rows: readonly Row[]) => Promise<readonly Outcome[]>;
}

/** A shard does nothing else while a script runs: about a millisecond. */
const ROWS_MAX = 256;
/** One row may be larger; it then goes alone. */
const BYTES_MAX = 1024 * 1024;

interface Call<Row, Outcome> {
  readonly row: Row;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Group<Terms, Row, Outcome> {
  readonly terms: Terms;
  readonly calls: Call<Row, Outcome>[];
}

export class ScriptBatch<Terms, Row, Outcome> {
  readonly #options: ScriptBatchOptions<Terms, Row, Outcome>;
  /** Few: what is missed in one tick is mostly of one table. */
  #groups: Group<Terms, Row, Outcome>[] = [];

  constructor(options: ScriptBatchOptions<Terms, Row, Outcome>) {
    this.#options = options;
  }

  call(terms: Terms, row: Row): Promise<Outcome> {
    if (this.#groups.length === 0) setImmediate(() => this.#flush());
    let group = this.#groups.find((known) => this.#options.areSame(known.terms, terms));
    if (group === undefined) this.#groups.push((group = { terms, calls: [] }));
    const { calls } = group;
    return new Promise((resolve, reject) => calls.push({ row, resolve, reject }));
  }

  #flush(): void {
    const groups = this.#groups;
    this.#groups = [];
    for (const { terms, calls } of groups) {
      for (const portion of this.#portions(calls)) void this.#run(terms, portion);
    }
  }

  *#portions(calls: readonly Call<Row, Outcome>[]): Generator<readonly Call<Row, Outcome>[]> {
    let from = 0;
    let bytes = 0;
    for (const [index, { row }] of calls.entries()) {
      const more = this.#options.bytesOf(row);
      if (index > from && (bytes + more > BYTES_MAX || index - from === ROWS_MAX)) {
        yield calls.slice(from, index);
        from = index;
        bytes = 0;
      }
      bytes += more;
    }
    yield calls.slice(from);
  }

  async #run(terms: Terms, calls: readonly Call<Row, Outcome>[]): Promise<void> {
    try {
      const rows = calls.map(({ row }) => row);
      const outcomes = await this.#options.run(terms, rows);
      for (const [index, { resolve }] of calls.entries()) resolve(outcomes[index] as Outcome);
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
  }
}
