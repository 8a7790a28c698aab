/**
 * The sync worker's hand, moved by the test: stamps and changes are applied to the shards just as they would come from
 * the queue, when the test says so.
 */
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { decodeBatch, encodeBatch } from '../../shared/change/change-batch.ts';
import type { VersionedChange } from '../../shared/change/change.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import { cellText } from '../../shared/origin/cells.ts';
import { binlogEndQuery, identityQuery } from '../../shared/origin/origin-identity.ts';
import { sqlServerOf } from '../../shared/origin/server-version.ts';
import { type ApplyOutcome, Shard } from '../../shared/shard/shard.ts';
import { ringHash } from '../../shared/ring/ring-hash.ts';
import { versionOf } from '../../shared/version/version.ts';
import type { TestStack } from './stack.ts';
import { redisUrl } from './least-privilege.ts';

export const EPOCH = 1_700_000_000;

export interface Beat {
  readonly asOf?: number;
  readonly to?: string;
  readonly from?: string;
  readonly plan?: number;
  readonly origin?: string;
  readonly gtid?: string;
  readonly rings?: readonly string[];
  readonly floors?: Readonly<Record<string, string>>;
  readonly changes?: readonly VersionedChange[];
}

export class Stamps {
  readonly #stack: TestStack;
  readonly #tables: readonly string[];
  readonly #shards: ReadonlyMap<string, Shard>;
  readonly #last = new Map<string, string>();

  private constructor(stack: TestStack, tables: readonly string[], shards: ReadonlyMap<string, Shard>) {
    this.#stack = stack;
    this.#tables = tables;
    this.#shards = shards;
  }

  /** @param tables by followed name, such as `test.users(uid)`. */
  static async over(stack: TestStack, keyPrefix: string, tables: readonly string[]): Promise<Stamps> {
    const shards = stack.redis.map(({ shard: name, ring, port }) => {
      const shard = new Shard({
        name,
        ring,
        endpoint: redisUrl(port),
        followed: { stampKey: stampKey(keyPrefix) },
        timeoutMs: 2_000,
        failuresToOpen: 3,
        onChange: () => undefined,
      });
      return [name, shard] as const;
    });
    await Promise.all(shards.map(([, shard]) => shard.start()));
    after(() => shards.forEach(([, shard]) => shard.stop()));
    return new Stamps(stack, tables, new Map(shards));
  }

  /** Applies one message to one shard: by default a heartbeat as of now, up to the binlog's end. */
  async beat(name: string, beat: Beat = {}): Promise<ApplyOutcome> {
    const { end, identity } = await this.#ask();
    const shard = this.#shards.get(name) as Shard;
    const { ring } = this.#stack.redis.find((redis) => redis.shard === name) as TestStack['redis'][number];
    const to = beat.to ?? end;
    const batch = {
      plan: 1,
      from: this.#last.get(name) ?? to,
      asOf: Date.now(),
      origin: identity,
      gtid: '',
      rings: [ringHash(membersOf(this.#stack, ring), 'balanced')],
      tables: this.#tables,
      changes: [],
      ...beat,
      to,
    };
    this.#last.set(name, to);
    return shard.apply(decodeBatch(encodeBatch(batch)), false);
  }

  async beatAll(beat: Beat = {}): Promise<void> {
    for (const name of this.#shards.keys()) await this.beat(name, beat);
  }

  /** Beats on and on. @returns what ends it; settles when the last one is through. */
  beatEvery(ms: number): () => Promise<void> {
    const over = new AbortController();
    const { signal } = over;
    const beating = (async () => {
      while (!signal.aborted) {
        await this.beatAll();
        await sleep(ms, undefined, { signal }).catch(() => undefined);
      }
    })();
    return () => {
      over.abort();
      return beating;
    };
  }

  /** The version of the binlog's end now. */
  async end(): Promise<string> {
    return (await this.#ask()).end;
  }

  async #ask(): Promise<{ end: string; identity: string }> {
    const { host, port } = this.#stack.mysql;
    const connection = await createConnection({ host, port, user: 'root' });
    try {
      const query = async (sql: string) =>
        Object.values((await connection.query<RowDataPacket[]>(sql))[0][0] as Record<string, unknown>);
      const server = sqlServerOf(String((await query('SELECT VERSION()'))[0]));
      const [file, position] = await query(binlogEndQuery(server));
      const [identity] = await query(identityQuery(server));
      return {
        end: versionOf(EPOCH, { file: String(file), position: Number(position) }),
        identity: Buffer.isBuffer(identity) ? cellText(identity) : String(identity),
      };
    } finally {
      await connection.end();
    }
  }
}

function membersOf(stack: TestStack, ring: string): string[] {
  return stack.redis.filter((redis) => redis.ring === ring).map(({ shard }) => shard);
}
