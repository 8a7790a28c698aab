/**
 * A shard that takes part in a table's snapshot: the snapshot's scripts, and how far it has come there. All of its state
 * lies in the shard beside the stamp, so that it is lost with what it speaks of.
 */
import type { KeyPart } from '../../shared/key/key-part.ts';
import { parseRowId, type RowId } from '../../shared/key/row-id.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import type { TableSchema } from '../../shared/origin/table-schema.ts';
import type { Shard } from '../../shared/shard/shard.ts';

/** One row as of the place that its read is known to include exactly. */
export interface SnapshotRow {
  readonly key: string;
  readonly kind: 'row' | 'too-large';
  readonly version: string;
  /** The columns' texts as JSON. */
  readonly texts: Buffer;
}

/** How far a snapshot has come: how many chunks, and up to which key; nothing before the first, and past the last. */
export interface SnapshotProgress {
  readonly chunk: number;
  readonly upTo: RowId | undefined;
  /** Every key has been told. */
  readonly isAtEnd: boolean;
  /** That were found so far. */
  readonly rows: number;
  /** Of the chunks so far: rows that were locked, and are still to be read. */
  readonly leftOver: readonly RowId[];
}

/** Out of another's hands; the same, from the first row on; only what is still ours. */
export type Claim = 'take' | 'anew' | 'keep';

export interface BegunChunk {
  /** S0: what is read from now on includes it. */
  readonly to: string;
  readonly origin: string;
  /** The snapshot brings every row as of this, or later. */
  readonly since: string;
  /** Of a later one the shard may lack rows that an earlier one has brought. */
  readonly walk: string;
  /** The run that wrote the progress; nothing where there is none. Each counts chunks of its own sizes. */
  readonly by: string | undefined;
  readonly progress: SnapshotProgress;
}

/** The shard does not take part any more. */
export class SnapshotLost extends Error {
  readonly why: 'off' | 'lost' | 'void' | 'early' | 'behind';

  constructor(why: SnapshotLost['why']) {
    super(WHY_LOST[why]);
    this.name = 'SnapshotLost';
    this.why = why;
  }
}

const WHY_LOST: Readonly<Record<SnapshotLost['why'], string>> = {
  off: 'the shard does not follow the table: no sync worker has reached it',
  lost: 'another snapshot has taken it over, the shard lost some of what was written, or a chunk took too long',
  void: 'the table or the shard was dropped meanwhile (DDL, changes lost): what was written does not count',
  early: 'a read did not include what the shard has: another server answered',
  behind: 'the shard has not heard yet of changes that the reads have seen',
};

/** How long a chunk may take from its beginning to its last write. */
const CHUNK_TTL_MS = 120_000;
/** In one script: so many take a shard some milliseconds, in which it answers nobody else. */
const ROWS_PER_WRITE_MAX = 200;
const BYTES_PER_WRITE_MAX = 400_000;

export interface SnapshotShardOptions {
  readonly shard: Shard;
  /** The definitions of its ring, the newest first, joined by commas. */
  readonly rings: string;
  readonly keyPrefix: string;
  readonly followedName: string;
  readonly schema: Pick<TableSchema, 'key' | 'shape'>;
  /** Of the run. */
  readonly token: string;
}

/** All methods throw ShardUnavailable, and SnapshotLost. */
export class SnapshotShard {
  readonly shard: Shard;
  readonly #options: SnapshotShardOptions;
  readonly #stampKey: string;
  /** The number of the next script; they run in the order in which they are sent. */
  #turn = 0;

  constructor(options: SnapshotShardOptions) {
    this.shard = options.shard;
    this.#options = options;
    this.#stampKey = stampKey(options.keyPrefix);
  }

  async begin(claim: Claim): Promise<BegunChunk> {
    const { followedName, rings, schema, token } = this.#options;
    if (claim !== 'keep') this.#turn = 0;
    const turn = this.#nextTurn();
    const [outcome, ...rest] = await this.shard.run('snapshot', (redis) =>
      redis.snapshotBegin(this.#stampKey, token, followedName, rings, schema.shape, CHUNK_TTL_MS, claim, turn),
    );
    if (outcome !== 'begun') throw new SnapshotLost(outcome);
    const [to, origin, since, walk, chunk, cursor] = rest as [string, string, string, string, string, string];
    return { to, origin, since, walk, ...decodeProgress(schema.key, Number(chunk), cursor) };
  }

  /** @param progress what is done with these rows, if all before it is. */
  async write(rows: readonly SnapshotRow[], progress: SnapshotProgress | undefined): Promise<void> {
    const parts = partsOf(rows);
    if (parts.length === 0 && progress === undefined) return;
    if (parts.length === 0) parts.push([]);
    // One after another: readers get their answers in between.
    for (const [index, part] of parts.entries()) {
      await this.#write(part, index === parts.length - 1 ? progress : undefined);
    }
  }

  async #write(rows: readonly SnapshotRow[], progress: SnapshotProgress | undefined): Promise<void> {
    const { followedName, rings, schema, token } = this.#options;
    const turn = this.#nextTurn();
    const outcome = await this.shard.run('snapshot', (redis) =>
      redis.snapshotWrite(
        1 + rows.length,
        this.#stampKey,
        ...rows.map(({ key }) => key),
        token,
        followedName,
        rings,
        schema.shape,
        progress === undefined ? '' : String(progress.chunk),
        progress === undefined ? '' : encodeProgress(progress, token),
        turn,
        ...rows.flatMap(({ kind, version, texts }) => [(kind === 'row' ? 'R' : 'T') + version, texts]),
      ),
    );
    if (outcome !== 'written') throw new SnapshotLost(outcome);
  }

  /**
   * Removes what is from before the snapshot began, of these keys; they are the table's own.
   * @param which `same`: also what is as of its very beginning, of keys that are known to be of no row.
   * @returns how many; and, of `older`, keys of which it has to be known.
   */
  async sweep(
    keys: readonly string[],
    which: 'older' | 'same',
  ): Promise<{ readonly removed: number; readonly unsure: readonly string[] }> {
    const { followedName, token } = this.#options;
    const turn = this.#nextTurn();
    const [outcome, ...swept] = await this.shard.run('snapshot', (redis) =>
      redis.snapshotSweep(1 + keys.length, this.#stampKey, ...keys, token, followedName, turn, which),
    );
    if (outcome !== 'swept') throw new SnapshotLost(outcome);
    const [removed, ...unsure] = swept as [number, ...string[]];
    return { removed, unsure };
  }

  /** Every row that belongs here is here. */
  async complete(): Promise<void> {
    const { followedName, rings, schema, token } = this.#options;
    const turn = this.#nextTurn();
    const outcome = await this.shard.run('snapshot', (redis) =>
      redis.snapshotEnd(this.#stampKey, token, followedName, rings, schema.shape, turn),
    );
    if (outcome !== 'complete') throw new SnapshotLost(outcome);
  }

  #nextTurn(): number {
    const turn = this.#turn;
    this.#turn += 1;
    return turn;
  }
}

function encodeProgress({ rows, upTo, isAtEnd, leftOver }: SnapshotProgress, by: string): string {
  const left = leftOver.map(({ segment }) => segment);
  return JSON.stringify({ by, rows, upTo: upTo?.segment ?? null, isAtEnd, leftOver: left });
}

/** What Redis holds is not trusted: what cannot be read begins anew. */
export function decodeProgress(
  key: readonly KeyPart[],
  chunk: number,
  cursor: string,
): Pick<BegunChunk, 'by' | 'progress'> {
  try {
    const { by, rows, upTo, isAtEnd, leftOver } = JSON.parse(cursor) as Record<string, unknown>;
    const ids = (leftOver as string[]).map((segment) => parseRowId(key, segment));
    const at = upTo === null ? undefined : parseRowId(key, upTo as string);
    const isOurs = typeof by === 'string' && isCount(rows) && typeof isAtEnd === 'boolean' && isCount(chunk);
    if (isOurs && (isAtEnd || at !== undefined)) {
      return { by, progress: { chunk, upTo: at, isAtEnd, rows, leftOver: ids } };
    }
  } catch {
    // Nothing has been written yet, or by another version of ours.
  }
  return { by: undefined, progress: { chunk: 0, upTo: undefined, isAtEnd: false, rows: 0, leftOver: [] } };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function partsOf(rows: readonly SnapshotRow[]): SnapshotRow[][] {
  const parts: SnapshotRow[][] = [];
  let bytes = 0;
  for (const row of rows) {
    let part = parts.at(-1);
    const size = row.key.length + row.texts.length;
    if (part === undefined || part.length >= ROWS_PER_WRITE_MAX || bytes + size > BYTES_PER_WRITE_MAX) {
      part = [];
      parts.push(part);
      bytes = 0;
    }
    part.push(row);
    bytes += size;
  }
  return parts;
}
