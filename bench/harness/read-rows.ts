/** Rows of a table by a gateway's own batches: to check them, or so that they are cached. */

const IDS_A_REQUEST = 1_000;

export type ReadRow = Readonly<Record<string, unknown>>;

export interface RowsToRead {
  readonly url: string;
  /** `db.table`, with whole numbers for ids. */
  readonly table: string;
  readonly first: number;
  readonly count: number;
  readonly signal: AbortSignal;
}

/** In the order of their ids; null where there is none. Rejects at any answer but 200. */
export async function readRows({ url, table, first, count, signal }: RowsToRead): Promise<readonly (ReadRow | null)[]> {
  const all: (ReadRow | null)[] = [];
  for (let from = first; from < first + count; from += IDS_A_REQUEST) {
    const length = Math.min(IDS_A_REQUEST, first + count - from);
    const ids = Array.from({ length }, (_, index) => from + index);
    const answer = await fetch(`${url}/${table.replace('.', '/')}?ids=${ids.join(',')}`, { signal });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.status} ${url}: ${text.slice(0, 300)}`);
    all.push(...(JSON.parse(text) as { rows: (ReadRow | null)[] }).rows);
  }
  return all;
}
