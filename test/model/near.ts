/**
 * A gateway's memory of one shard, as shared/shard/near has it, between two connections of which either may be ahead:
 *
 *     the shard's own:   a read is sent, is executed, and its reply comes any time later; replies come in their order
 *     the feed:          what changed is told any time later, in its order; PONG behind all that was told before the PING
 */
import { NearShard } from '../../shared/shard/near/near-shard.ts';
import { NearStore } from '../../shared/shard/near/near-store.ts';
import type { SeenStamp } from '../../shared/stamp/stamp-reader.ts';
import type { RowKey } from './keys.ts';
import type { Mistakes } from './mistakes.ts';
import type { ModelShard, Tell } from './shard.ts';
import type { TrustRule } from './trust-rule.ts';

/** What comes over the feed. */
type Told =
  | { readonly kind: 'listening' }
  | { readonly kind: 'changed'; readonly keys: readonly string[] | null }
  | { readonly kind: 'pong'; readonly seen: SeenStamp | undefined; readonly atMs: number }
  | { readonly kind: 'closed' };

interface Reading {
  readonly asked: number;
  readonly highest: string;
  readonly keys: readonly RowKey[];
  readonly stamp: Buffer | null;
  readonly entries: readonly (Buffer | null)[];
  seen?: SeenStamp | undefined;
}

export interface Replied {
  readonly seen: SeenStamp | undefined;
  readonly stored: Buffer | null;
}

const ROOM = 1_048_576;

export class ModelNear {
  readonly shard: ModelShard;
  readonly #near: NearShard;
  readonly #reader: InstanceType<TrustRule['StampReader']>;
  readonly #mistakes: Mistakes;
  readonly #now: () => number;
  /** Executed, and not replied yet. */
  readonly #replies: Reading[] = [];
  readonly #told: Told[] = [];
  #tell: Tell | undefined;
  #hasListened = false;
  #confirming: 'stamp' | 'ping' | undefined;
  #read: { readonly seen: SeenStamp | undefined; readonly atMs: number } | undefined;

  constructor(
    shard: ModelShard,
    reader: InstanceType<TrustRule['StampReader']>,
    mistakes: Mistakes,
    now: () => number,
  ) {
    this.shard = shard;
    this.#reader = reader;
    this.#mistakes = mistakes;
    this.#now = now;
    this.#near = new NearShard(new NearStore(ROOM), [''], now);
  }

  near(key: RowKey): Replied | undefined {
    const read = this.#near.near(this.shard.entryKey(key));
    return read && { seen: read.seen, stored: Buffer.from(read.near.stored, 'latin1') };
  }

  async *read(key: RowKey): AsyncGenerator<void, Replied> {
    const reading = await this.#execute([key]);
    yield;
    this.#receive(reading);
    return { seen: reading.seen, stored: reading.entries[0] ?? null };
  }

  /** Whatever else was asked over the shard's own connection is answered; it may have changed the key. */
  changed(key: RowKey): void {
    this.#receive(this.#replies.at(-1));
    if (!this.#mistakes.has('our own fill is told of later')) this.#near.changed(this.shard.entryKey(key));
  }

  /** The next step of a confirmation; or first the feed, where there is none. */
  async confirm(): Promise<void> {
    if (this.#tell === undefined) {
      this.#listen();
      return;
    }
    if (this.#confirming === undefined) {
      const atMs = this.#now();
      const reading = await this.#execute([]);
      this.#receive(reading);
      this.#read = { seen: reading.seen, atMs };
      this.#confirming = 'stamp';
      if (this.#mistakes.has('confirmed before all was told')) this.#confirmed(reading.seen, atMs);
    } else if (this.#confirming === 'stamp' && this.#read !== undefined) {
      // Over the other connection, when the reply has come.
      this.#told.push({ kind: 'pong', ...this.#read });
      this.#confirming = 'ping';
    }
  }

  /** All that is told arrives, and a stamp is confirmed. */
  async settle(): Promise<void> {
    do {
      await this.confirm();
      while (this.#told.length > 0) this.tellNext();
    } while (this.#confirming !== undefined || this.#tell === undefined);
  }

  /** Something comes over the feed. */
  tellNext(): void {
    const told = this.#told.shift();
    if (told === undefined) return;
    switch (told.kind) {
      case 'listening':
        if (!this.#goesOn || !this.#hasListened) this.#near.listens();
        this.#hasListened = true;
        return;
      case 'changed':
        if (told.keys === null) this.#near.forget();
        else for (const key of told.keys) this.#near.changed(key);
        return;
      case 'pong':
        return this.#confirmed(told.seen, told.atMs);
      case 'closed':
        if (!this.#goesOn) this.#near.lost();
        this.#end();
    }
  }

  /** It breaks; what was on its way may still come. */
  lose(): void {
    if (this.#tell === undefined) return;
    this.shard.tracking.delete(this.#tell);
    if (this.#told.at(-1)?.kind !== 'closed') this.#told.push({ kind: 'closed' });
  }

  /** The gateway is no more. */
  close(): void {
    if (this.#tell !== undefined) this.shard.tracking.delete(this.#tell);
  }

  get #goesOn(): boolean {
    return this.#mistakes.has('another feed goes on from the one before');
  }

  #listen(): void {
    this.#told.push({ kind: 'listening' });
    this.#tell = (keys) => this.#told.push({ kind: 'changed', keys });
    this.shard.tracking.add(this.#tell);
  }

  #end(): void {
    this.#told.length = 0;
    this.#tell = undefined;
    this.#confirming = undefined;
  }

  #confirmed(seen: SeenStamp | undefined, atMs: number): void {
    this.#near.confirmed(seen, atMs);
    this.#confirming = undefined;
  }

  async #execute(keys: readonly RowKey[]): Promise<Reading> {
    const asked = this.#near.asks();
    const { highest } = this.#reader;
    const { stamp, entries } = await this.shard.read(keys);
    const reading: Reading = { asked, highest, keys, stamp, entries };
    this.#replies.push(reading);
    return reading;
  }

  /** Its reply comes, and before it those to what was asked before. */
  #receive(last: Reading | undefined): void {
    if (last === undefined || !this.#replies.includes(last)) return;
    for (let reading = this.#replies.shift(); reading !== undefined; reading = this.#replies.shift()) {
      reading.seen = this.#reader.read(reading.stamp, reading.highest);
      const names = reading.keys.map((key) => this.shard.entryKey(key));
      const asked = this.#mistakes.has('kept whatever was told meanwhile') ? this.#near.asks() : reading.asked;
      if (!this.#mistakes.has('replies do not count') || this.#near.near(names[0] ?? '') === undefined) {
        this.#near.replied(asked, names, reading.entries, reading.seen);
      }
      if (reading === last) return;
    }
  }
}
