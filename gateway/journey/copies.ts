/**
 * Rows taken from one shard into another, behind the requests that found them:
 *
 *     a row that its shard lacks, found elsewhere       into its shard
 *     a row just read from the origin                   into the table's further copies
 *     a row that is read often                          into the fallback layer, so that losing its shard is no rush
 *
 * It is a fill like any other, but that another shard is read instead of the origin: the lease notes the target's stamp,
 * S0; the other shard's entry includes every change up to that shard's own stamp, F; FILL wants F >= S0. Shards hear of
 * changes at slightly different times, so one that is behind the target is looked at again a few times.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Entry } from '../../shared/entry/entry.ts';
import { keptMsOf } from '../../shared/fill/entry-to-store.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import { standingIn } from './after-write.ts';
import { type FoundElsewhere, lookInto } from './elsewhere.ts';
import type { CopiesPort, CopyOutcome, Ports } from './ports.ts';
import type { ShardPort } from './shard-port.ts';
import type { RowRequest } from './row-request.ts';
import { followedAs, stampedTo } from './vouched.ts';

const UNDER_WAY_MAX = 128;
/** Past so many, rows are not copied; whoever reads them next finds them where they are. */
const WAITING_MAX = 10_000;
/** 50,000 keys of 30 characters take about 8 MB. */
const WARMED_MAX = 50_000;
/** A shard that has lost what it held is warmed again within this. */
const WARMED_MS = 300_000;
/** A heartbeat takes every stamp on; after two of them it is not that. */
const LOOK_AGAIN_MS = [5, 20, 80, 300, 700];

export class Copies implements CopiesPort {
  /** Those that wait included. */
  readonly #names = new Set<string>();
  readonly #waiting: (() => Promise<void>)[] = [];
  #underWay = 0;
  /** By layer, then by key. */
  readonly #warmed: LRUCache<string, true>[] = [];
  readonly #during: (copying: () => Promise<void>) => Promise<void>;

  /** @param during is told of each for as long as it takes. */
  constructor(during: (copying: () => Promise<void>) => Promise<void> = (copying) => copying()) {
    this.#during = during;
  }

  warm(ports: Ports, request: RowRequest, from: Candidate<ShardPort>, to: Candidate<ShardPort>): void {
    const { cacheKey } = request;
    const warmed = (this.#warmed[to.layer] ??= new LRUCache({ max: WARMED_MAX, ttl: WARMED_MS }));
    if (!warmed.has(cacheKey) && this.start(ports, request, from, to)) warmed.set(cacheKey, true);
  }

  start(ports: Ports, request: RowRequest, from: Candidate<ShardPort>, to: Candidate<ShardPort>): boolean {
    const name = nameOf(request, to);
    if (to.shard.state === 'down' || this.#waiting.length >= WAITING_MAX || this.#names.has(name)) return false;
    this.#names.add(name);
    this.#waiting.push(async () => {
      // Where it fails, the row is where it was.
      const outcome = await copy(ports, request, from, to).catch((): CopyOutcome => 'failed');
      this.#names.delete(name);
      if (outcome !== 'stored' && outcome !== 'there') this.#warmed[to.layer]?.delete(request.cacheKey);
      ports.onCopy(request.table, outcome);
    });
    if (this.#underWay < UNDER_WAY_MAX) void this.#during(() => this.#work());
    return true;
  }

  async #work(): Promise<void> {
    this.#underWay += 1;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) await next();
    this.#underWay -= 1;
  }
}

function nameOf({ cacheKey }: RowRequest, { shard }: Candidate<ShardPort>): string {
  return `${shard.name} ${cacheKey}`;
}

async function copy(
  ports: Ports,
  request: RowRequest,
  from: Candidate<ShardPort>,
  to: Candidate<ShardPort>,
): Promise<CopyOutcome> {
  const { cacheKey, table } = request;
  const standing = standingIn(ports, request, to, await to.shard.seenStamp());
  if (standing.kind === 'silent') return 'silent';
  const { trust } = standing;
  const followed = followedAs(table, trust);
  const { shape } = table.schema;
  const wanted = { followedAs: followed, shape, leaseTtlMs: ports.leaseTtlMs, over: 'nothing' } as const;
  const lease = await to.shard.lease(cacheKey, wanted);
  if (lease.kind !== 'lease') return lease.kind === 'entry' ? 'there' : lease.kind;
  try {
    const found = await lookUntil(ports, request, from, lease.base?.to ?? '');
    if (found !== undefined) {
      const { entry, keptMs } = asCopied(found, ports, request, to);
      return await to.shard.fill(cacheKey, lease.token, entry, keptMs, followed);
    }
  } catch (error) {
    await to.shard.release(cacheKey, lease.token, 'keep').catch(() => undefined);
    throw error;
  }
  await to.shard.release(cacheKey, lease.token, 'keep');
  return 'gone';
}

/** As it is once it includes what the target has heard of; or as it was at last. */
async function lookUntil(
  ports: Ports,
  request: RowRequest,
  from: Candidate<ShardPort>,
  included: string,
): Promise<FoundElsewhere | undefined> {
  let found = await lookInto(ports, request, from);
  for (const ms of LOOK_AGAIN_MS) {
    if (found === undefined || versionKnown(found) >= included) break;
    await sleep(ms);
    found = await lookInto(ports, request, from);
  }
  return found;
}

/**
 * The shard has heard of every change up to its stamp. An entry may be ahead of that; what the origin then loses of its
 * binlog, the copy must not be taken to be without.
 */
function versionKnown({ entry, trust }: FoundElsewhere): string {
  const to = stampedTo(trust);
  return entry.version > to ? entry.version : to;
}

/** Its TTL goes on as it was, but for a shard that holds it only while another is away. */
function asCopied(
  found: FoundElsewhere,
  { now }: Ports,
  { table }: RowRequest,
  to: Candidate<ShardPort>,
): { readonly entry: Entry; readonly keptMs: number } {
  const { copies, graceSeconds, fallbackTtlSeconds } = table.settings;
  const { entry, life } = found;
  const copied = { ...entry, version: versionKnown(found), isSecondHand: true };
  if (to.layer < copies || life.freshSeconds <= fallbackTtlSeconds) {
    return { entry: copied, keptMs: keptMsOf(entry.kind, Math.ceil(life.freshSeconds), graceSeconds) };
  }
  const ttlSeconds = Math.floor((now() - entry.readAtMs) / 1000) + fallbackTtlSeconds;
  return { entry: { ...copied, ttlSeconds }, keptMs: keptMsOf(entry.kind, fallbackTtlSeconds, graceSeconds) };
}
