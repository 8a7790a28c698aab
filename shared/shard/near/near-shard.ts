/**
 * What this process's memory knows of one shard, and may say in its stead: the bytes that the shard replied, and the
 * latest of its stamps by which they are known to hold. Whoever asks judges both by the same rules as a reply.
 *
 *     change in the shard ──▶ Redis tells ──▶ the entry goes
 *     every 100 ms: the stamp is read ──▶ then asked for over the connection that tells: all told?  ──▶ it is confirmed
 *
 * So a confirmed stamp covers no change of which an entry here has not heard (change-feed.ts has the proof). Whatever may
 * break that takes everything at once: the connection that tells is lost or late, the shard is out of use, was emptied,
 * or its stamp went back.
 */
import { isDeepStrictEqual } from 'node:util';
import type { SeenStamp } from '../../stamp/stamp-reader.ts';
import type { Stamp } from '../../stamp/stamp.ts';
import type { Era, NearEntry, NearStore } from './near-store.ts';
import { RecentChanges } from './recent-changes.ts';

/** It is not asked longer than this after its last confirmation began, whatever stamps say. ms. */
export const BELIEVED_MS = 1_000;

/** As a read of the shard brings it. */
export interface NearRead {
  readonly near: NearEntry;
  readonly seen: SeenStamp | undefined;
}

export class NearShard {
  readonly #store: NearStore;
  readonly #prefixes: readonly string[];
  readonly #now: () => number;
  readonly #changes = new RecentChanges();
  #era: Era = { isOver: false };
  /** Changes are told. */
  #listens = false;
  #confirmed: { readonly seen: SeenStamp | undefined; readonly atMs: number } | undefined;
  /** The latest that a reply has brought; `null` before the first. */
  #latest: Stamp | undefined | null = null;

  /**
   * @param prefixes of the keys of whose changes it is told; no other is kept.
   * @param now in ms, of a clock that is never set.
   */
  constructor(store: NearStore, prefixes: readonly string[], now = () => performance.now()) {
    this.#store = store;
    this.#prefixes = prefixes;
    this.#now = now;
  }

  /** What is known of the key, as the shard would reply it; to be judged at once. Nothing where it is not here. */
  near(key: string): NearRead | undefined {
    const confirmed = this.#confirmed;
    const { counts } = this.#store;
    if (confirmed !== undefined && this.#now() - confirmed.atMs <= BELIEVED_MS) {
      const near = this.#store.get(key, this.#era);
      if (near !== undefined) {
        counts.hits += 1;
        return { near, seen: confirmed.seen };
      }
    }
    counts.misses += 1;
    return undefined;
  }

  /** A read is being sent. @returns what `replied` wants to know of it. */
  asks(): number {
    return this.#changes.mark;
  }

  /** It was answered; over one connection answers come in the order of what was asked. */
  replied(
    asked: number,
    keys: readonly string[],
    stored: readonly (Buffer | null)[],
    seen: SeenStamp | undefined,
  ): void {
    this.#saw(seen);
    if (!this.#listens) return;
    for (const [index, key] of keys.entries()) {
      const bytes = stored[index] ?? null;
      if (bytes === null || this.#changes.hasChanged(key, asked)) this.#store.drop(key, this.#era);
      else if (this.#prefixes.some((prefix) => key.startsWith(prefix))) this.#store.offer(key, this.#era, bytes);
    }
  }

  /** It was changed there, or may have been: by others, as Redis tells; or by ourselves, before Redis tells. */
  changed(key: string): void {
    this.#changes.note(key);
    if (this.#store.drop(key, this.#era)) this.#store.counts.invalidated += 1;
  }

  /** From now on every change is told. */
  listens(): void {
    this.forget();
    this.#listens = true;
  }

  /** All that changed before the stamp was read has been told. @param atMs when that was begun. */
  confirmed(seen: SeenStamp | undefined, atMs: number): void {
    if (!this.#listens || seen?.wentBack === true || !isAlike(this.#latest, seen?.stamp)) return;
    this.#confirmed = { seen, atMs };
  }

  /** It is not told of changes any more, or cannot know of which. */
  lost(): void {
    this.#listens = false;
    this.forget();
  }

  /** All that is here may have changed. */
  forget(): void {
    this.#confirmed = undefined;
    this.#latest = null;
    this.#changes.noteAll();
    this.#era.isOver = true;
    this.#era = { isOver: false };
  }

  /**
   * The confirmed stamp may lie behind the shard's own, but only in how far it has heard: by one that another reply has
   * overtaken in what counts at all, entries would count again that did not any more.
   */
  #saw(seen: SeenStamp | undefined): void {
    if (seen?.wentBack === true) this.forget();
    const stamp = seen?.stamp;
    if (stamp === this.#latest) return;
    if (!isAlike(this.#latest, stamp)) this.#confirmed = undefined;
    this.#latest = stamp;
  }
}

/** Whether the same entries count by both; `null`: whichever it was. */
function isAlike(one: Stamp | undefined | null, other: Stamp | undefined): boolean {
  if (one === null || one === other) return true;
  if (one === undefined || other === undefined) return false;
  return (
    one.plan === other.plan &&
    one.floor === other.floor &&
    one.origin === other.origin &&
    isDeepStrictEqual([one.rings, one.tables, one.holes], [other.rings, other.tables, other.holes])
  );
}
