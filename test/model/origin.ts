/**
 * The origin: rows, row locks, and a binlog that a transaction enters *before* its commit is visible, by any time and in
 * any order; others have changed rows and not committed, and may roll back. A crash may take the binlog's tail; another
 * server may go on in its place, where positions recur.
 */
import { type LogPosition, ORDINAL_LAST, versionOf } from '../../shared/version/version.ts';
import type { RowKey } from './keys.ts';
import type { Mistakes } from './mistakes.ts';
import type { Random } from './random.ts';

/** What a row holds: a number that no other change ever wrote; nothing where there is no row. */
export type Content = number | undefined;

export interface RowChange {
  readonly key: RowKey;
  readonly content: Content;
}

export interface Transaction {
  /** Never used again, not even after its loss. */
  readonly sequence: number;
  readonly enteredAt: number;
  /** The table that a statement has emptied or altered: what became of its rows is in no event. */
  readonly statementOn: string | undefined;
  readonly changes: readonly RowChange[];
}

export interface Logged {
  readonly transaction: Transaction;
  readonly at: LogPosition;
}

/** One state of a row, in the order of commits. */
export interface State {
  /** Across all servers, by which one state is older than another. */
  readonly order: number;
  /** The version in epoch 0. */
  readonly place: string;
  readonly enteredAt: number;
  readonly content: Content;
}

/** One server's binlog, without a break. */
export class Incarnation {
  readonly identity: string;
  readonly log: Logged[] = [];
  end: LogPosition;
  readonly histories: ReadonlyMap<RowKey, State[]>;

  constructor(identity: string, end: LogPosition, first: ReadonlyMap<RowKey, Content>) {
    this.identity = identity;
    this.end = end;
    const start = { order: -1, place: versionOf(0, { file: 'b.0', position: 0 }), enteredAt: -1 };
    this.histories = new Map([...first].map(([key, content]) => [key, [{ ...start, content }]]));
  }

  append(transaction: Transaction, at: LogPosition): void {
    this.log.push({ transaction, at });
    this.end = at;
    for (const [index, { key, content }] of transaction.changes.entries()) {
      const ordinal = transaction.statementOn === undefined ? index + 1 : ORDINAL_LAST;
      const order = orderOf(transaction, index);
      this.history(key).push({ order, place: versionOf(0, at, ordinal), enteredAt: transaction.enteredAt, content });
    }
  }

  history(key: RowKey): State[] {
    return this.histories.get(key) as State[];
  }
}

/** What a row holds, and since when. */
export interface Known {
  readonly content: Content;
  /** Of the state. */
  readonly order: number;
}

/** A read and what it is known to include. */
export interface OriginRead {
  readonly known: Known;
  readonly proof:
    | {
        readonly kind: 'log';
        readonly identity: string;
        readonly at: LogPosition;
        readonly exact: boolean;
        /** It includes also what waits to become visible. */
        readonly locks: boolean;
      }
    /** It includes what the lease's S0 includes. */
    | { readonly kind: 'gtid' }
    | undefined;
}

export class Origin {
  current: Incarnation;
  readonly #random: Random;
  readonly #mistakes: Mistakes;
  readonly #incarnations: Incarnation[] = [];
  readonly #epochs = new Map<number, Incarnation>();
  readonly #first: ReadonlyMap<RowKey, Content>;
  readonly #keys: readonly RowKey[];
  #visible: ReadonlyMap<RowKey, Known>;
  /** What transactions that have not committed have made of rows. */
  readonly #uncommitted = new Map<RowKey, Content>();
  /** In the binlog, and holding their locks until they are visible. */
  #pending: Transaction[] = [];
  #sequence = 0;
  #contents = 0;
  #servers = 1;
  /** How many transactions the replica has executed. */
  #replicated = 0;

  constructor(keys: readonly RowKey[], random: Random, mistakes: Mistakes) {
    this.#keys = keys;
    this.#random = random;
    this.#mistakes = mistakes;
    this.#first = new Map(keys.map((key) => [key, random.chance(0.6) ? this.#newContent() : undefined]));
    this.current = new Incarnation('server 1', { file: 'b.7', position: 4 }, this.#first);
    this.#incarnations.push(this.current);
    this.#visible = this.#stateAfter(() => false);
  }

  get latestEpoch(): number {
    return this.#epochs.size;
  }

  newEpoch(): number {
    const epoch = this.#epochs.size + 1;
    this.#epochs.set(epoch, this.current);
    return epoch;
  }

  /** This one and those that came after it. */
  since(incarnation: Incarnation): readonly Incarnation[] {
    return this.#incarnations.slice(this.#incarnations.indexOf(incarnation));
  }

  incarnationOf(epoch: number): Incarnation {
    return this.#epochs.get(epoch) as Incarnation;
  }

  /** On all servers that there were. */
  historyOfAll(key: RowKey): readonly State[] {
    return this.#incarnations.flatMap((incarnation) => incarnation.history(key));
  }

  visible(key: RowKey): Known {
    return this.#visible.get(key) as Known;
  }

  /** What anybody has made of it: READ UNCOMMITTED. */
  dirty(key: RowKey): Content {
    if (this.#uncommitted.has(key)) return this.#uncommitted.get(key);
    const pending = this.#pending.flatMap(({ changes }) => changes).find((change) => change.key === key);
    return pending === undefined ? this.visible(key).content : pending.content;
  }

  isLocked(key: RowKey): boolean {
    return (
      this.#uncommitted.has(key) || this.#pending.some(({ changes }) => changes.some((change) => change.key === key))
    );
  }

  /** 1 to 3 changes enter the binlog. What is locked is not changed: whoever wants to, waits. */
  commit(first: RowKey, now: number): void {
    if (this.isLocked(first)) return;
    const free = this.#keys.filter((key) => key !== first && !this.isLocked(key));
    const changes: RowChange[] = [];
    for (let wanted = 1 + this.#random.below(3); wanted > 0; wanted -= 1) {
      const key = changes.length === 0 ? first : free.splice(this.#random.below(free.length), 1)[0];
      if (key === undefined) break;
      const { content } = this.visible(key);
      if (content === undefined || this.#random.chance(0.5)) {
        changes.push({ key, content: this.#newContent() });
        continue;
      }
      changes.push({ key, content: undefined });
      // A changed key: gone under the one, there under the other.
      const other = free.findIndex(({ table }) => table === key.table);
      if (other < 0 || this.#random.chance(0.5)) continue;
      changes.push({ key: free.splice(other, 1)[0] as RowKey, content: this.#newContent() });
    }
    this.#enter({ statementOn: undefined, changes }, now);
  }

  truncate(table: string, now: number): void {
    const keys = this.#keys.filter((key) => key.table === table);
    if (keys.some((key) => this.isLocked(key))) return;
    this.#enter({ statementOn: table, changes: keys.map((key) => ({ key, content: undefined })) }, now);
  }

  /** Its rows stay what they are. Whoever follows the binlog cannot tell. */
  alter(table: string, now: number): void {
    if (this.#keys.some((key) => key.table === table && this.isLocked(key))) return;
    this.#enter({ statementOn: table, changes: [] }, now);
  }

  /** A row is changed, mostly deleted, and this is not committed. */
  hold(key: RowKey): void {
    if (this.isLocked(key)) return;
    const deletes = this.visible(key).content !== undefined && this.#random.chance(0.7);
    this.#uncommitted.set(key, deletes ? undefined : this.#newContent());
  }

  /** It is committed, or mostly was for nothing. */
  release(now: number): void {
    if (this.#uncommitted.size === 0) return;
    const [key, content] = this.#random.pick([...this.#uncommitted]);
    this.#uncommitted.delete(key);
    if (this.#random.chance(0.3)) this.#enter({ statementOn: undefined, changes: [{ key, content }] }, now);
  }

  #enter(transaction: Pick<Transaction, 'statementOn' | 'changes'>, now: number): void {
    const entered = { ...transaction, sequence: (this.#sequence += 1), enteredAt: now };
    const { file, position } = this.current.end;
    this.current.append(entered, { file, position: position + 100 });
    this.#pending.push(entered);
  }

  /** One of those whose commits wait becomes visible. */
  show(): void {
    if (this.#pending.length === 0) return;
    this.#pending.splice(this.#random.below(this.#pending.length), 1);
    this.#visible = this.#stateAfter((transaction) => !this.#pending.includes(transaction));
  }

  /** Nobody is at work any more. */
  showAll(): void {
    this.#uncommitted.clear();
    while (this.#pending.length > 0) this.show();
  }

  rotate(): void {
    this.current.end = { file: `b.${Number(this.current.end.file.slice(2)) + 1}`, position: 4 };
  }

  /**
   * The binlog's tail is lost, and its transactions with it. The same server goes on in its next file; another one has
   * the same transactions at other places, which may have been others' places before.
   */
  crash(kind: 'restart' | 'failover'): void {
    const before = this.current;
    const kept = before.log.slice(0, Math.max(0, before.log.length - this.#random.below(8)));
    if (kind === 'restart') {
      this.current = new Incarnation(before.identity, before.end, this.#first);
      for (const { transaction, at } of kept) this.current.append(transaction, at);
      // The file's number goes on from the last one, also where that lost all it had.
      this.current.end = before.end;
      this.rotate();
    } else {
      this.#servers += 1;
      const file = `b.${6 + this.#random.below(3)}`;
      let position = 4 + 50 * this.#random.below(12);
      this.current = new Incarnation(`server ${this.#servers}`, { file, position }, this.#first);
      for (const { transaction } of kept) this.current.append(transaction, { file, position: (position += 100) });
    }
    this.#incarnations.push(this.current);
    this.#replicated = Math.min(this.#replicated, kept.length);
    this.#pending = [];
    this.#uncommitted.clear();
    this.#visible = this.#stateAfter(() => true);
  }

  /** A locking read with the binlog's end in one packet; then, where that returned nothing, one that does not wait. */
  async *prove(key: RowKey): AsyncGenerator<void, OriginRead> {
    const { identity, end: before } = this.current;
    const together = this.visible(key);
    if (this.#mistakes.has('plain read as exact')) {
      return {
        known: together,
        proof: { kind: 'log', identity, at: before, exact: together.content !== undefined, locks: true },
      };
    }
    if (!this.isLocked(key) && together.content !== undefined) {
      return { known: together, proof: { kind: 'log', identity, at: before, exact: true, locks: true } };
    }
    yield;
    // The position stands before the read, and its server's name beside it; the read may come any time later.
    const first = this.current;
    let at = first.end;
    yield;
    for (let waits = 0; waits < 3 && this.isLocked(key); waits += 1) yield;
    const known = this.visible(key);
    // Its connection was to the server that is gone.
    if (this.isLocked(key) || this.current !== first) return { known, proof: undefined };
    if (this.#mistakes.has('position after the single read')) {
      yield;
      if (this.current !== first) return { known, proof: undefined };
      at = first.end;
    }
    const exact = this.#mistakes.has('absence as exact');
    return { known, proof: { kind: 'log', identity: first.identity, at, exact, locks: true } };
  }

  /** A consistent snapshot and its place: that of the last transaction before which none waits to become visible. */
  readSnapshot(key: RowKey): OriginRead {
    const { identity, log } = this.current;
    const hidden = log.findIndex(({ transaction }) => this.#pending.includes(transaction));
    const included = hidden < 0 ? log.length : hidden;
    // At first nothing is known of where the log begins: the end of nothing.
    const at = log[included - 1]?.at ?? { file: 'b.1', position: 4 };
    const known = this.#stateAfter((transaction) => log.findIndex((of) => of.transaction === transaction) < included);
    return { known: known.get(key) as Known, proof: { kind: 'log', identity, at, exact: true, locks: false } };
  }

  /** A replica that has executed S0's transactions, and any number of those after. */
  readReplica(key: RowKey, gtid: string, replicas: 'one' | 'many'): OriginRead {
    const { log } = this.current;
    const last = Number(gtid);
    const executed = log.findIndex(({ transaction }) => transaction.sequence === last) + 1;
    if (executed === 0 && last > 0) return { known: this.visible(key), proof: undefined };
    const least = this.#mistakes.has('replica without waiting') ? Math.max(0, executed - 3) : executed;
    const executedNow = this.#random.chance(0.5) ? least : least + this.#random.below(log.length - least + 1);
    // One never goes back; of many, the next may be behind.
    if (replicas === 'many' || executedNow > this.#replicated) this.#replicated = executedNow;
    const included = new Set(log.slice(0, this.#replicated).map(({ transaction }) => transaction));
    const known = this.#stateAfter((transaction) => included.has(transaction));
    return { known: known.get(key) as Known, proof: { kind: 'gtid' } };
  }

  #stateAfter(isIncluded: (transaction: Transaction) => boolean): Map<RowKey, Known> {
    const state = new Map<RowKey, Known>([...this.#first].map(([key, content]) => [key, { content, order: -1 }]));
    for (const { transaction } of this.current.log) {
      if (!isIncluded(transaction)) continue;
      for (const [index, { key, content }] of transaction.changes.entries()) {
        state.set(key, { content, order: orderOf(transaction, index) });
      }
    }
    return state;
  }

  #newContent(): number {
    return (this.#contents += 1);
  }
}

function orderOf({ sequence }: Transaction, index: number): number {
  return sequence * 10 + index;
}

/** How many transactions two binlogs have in common, from the start on. */
export function commonTransactions(one: Incarnation, other: Incarnation): number {
  let common = 0;
  while (common < one.log.length && one.log[common]?.transaction === other.log[common]?.transaction) common += 1;
  return common;
}
