/**
 * One snapshot of the mirrored table into some of its shards, as sync-worker/snapshot/snapshot-run.ts makes it: every
 * step may come any time later, another may take over meanwhile, and it may never go on.
 */
import { epochOf, type LogPosition, versionOf } from '../../shared/version/version.ts';
import type { Claim } from '../../sync-worker/snapshot/snapshot-shard.ts';
import { type KeyStep, nextKeys } from './key-walk.ts';
import { placesOf, type RowKey, type SnapshotPlace } from './keys.ts';
import { mirroredBody, mirroredKind } from './mirrored-row.ts';
import type { Mistakes } from './mistakes.ts';
import type { Origin, OriginRead } from './origin.ts';
import type { Random } from './random.ts';
import type { ModelShard, SnapshotOf, SnapshotWrite } from './shard.ts';

export interface SnapshotterPorts {
  readonly origin: Origin;
  readonly shards: ReadonlyMap<string, ModelShard>;
  /** Every key that the table may have, in its order. */
  readonly keys: readonly RowKey[];
  readonly random: Random;
  readonly mistakes: Mistakes;
  readonly count: (outcome: string) => void;
  readonly trace: (line: string) => void;
}

interface Target {
  readonly shard: ModelShard;
  readonly of: SnapshotOf;
  /** The number of the next script. */
  turn: number;
}

interface Progress {
  readonly chunk: number;
  readonly upTo: RowKey | undefined;
  readonly isAtEnd: boolean;
  readonly leftOver: readonly RowKey[];
}

interface BegunChunk {
  readonly to: string;
  readonly origin: string;
  readonly walk: string;
  readonly by: string | undefined;
  readonly progress: Progress;
}

/** A row that is there, exactly as of a place. */
type ProvedRow = { readonly content: number } & Pick<OriginRead['proof'] & { kind: 'log' }, 'at' | 'identity'>;
type Rows = ReadonlyMap<RowKey, ProvedRow>;
type Steps<T = void> = AsyncGenerator<void, T>;

/** The shard takes no further part. */
class Lost extends Error {}

export class Snapshotter {
  readonly name: string;
  /** What has become complete by it. */
  readonly complete: string[] = [];
  readonly #ports: SnapshotterPorts;
  readonly #claim: Claim;
  #targets: Target[];
  #leftOver = new Set<RowKey>();

  /** @param name its token too: no other has it. */
  constructor(name: string, places: readonly SnapshotPlace[], claim: Claim, ports: SnapshotterPorts) {
    this.name = name;
    this.#ports = ports;
    this.#claim = claim;
    const table = ports.keys[0]?.table ?? '';
    this.#targets = places.map(({ rings, shard }) => {
      return { shard: ports.shards.get(shard) as ModelShard, of: { token: name, table, rings }, turn: 0 };
    });
  }

  async *run(): Steps {
    const begun = this.#ofOneWalk(yield* this.#eachTarget((target) => this.#begin(target, this.#claim)));
    const all = [...begun.values()].map(({ progress }) => progress);
    const [from] = all.toSorted((a, b) => a.chunk - b.chunk);
    if (from === undefined) return;
    this.#leftOver = new Set(all.flatMap(({ leftOver }) => leftOver));
    const end = yield* this.#walk(from);
    if (!(yield* this.#readLeftOver(end))) return;
    yield* this.#hear();
    yield* this.#eachTarget((target) => this.#finish(target));
  }

  #ofOneWalk(begun: Map<Target, BegunChunk>): Map<Target, BegunChunk> {
    const comparable = Map.groupBy(begun, ([, { walk, by }]) => `${walk} ${by}`);
    const [largest = []] = [...comparable.values()].toSorted((a, b) => b.length - a.length);
    const chosen = new Map(largest);
    this.#targets = this.#targets.filter((target) => chosen.has(target));
    return chosen;
  }

  /** While one chunk is written the next is read. */
  async *#walk(from: Progress): Steps<Progress> {
    const { random, mistakes, count } = this.#ports;
    let progress = from;
    let step = from.isAtEnd ? undefined : yield* this.#nextKeys(from.upTo);
    let writing = nothing();
    while (step !== undefined && this.#targets.length > 0) {
      const { keys, upTo }: KeyStep = step;
      const ahead: KeyStep | undefined = upTo && random.chance(0.5) ? yield* this.#nextKeys(upTo) : undefined;
      const { begun, rows, locked } = yield* this.#beside(writing, this.#readChunk(keys));
      for (const key of locked) this.#leftOver.add(key);
      if (locked.length > 0) count('snapshot: left over');
      const leftOver = mistakes.has('progress past what is left over') ? [] : [...this.#leftOver];
      progress = { chunk: progress.chunk + 1, upTo, isAtEnd: upTo === undefined, leftOver };
      writing = this.#write(begun, rows, progress);
      if (random.chance(0.1)) {
        yield* writing;
        yield* this.#readLeftOver(progress);
      }
      step = ahead ?? (upTo && (yield* this.#nextKeys(upTo)));
    }
    yield* writing;
    return progress;
  }

  async *#readChunk(keys: readonly RowKey[]): Steps<{ begun: Map<Target, BegunChunk>; rows: Rows; locked: RowKey[] }> {
    const begun = yield* this.#eachTarget((target) => this.#begin(target, 'keep'));
    return { begun, ...(yield* this.#read(keys, 1 + this.#ports.random.below(2))) };
  }

  async *#read(keys: readonly RowKey[], attempts: number): Steps<{ rows: Rows; locked: RowKey[] }> {
    const rows = new Map<RowKey, ProvedRow>();
    let asked = keys;
    for (let attempt = 1; ; attempt += 1) {
      const locked: RowKey[] = [];
      for (const key of asked) {
        const found = yield* this.#readOne(key);
        if (found === 'locked') locked.push(key);
        else if (found !== 'absent') rows.set(key, found);
      }
      if (locked.length === 0 || attempt >= attempts) return { rows, locked };
      asked = locked;
      yield;
    }
  }

  async *#readOne(key: RowKey): Steps<ProvedRow | 'absent' | 'locked'> {
    const { origin, random, mistakes } = this.#ports;
    // A consistent snapshot proves a row as well; that it is of before the chunk, the script sees.
    const isSnapshot = random.chance(0.08);
    const { known, proof } = isSnapshot ? origin.readSnapshot(key) : yield* origin.prove(key);
    if (proof?.kind === 'log' && known.content !== undefined && proof.exact) {
      return { content: known.content, at: proof.at, identity: proof.identity };
    }
    const isKnownAbsent = known.content === undefined && proof !== undefined && !isSnapshot;
    return isKnownAbsent || mistakes.has('what is locked is not there') ? 'absent' : 'locked';
  }

  async *#write(begun: ReadonlyMap<Target, BegunChunk>, rows: Rows, progress: Progress | undefined): Steps {
    const parts = new Map(this.#targets.map((target) => [target, [] as SnapshotWrite[]]));
    for (const [key, { content, at, identity }] of rows) {
      for (const [target, part] of parts) {
        const chunk = begun.get(target);
        const isHere = placesOf(target.of.rings, key).some(({ shard }) => shard === target.shard.name);
        if (!isHere || chunk === undefined) continue;
        if (identity !== chunk.origin && !this.#ports.mistakes.has('another server’s rows')) {
          this.#ports.count('snapshot: another server');
          this.#drop(target);
          continue;
        }
        const kind = mirroredKind(content) === 'row' ? 'R' : 'T';
        part.push({ key, head: kind + versionOf(epochOf(chunk.to), at), texts: mirroredBody(content) });
      }
    }
    yield* this.#eachTarget((target) => this.#writeTo(target, parts.get(target) ?? [], progress));
  }

  async *#writeTo(target: Target, rows: readonly SnapshotWrite[], progress: Progress | undefined): Steps {
    const { random } = this.#ports;
    const first = random.below(rows.length + 1);
    const parts = first > 0 && first < rows.length ? [rows.slice(0, first), rows.slice(first)] : [rows];
    for (const [index, part] of parts.entries()) {
      if (index > 0) yield;
      const done = index === parts.length - 1 ? progress : undefined;
      const told =
        done === undefined ? (['', ''] as const) : ([String(done.chunk), encodeProgress(done, this.name)] as const);
      const outcome = await target.shard.snapshotWrite(target.of, part, told, nextTurn(target));
      const names = part.map(({ key, head, texts }) => `${key.name} ${head} ${texts.toString()}`);
      this.#tell(target, `writes ${[...names, ...told].join(', ')}`, outcome);
      if (outcome !== 'written') throw new Lost();
    }
  }

  /** @returns false where it has no patience any more with whoever holds the locks. */
  async *#readLeftOver(progress: Progress): Steps<boolean> {
    const { random, mistakes } = this.#ports;
    if (mistakes.has('what is left over is forgotten')) return true;
    while (this.#leftOver.size > 0 && this.#targets.length > 0) {
      const { begun, rows, locked } = yield* this.#readChunk([...this.#leftOver]);
      this.#leftOver = new Set(locked);
      yield* this.#write(begun, rows, rows.size > 0 ? { ...progress, leftOver: locked } : undefined);
      if (this.#leftOver.size > 0 && random.chance(0.1)) {
        this.#targets = [];
        return false;
      }
      yield;
    }
    return true;
  }

  /** Each shard has to hear of all that had happened when the rows were read, those that were not there too. */
  async *#hear(): Steps {
    const { origin, mistakes } = this.#ports;
    if (mistakes.has('an end ahead of the stamp')) return;
    const { identity, end } = origin.current;
    yield;
    yield* this.#eachTarget((target) => this.#hearIn(target, identity, end));
  }

  async *#hearIn(target: Target, identity: string, end: LogPosition): Steps {
    for (;;) {
      const { to, origin } = yield* this.#begin(target, 'keep');
      if (origin !== identity) throw new Lost();
      if (to >= versionOf(epochOf(to), end)) return;
      this.#ports.count('snapshot: behind');
      if (this.#ports.random.chance(0.1)) throw new Lost();
      yield;
    }
  }

  async *#finish(target: Target): Steps {
    const { keys, origin, random } = this.#ports;
    for (const key of keys) {
      const [unsure] = await this.#sweep(target, key, 'older');
      if (random.chance(0.3)) yield;
      // An earlier snapshot's row may be as of the same place.
      if (unsure === undefined || origin.visible(unsure).content !== undefined) continue;
      yield;
      await this.#sweep(target, unsure, 'same');
    }
    yield;
    const outcome = await target.shard.snapshotEnd(target.of, nextTurn(target));
    this.#tell(target, 'ends', outcome);
    if (outcome !== 'complete') throw new Lost();
    this.complete.push(target.shard.name);
  }

  async #sweep(target: Target, key: RowKey, which: 'older' | 'same'): Promise<readonly RowKey[]> {
    const swept = await target.shard.snapshotSweep(target.of, [key], nextTurn(target), which);
    if (swept === undefined) {
      this.#tell(target, `sweeps ${key.name}`, 'lost');
      throw new Lost();
    }
    if (swept.removed > 0) this.#tell(target, `sweeps ${key.name}`, which === 'older' ? 'swept' : 'swept by name');
    return swept.unsure;
  }

  // oxlint-disable-next-line require-yield -- what each target is asked may have steps; this is one
  async *#begin(target: Target, claim: Claim): Steps<BegunChunk> {
    const [outcome, ...rest] = await target.shard.snapshotBegin(target.of, claim, nextTurn(target));
    this.#tell(target, `begins (${claim}) ${rest.join(' ')}`, outcome);
    if (outcome !== 'begun') throw new Lost();
    const [to, origin, , walk, chunk, cursor] = rest as [string, string, string, string, string, string];
    return { to, origin, walk, ...decodeProgress(this.#ports.keys, Number(chunk), cursor) };
  }

  #nextKeys(after: RowKey | undefined): Steps<KeyStep> {
    const { origin, keys, random, mistakes } = this.#ports;
    return nextKeys(origin, keys, after, 1 + random.below(3), mistakes);
  }

  /** The steps of both, as they come. */
  async *#beside<T>(one: Steps, other: Steps<T>): Steps<T> {
    let isOneDone = false;
    for (;;) {
      if (!isOneDone && this.#ports.random.chance(0.5)) isOneDone = (await one.next()).done === true;
      else {
        const step = await other.next();
        if (step.done === true) {
          if (!isOneDone) yield* one;
          return step.value;
        }
      }
      yield;
    }
  }

  /** A shard that fails takes no further part: what it was asked for may have been done all the same. */
  async *#eachTarget<T>(step: (target: Target) => Steps<T>): Steps<Map<Target, T>> {
    const { random } = this.#ports;
    const results = new Map<Target, T>();
    const first = random.below(this.#targets.length);
    for (const target of [...this.#targets.slice(first), ...this.#targets.slice(0, first)]) {
      if (!this.#targets.includes(target)) continue;
      const answers = random.chance(0.98);
      if (!answers) this.#drop(target);
      if (!answers && random.chance(0.5)) continue;
      try {
        results.set(target, yield* step(target));
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        this.#drop(target);
      }
      yield;
    }
    return results;
  }

  #drop(target: Target): void {
    this.#targets = this.#targets.filter((one) => one !== target);
  }

  #tell({ shard }: Target, what: string, outcome: string): void {
    this.#ports.count(`snapshot: ${outcome}`);
    this.#ports.trace(`${this.name} ${shard.name} ${what}: ${outcome}`);
  }
}

function nextTurn(target: Target): number {
  const { turn } = target;
  target.turn += 1;
  return turn;
}

function encodeProgress({ upTo, isAtEnd, leftOver }: Progress, by: string): string {
  return JSON.stringify({ by, upTo: upTo?.name ?? null, isAtEnd, leftOver: leftOver.map(({ name }) => name) });
}

function decodeProgress(keys: readonly RowKey[], chunk: number, cursor: string): Pick<BegunChunk, 'by' | 'progress'> {
  if (cursor === '') return { by: undefined, progress: { chunk: 0, upTo: undefined, isAtEnd: false, leftOver: [] } };
  const told = JSON.parse(cursor) as { by: string; upTo: string | null; isAtEnd: boolean; leftOver: string[] };
  return {
    by: told.by,
    progress: {
      chunk,
      upTo: keys.find(({ name }) => name === told.upTo),
      isAtEnd: told.isAtEnd,
      leftOver: keys.filter(({ name }) => told.leftOver.includes(name)),
    },
  };
}

// oxlint-disable-next-line require-yield -- nothing is being written
async function* nothing(): Steps {}
