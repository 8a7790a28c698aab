/**
 * How old do answers get? One writer changes a few rows, readers ask the gateway for them; each answer is held against
 * what had been committed when it was asked for.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SyncWorld } from './sync-world.ts';

const WATCHED = 40;
const READERS = 4;
const WRITE_EVERY_MS = 3;

interface Commit {
  readonly n: number;
  readonly at: number;
}

export interface StalenessReport {
  readonly reads: number;
  readonly commits: number;
  /** Of the oldest answer: how long ago, when it was asked for, another had taken its place. ms. */
  readonly oldestMs: number;
  /** By shard and layer; `none` where the origin was asked and nothing was stored. */
  readonly details: Readonly<Record<string, number>>;
  readonly failed: readonly string[];
}

export class StalenessWatch {
  readonly #world: SyncWorld;
  readonly #history = new Map<number, Commit[]>();
  readonly #details: Record<string, number> = {};
  readonly #failed: string[] = [];
  #reads = 0;
  #oldestMs = 0;
  #n = 1_000_000;
  #isOver = false;
  #running: Promise<unknown> | undefined;

  constructor(world: SyncWorld) {
    this.#world = world;
  }

  start(): void {
    this.#running = Promise.all([this.#write(), ...Array.from({ length: READERS }, (_, index) => this.#read(index))]);
    this.#running.catch(() => undefined);
  }

  async stop(): Promise<StalenessReport> {
    this.#isOver = true;
    await this.#running;
    return {
      reads: this.#reads,
      commits: [...this.#history.values()].reduce((sum, commits) => sum + commits.length, 0),
      oldestMs: this.#oldestMs,
      details: this.#details,
      failed: this.#failed,
    };
  }

  async #write(): Promise<void> {
    while (!this.#isOver) {
      const id = 1 + (this.#n % WATCHED);
      const n = (this.#n += 1);
      await this.#world.run(`UPDATE items SET n = ${n} WHERE id = ${id}`);
      const commits = this.#history.get(id) ?? [];
      commits.push({ n, at: performance.now() });
      this.#history.set(id, commits);
      await sleep(WRITE_EVERY_MS);
    }
  }

  async #read(from: number): Promise<void> {
    const { db, gateways } = this.#world;
    for (let next = from; !this.#isOver; next += READERS) {
      const id = 1 + (next % WATCHED);
      const askedAt = performance.now();
      const answer = await fetch(`${gateways[0]}/${db}/items/${id}`);
      const text = await answer.text();
      this.#reads += 1;
      if (!answer.ok) {
        this.#failed.push(`${answer.status}: ${text}`);
        continue;
      }
      const detail = /detail="([^"]*)"/.exec(String(answer.headers.get('cache-status')))?.[1] ?? 'none';
      this.#details[detail] = (this.#details[detail] ?? 0) + 1;
      const { n } = JSON.parse(text) as { n: number };
      const replacedAt = this.#history.get(id)?.find((commit) => commit.n > n)?.at ?? Infinity;
      this.#oldestMs = Math.max(this.#oldestMs, askedAt - replacedAt);
    }
  }
}
