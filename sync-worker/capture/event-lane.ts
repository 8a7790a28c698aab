/**
 * Changes -> events for others, in the binlog's order. Events of rows go at once, one message each; their transaction is
 * committed. That a table has to be read again (RELOAD) waits for the flush, where it is one message a table however many
 * statements asked for it: a session that writes statements instead of rows would else make a flood of them.
 *
 * No checkpoint passes what is owed: a flush to all shards brings it in any case.
 */
import { EventFrame, reloadBody, type ReloadReason, routingKey } from '../../shared/event/event.ts';
import { nowMicros } from '../../shared/lifecycle/now-micros.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import type { PlacedChange, Transaction } from './assembler/transaction.ts';

export interface EventMessage {
  readonly routingKey: string;
  readonly version: string;
  readonly content: Buffer;
}

export interface EventLaneOptions {
  /** Of which others are told. */
  readonly tables: () => Iterable<ExposedTable>;
  readonly emit: (message: EventMessage) => void;
  /** ms. */
  readonly now?: () => number;
}

/** Within this, a table's next RELOAD waits for a flush to all. */
const RELOAD_EVERY_MS = 1_000;

export class EventLane {
  readonly #options: EventLaneOptions;
  readonly #now: () => number;
  readonly #owed = new Map<ExposedTable, ReloadReason>();
  readonly #reloadedAt = new Map<ExposedTable, number>();

  constructor(options: EventLaneOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** What a transaction's events have in common. */
  frame({ end, gtid, committedAtMicros, committedAtSeconds }: Transaction): EventFrame {
    // MariaDB tells whole seconds; where nothing is told, the transaction has come just now.
    const ofSeconds = committedAtSeconds === undefined ? undefined : committedAtSeconds * 1_000_000;
    return new EventFrame({ end, gtid, atMicros: committedAtMicros ?? ofSeconds ?? nowMicros() });
  }

  /** @returns whether a message went on the way. */
  tell(change: PlacedChange, frame: EventFrame, version: string): boolean {
    if (change.op === 'reload') {
      this.owe([change.table], 'untold-changes');
      return false;
    }
    this.#options.emit({ routingKey: change.key, version, content: frame.content(change.body, version) });
    return true;
  }

  /** @param followed by followed name. */
  owe(followed: readonly string[], reason: ReloadReason): void {
    for (const table of this.#options.tables()) {
      // Its key columns, which stand behind, may be others by now.
      const isMeant = followed.some((name) => name.startsWith(`${table.label}(`));
      if (isMeant && this.#owed.get(table) !== 'gap') this.#owed.set(table, reason);
    }
  }

  oweAll(reason: ReloadReason): void {
    for (const table of this.#options.tables()) this.#owed.set(table, reason);
  }

  /** Everything up to `end`, whose version is `to`, has been told but for what is owed. */
  flush(to: string, end: LogPosition, whom: 'changed' | 'all'): void {
    if (this.#owed.size === 0) return;
    const now = this.#now();
    const frame = new EventFrame({ end, gtid: undefined, atMicros: nowMicros() });
    for (const [table, reason] of this.#owed) {
      const age = now - (this.#reloadedAt.get(table) ?? -Infinity);
      if (whom === 'changed' && age < RELOAD_EVERY_MS) continue;
      this.#owed.delete(table);
      this.#reloadedAt.set(table, now);
      const { db, table: name } = table.name;
      const content = frame.content(reloadBody(db, name, reason), to);
      this.#options.emit({ routingKey: routingKey(db, name, 'RELOAD'), version: to, content });
    }
  }
}
