/**
 * What a shard held and is none of ours: forged, corrupt, or another application's. It counts as absent; here it is counted
 * and named. Of each shard and kind one line is logged in so many seconds, with how many there were, for a Redis that is
 * full of it must not fill the log too.
 */
import { Counter, type Registry } from 'prom-client';
import type { Log } from './log.ts';

/** An entry of a read-through row, one of a mirrored row, a stamp; a lease that does not run out. */
export type UnreadableKind = 'entry' | 'mirror-entry' | 'stamp' | 'lease';

const LOG_EVERY_MS = 10_000;

export class Unreadable {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #found: Counter<'shard' | 'kind'>;
  readonly #logged = new Map<string, { at: number; since: number }>();

  /** @param now ms, of any beginning. */
  constructor(registry: Registry, log: Log, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
    this.#found = new Counter({
      name: 'ringfill_unreadable_total',
      help: 'What a shard held and could not be read, and so counted as absent: entry, mirror-entry, stamp, lease.',
      labelNames: ['shard', 'kind'],
      registers: [registry],
    });
  }

  found(kind: UnreadableKind, shard: string, key: string): void {
    this.#found.inc({ shard, kind });
    const name = `${kind} ${shard}`;
    const last = this.#logged.get(name);
    if (last !== undefined && this.#now() - last.at < LOG_EVERY_MS) {
      last.since += 1;
      return;
    }
    this.#logged.set(name, { at: this.#now(), since: 0 });
    const more = last === undefined || last.since === 0 ? {} : { moreBefore: last.since };
    this.#log.warn({ shard, kind, key, ...more }, 'a shard held what cannot be read; it counts as absent');
  }
}
