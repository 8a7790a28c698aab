/**
 * What was committed when: the truth that answers are held against. Every write gives its row a counter that is one
 * higher than any before it; a row's writes follow each other, so its counters grow in the order of its commits.
 *
 * A write whose outcome is not known (the server went away amid it) has used up its counter, and is in no commit: it may
 * be answered, and replaces nothing. Times are of performance.now(), taken when COMMIT had returned: later than the
 * commit itself, so an age that is counted from them is never too long.
 */

/** Of one row, the commits that are kept; beyond it the oldest go, and ages are then lower bounds. */
const COMMITS_PER_ROW_MAX = 512;

interface Commit {
  readonly n: number;
  readonly at: number;
}

interface Row {
  issued: number;
  readonly commits: Commit[];
}

export class Ledger {
  readonly #rows = new Map<number, Row>();
  #commits = 0;

  /** Rows that were never written hold this counter. */
  static readonly FIRST = 0;

  get commits(): number {
    return this.#commits;
  }

  /** The counter for the next write of a row; it is used up whatever becomes of the write. */
  issue(id: number): number {
    const row = this.#row(id);
    row.issued += 1;
    return row.issued;
  }

  /** What a row holds before the first write. */
  begin(id: number, n: number, at: number): void {
    const row = this.#row(id);
    row.issued = Math.max(row.issued, n);
    row.commits.push({ n, at });
  }

  committed(id: number, n: number, at: number): void {
    const { commits } = this.#row(id);
    commits.push({ n, at });
    if (commits.length > COMMITS_PER_ROW_MAX) commits.shift();
    this.#commits += 1;
  }

  /** Whether any write can have given the row this counter. */
  canHold(id: number, n: number): boolean {
    return Number.isInteger(n) && n >= Ledger.FIRST && n <= (this.#rows.get(id)?.issued ?? Ledger.FIRST);
  }

  /** When another had taken this counter's place; Infinity while none has. */
  replacedAt(id: number, n: number): number {
    const commits = this.#rows.get(id)?.commits ?? [];
    // The youngest are asked for most.
    let replacedAt = Infinity;
    for (let index = commits.length - 1; index >= 0; index -= 1) {
      const commit = commits[index] as Commit;
      if (commit.n <= n) break;
      replacedAt = commit.at;
    }
    return replacedAt;
  }

  /** The counter that was committed last; what was in doubt then may have replaced it. */
  newest(id: number): number {
    return this.#rows.get(id)?.commits.at(-1)?.n ?? Ledger.FIRST;
  }

  #row(id: number): Row {
    let row = this.#rows.get(id);
    if (row === undefined) this.#rows.set(id, (row = { issued: Ledger.FIRST, commits: [] }));
    return row;
  }
}
