/**
 * Gathers the `get`s of one turn of the event loop that read the same table on the same terms, and asks for them in one
 * request. One `get` alone stays a plain GET; the same id asked twice is asked once.
 *
 * A gathered row must not suffer from its neighbours. The gateway answers a list as a whole: one bad id makes it 400, one
 * row that needs an origin that is down 503. So where the trouble can be one row's, each row is asked for by itself,
 * within the same deadline: one request more than without gathering, and the same outcomes.
 */
import { batchesOf } from './batches.ts';
import { type Bounds, withinBounds } from './bounds.ts';
import { RingfillError } from './errors.ts';
import type { Terms } from './options.ts';
import type { RowReader } from './row-reader.ts';

export interface Read {
  readonly tablePath: string;
  readonly terms: Terms;
  readonly deadlineMs: number;
}

/** One row, and all who wait for it. */
interface Wanted {
  readonly segment: string;
  readonly waiters: Set<Waiter>;
  /** Called when the last waiter has gone. */
  abandoned: () => void;
}

interface Waiter {
  readonly resolve: (row: object | undefined) => void;
  readonly reject: (reason: unknown) => void;
}

interface Group {
  readonly read: Read;
  readonly wanted: Map<string, Wanted>;
}

export class Coalescer {
  readonly #rows: RowReader;
  readonly #groups = new Map<string, Group>();
  #turn: NodeJS.Immediate | undefined;

  constructor(rows: RowReader) {
    this.#rows = rows;
  }

  get(read: Read, segment: string, signal: AbortSignal | undefined): Promise<object | undefined> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const group = this.#groupFor(read);
    let wanted = group.wanted.get(segment);
    if (wanted === undefined) {
      wanted = { segment, waiters: new Set(), abandoned: () => group.wanted.delete(segment) };
      group.wanted.set(segment, wanted);
    }
    return waitFor(wanted, signal);
  }

  /** Sends what has been gathered, now. */
  flush(): void {
    clearImmediate(this.#turn);
    this.#turn = undefined;
    for (const group of this.#groups.values()) this.#send(group);
  }

  #groupFor(read: Read): Group {
    const name = nameOf(read);
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = { read, wanted: new Map() };
      this.#groups.set(name, group);
    }
    this.#turn ??= setImmediate(() => this.flush());
    return group;
  }

  #send({ read, wanted }: Group): void {
    this.#groups.delete(nameOf(read));
    const all = [...wanted.values()];
    const batches = batchesOf(
      all.map(({ segment }) => segment),
      read.tablePath.length + '?ids='.length,
    );
    for (const positions of batches) {
      void this.#readBatch(
        read,
        positions.map((position) => all[position] as Wanted),
      );
    }
  }

  /** Never rejects: each row's waiters hear of it. */
  async #readBatch(read: Read, batch: readonly Wanted[]): Promise<void> {
    try {
      const signal = abandonmentOf(batch);
      await withinBounds({ deadlineMs: read.deadlineMs, signal }, (bounds) => this.#readTogether(read, batch, bounds));
    } catch (error) {
      for (const { waiters } of batch) for (const { reject } of waiters) reject(error);
    }
  }

  async #readTogether(read: Read, batch: readonly Wanted[], bounds: Bounds): Promise<void> {
    const segments = batch.map(({ segment }) => segment);
    try {
      const rows = await this.#rows.readMany(read.tablePath, segments, read.terms, bounds);
      for (const [index, wanted] of batch.entries()) deliver(wanted, rows[index]);
    } catch (error) {
      if (batch.length === 1 || !canBeOneRows(error)) throw error;
      await Promise.all(batch.map((wanted) => this.#readAlone(read, wanted, bounds)));
    }
  }

  async #readAlone(read: Read, wanted: Wanted, bounds: Bounds): Promise<void> {
    try {
      const { row } = await this.#rows.readOne(read.tablePath, wanted.segment, read.terms, bounds);
      deliver(wanted, row);
    } catch (error) {
      for (const { reject } of wanted.waiters) reject(error);
    }
  }
}

function nameOf({ tablePath, terms, deadlineMs }: Read): string {
  return `${tablePath} ${deadlineMs} ${Object.values(terms).join(';')}`;
}

function waitFor(wanted: Wanted, signal: AbortSignal | undefined): Promise<object | undefined> {
  return new Promise((resolve, reject) => {
    const waiter: Waiter = {
      resolve: (row) => {
        signal?.removeEventListener('abort', leave);
        resolve(row);
      },
      reject: (reason) => {
        signal?.removeEventListener('abort', leave);
        reject(reason as Error);
      },
    };
    const leave = () => {
      waiter.reject(signal?.reason);
      wanted.waiters.delete(waiter);
      if (wanted.waiters.size === 0) wanted.abandoned();
    };
    signal?.addEventListener('abort', leave, { once: true });
    wanted.waiters.add(waiter);
  });
}

/** Each waiter has an object of its own. */
function deliver({ waiters }: Wanted, row: object | undefined): void {
  let first = true;
  for (const { resolve } of waiters) {
    resolve(first ? row : structuredClone(row));
    first = false;
  }
}

/** Aborted once nobody waits for any row of the batch. */
function abandonmentOf(batch: readonly Wanted[]): AbortSignal {
  const controller = new AbortController();
  let awaited = batch.length;
  for (const wanted of batch) {
    wanted.abandoned = () => {
      awaited -= 1;
      if (awaited === 0) controller.abort();
    };
  }
  return controller.signal;
}

function canBeOneRows(error: unknown): boolean {
  if (!(error instanceof RingfillError)) return false;
  const { code, status } = error;
  if (status === 503) return code.startsWith('origin-');
  return status === 400 || code === 'not-cached' || code === 'answer-unreadable';
}
