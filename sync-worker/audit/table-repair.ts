/**
 * Mends what an audit has found of one table, so that no change that comes in between is lost:
 *
 *     what should not be there, and all of a cache     dropped, if it is still what was judged
 *     a row that a mirror should have                  read once more, with proof, and written as of that place
 *
 * 1. The row is read as of F.   2. It is changed, or deleted; the shard applies that.   3. The row is written as of F: the
 * script sees the newer version, or the note that it was deleted (the one that snapshots use, so it takes their lock).
 *
 * A version beyond the binlog's end hides every change from the shard. So such a row is first given a version that does not:
 *
 * 1. The row is read as of F.   2. It is changed at v; the shard sees a version above v, and lets it be.   3. The row is
 * written as of F, and the change at v is lost for ever.
 */
import { randomUUID } from 'node:crypto';
import { ShardUnavailable } from '../../shared/errors/errors.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { epochOf, versionOf } from '../../shared/version/version.ts';
import type { AuditedShard } from './audited-shard.ts';
import type { Finding } from './finding.ts';
import type { AuditedOrigin, OriginWord } from './origin-word.ts';

export interface TableRepairOptions {
  readonly table: ExposedTable;
  readonly origin: Pick<AuditedOrigin, 'words'>;
  readonly keyPrefix: string;
  /** Keeps snapshots away meanwhile. */
  readonly underLock: (work: () => Promise<void>) => Promise<void>;
}

const ROWS_AT_ONCE = 100;
const BYTES_PER_WRITE_MAX = 400_000;
/** From the beginning to the last write. */
const MENDING_TTL_MS = 30_000;

export class TableRepair {
  readonly #options: TableRepairOptions;
  readonly #stampKey: string;

  constructor(options: TableRepairOptions) {
    this.#options = options;
    this.#stampKey = stampKey(options.keyPrefix);
  }

  /** What could not be mended is as it was. Throws OriginUnavailable, TableChanged, an AbortError. */
  async mend(findings: readonly Finding[]): Promise<void> {
    const wanted = findings.filter(({ isWanted }) => isWanted);
    const unwanted = findings.filter(({ isWanted }) => !isWanted);
    await eachShard(unwanted, async (shard, ones) => {
      await shard.shard.run('audit', (redis) =>
        redis.auditDrop(ones.length, ...ones.map(({ key }) => key), ...ones.map(({ mark }) => mark)),
      );
    });
    if (wanted.length === 0) return;
    await this.#options.underLock(async () => {
      for (let from = 0; from < wanted.length; from += ROWS_AT_ONCE) {
        await this.#write(wanted.slice(from, from + ROWS_AT_ONCE));
      }
    });
  }

  async #write(findings: readonly Finding[]): Promise<void> {
    const { table, origin } = this.#options;
    const { followedName } = table;
    const token = randomUUID();
    const begun = new Map<AuditedShard, { readonly to: string; readonly origin: string }>();
    await eachShard(findings, async (shard, ones) => {
      const ahead = ones.filter(({ fault }) => fault === 'ahead');
      if (ahead.length > 0) {
        await shard.shard.run('audit', (redis) =>
          redis.auditLower(
            1 + ahead.length,
            this.#stampKey,
            ...ahead.map(({ key }) => key),
            followedName,
            shard.ringHash,
            ...ahead.map(({ mark }) => mark),
          ),
        );
      }
      const [outcome, to, server] = await shard.shard.run('audit', (redis) =>
        redis.auditBegin(this.#stampKey, token, followedName, shard.ringHash, MENDING_TTL_MS),
      );
      if (outcome === 'begun') begun.set(shard, { to: to as string, origin: server as string });
    });
    const ids = new Map(findings.map(({ id }) => [id.segment, id]));
    const words = await origin.words([...ids.values()]);
    await eachShard(findings, async (shard, ones) => {
      const base = begun.get(shard);
      if (base === undefined) return;
      const rows = ones.flatMap((one) => rowOf(one, words.get(one.id.segment), base));
      await this.#writeRows(shard, token, base.to, rows);
    });
  }

  async #writeRows(shard: AuditedShard, token: string, begunAt: string, rows: readonly MendedRow[]): Promise<void> {
    const { followedName, schema } = this.#options.table;
    const parts = partsOf(rows);
    for (const [index, part] of parts.entries()) {
      const isLast = index === parts.length - 1;
      await shard.shard.run('audit', (redis) =>
        redis.auditWrite(
          1 + part.length,
          this.#stampKey,
          ...part.map(({ key }) => key),
          token,
          begunAt,
          followedName,
          shard.ringHash,
          schema.shape,
          isLast ? 'end' : 'more',
          ...part.flatMap(({ head, texts }) => [head, texts]),
        ),
      );
    }
  }
}

interface MendedRow {
  readonly key: string;
  /** Kind and version. */
  readonly head: string;
  readonly texts: Buffer;
}

/** None where it cannot be said as of where. */
function rowOf(
  { key }: Finding,
  word: OriginWord | undefined,
  base: { readonly to: string; readonly origin: string },
): MendedRow[] {
  if (word?.kind !== 'row' || word.origin !== base.origin) return [];
  const isExact = word.from.file === word.upTo.file && word.from.position === word.upTo.position;
  if (!isExact) return [];
  const version = versionOf(epochOf(base.to), word.upTo);
  return [{ key, head: `${word.isTooLarge ? 'T' : 'R'}${version}`, texts: word.isTooLarge ? NO_TEXTS : word.body }];
}

const NO_TEXTS = Buffer.alloc(0);

/** One at least: it ends what was begun. */
function partsOf(rows: readonly MendedRow[]): MendedRow[][] {
  const parts: MendedRow[][] = [[]];
  let bytes = 0;
  for (const row of rows) {
    if (bytes > 0 && bytes + row.texts.length > BYTES_PER_WRITE_MAX) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(row);
    bytes += row.texts.length;
  }
  return parts;
}

/** A shard that does not answer is left as it is. */
async function eachShard(
  findings: readonly Finding[],
  work: (shard: AuditedShard, findings: readonly Finding[]) => Promise<void>,
): Promise<void> {
  await Promise.all(
    [...Map.groupBy(findings, ({ shard }) => shard)].map(async ([shard, ones]) => {
      try {
        await work(shard, ones);
      } catch (error) {
        if (!(error instanceof ShardUnavailable)) throw error;
      }
    }),
  );
}
