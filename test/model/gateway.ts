/**
 * A gateway: its rings, what it remembers of each shard's stamp, and the request's journey, of which every step may come
 * any time later: read -> hit, or lease -> origin -> fill. As gateway/journey does it, for tables that are followed.
 */
import type { Entry } from '../../shared/entry/entry.ts';
import type { LeaseBase } from '../../shared/origin/row-select.ts';
import type { LeaseOver } from '../../shared/shard/shard.ts';
import type { Stamp } from '../../shared/stamp/stamp.ts';
import { epochOf, versionOf } from '../../shared/version/version.ts';
import { contentOf, entryIn, type Judge, READ_AT, type Replicas } from './judge.ts';
import { ownerOf, type Ring, type RowKey } from './keys.ts';
import { mirrorJourney } from './mirror-journey.ts';
import type { Mistakes } from './mistakes.ts';
import type { Origin, OriginRead } from './origin.ts';
import type { Random } from './random.ts';
import { type ModelShard, SHAPE } from './shard.ts';
import type { TrustRule } from './trust-rule.ts';

export interface GatewayPorts {
  readonly origin: Origin;
  readonly shards: ReadonlyMap<string, ModelShard>;
  readonly random: Random;
  readonly mistakes: Mistakes;
  readonly trust: TrustRule;
  readonly judge: Judge;
  readonly now: () => number;
  readonly stalenessBoundMs: number;
  /** Of the mirror: shards that have not heard of changes lately still answer, if no other does. */
  readonly servesLost: boolean;
  readonly replicas: Replicas;
  readonly count: (outcome: string) => void;
  readonly trace: (line: string) => void;
}

type Begun = ReturnType<Judge['begins']>;
type StampReader = InstanceType<TrustRule['StampReader']>;

export class Gateway {
  readonly name: string;
  /** Layer by layer; another configuration is another gateway's, or this one's later. */
  rings: readonly Ring[];
  readonly #ports: GatewayPorts;
  readonly #readers = new Map<string, StampReader>();
  #tokens = 0;

  constructor(name: string, rings: readonly Ring[], ports: GatewayPorts) {
    this.name = name;
    this.rings = rings;
    this.#ports = ports;
  }

  journey(key: RowKey): AsyncGenerator<void, void> {
    return key.isMirrored ? mirrorJourney(this, key, this.#ports) : this.#readThrough(key);
  }

  async *#readThrough(key: RowKey): AsyncGenerator<void, void> {
    const { random, shards, judge, count } = this.#ports;
    for (const ring of this.rings) {
      // A breaker is open: the next layer is asked.
      if (random.chance(0.15)) continue;
      const shard = shards.get(ownerOf(ring, key)) as ModelShard;
      const begun = judge.begins(this.name, shard.name, key);
      const read = await this.#read(shard, ring, key);
      if (read === undefined) {
        count('silent');
        continue;
      }
      const over = random.chance(0.75) ? 'nothing' : random.pick(['entry', 'lease'] as const);
      if (read.entry !== undefined && over === 'nothing') {
        this.#hit(shard, key, read.entry, read.stamp, begun, 'hit');
        return;
      }
      yield;
      yield* this.#fill(shard, ring, key, over, read.stamp, begun);
      return;
    }
    count('unvouched');
  }

  /** The stamp and the entry together; nothing where the shard cannot vouch for itself. */
  async #read(shard: ModelShard, ring: Ring, key: RowKey) {
    const { trust, mistakes, stalenessBoundMs, now, judge } = this.#ports;
    const { stamp: stored, entries } = await shard.read([key]);
    const seen = this.readerOf(shard).read(stored);
    if (seen === undefined) return undefined;
    const { stamp, wentBack } = seen;
    judge.saw(this.name, shard.name, stamp);
    const age = now() - stamp.asOf;
    const isYoung = (age <= stalenessBoundMs && age >= 0) || mistakes.has('asOf not looked at');
    const floor = trust.floorOf(stamp, key.table, ring.hash);
    if (wentBack || !isYoung || floor === undefined) return undefined;
    const entry = entryIn(entries[0]);
    return { stamp, entry: entry && trust.isTrusted(entry, stamp, floor) ? entry : undefined };
  }

  #hit(shard: ModelShard, key: RowKey, entry: Entry, stamp: Stamp, begun: Begun, kind: string): void {
    const { judge, now, stalenessBoundMs, count, trace } = this.#ports;
    const until = now() - stalenessBoundMs;
    trace(`${this.name} ${kind} ${shard.name} ${key.name} = ${contentOf(entry) ?? 'absent'}`);
    count(kind);
    count(entry.kind === 'row' ? 'a row' : 'a negative');
    const said = judge.entryCounts(`${this.name}, ${kind} in ${shard.name}:`, key, entry, stamp, until);
    judge.answered(this.name, shard.name, key, said, epochOf(stamp.to), begun);
  }

  async *#fill(
    shard: ModelShard,
    ring: Ring,
    key: RowKey,
    over: LeaseOver,
    stamp: Stamp,
    begun: Begun,
  ): AsyncGenerator<void, void> {
    const { random, judge, now, count, trace, mistakes, trust } = this.#ports;
    const token = `${this.name}.${(this.#tokens += 1)}`;
    const lease = await shard.lease(key, token, ring, over, now());
    count(`lease: ${lease.kind}`);
    trace(`${this.name} lease over ${over} ${shard.name} ${key.name}: ${lease.kind}`);
    if (lease.kind === 'entry') {
      const entry = entryIn(lease.stored);
      if (mistakes.has('the lease’s entry unjudged')) {
        const floor = trust.floorOf(stamp, key.table, ring.hash);
        if (entry === undefined || floor === undefined || !trust.isTrusted(entry, stamp, floor)) return;
        this.#hit(shard, key, entry, stamp, begun, 'collapsed');
        return;
      }
      // The script has not seen what this gateway has seen of the shard: it looks again.
      const again = await this.#read(shard, ring, key);
      if (again?.entry !== undefined) this.#hit(shard, key, again.entry, again.stamp, begun, 'collapsed');
      return;
    }
    if (lease.kind !== 'lease') return;
    yield;
    const read = yield* this.#readOrigin(key, lease.base);
    const { content, order } = read.known;
    const version = this.#versionOf(read, lease.base);
    yield;
    if (version === undefined) {
      count('unproved');
      trace(`${this.name} unproved ${shard.name} ${key.name} = ${content ?? 'absent'}`);
      // What is there may be older than what this client was told.
      await shard.release(key, token, '1');
      judge.shardLost(shard.name, [key]);
      return;
    }
    if (random.chance(0.02)) {
      await shard.release(key, token, '0');
      return;
    }
    const entry: Entry = {
      kind: content === undefined ? 'negative' : 'row',
      exactness: read.proof?.kind === 'log' && read.proof.exact ? 'exact' : 'inexact',
      version,
      shape: SHAPE,
      readAtMs: READ_AT + order,
      ttlSeconds: 1_000_000,
      body: content === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify({ content })),
    };
    const outcome = await shard.fill(key, token, ring, entry);
    count(`fill: ${outcome}`);
    trace(
      `${this.name} fill ${shard.name} ${key.name} = ${content ?? 'absent'} ${entry.exactness} ${version} over S0 ${lease.base.to}: ${outcome}`,
    );
    if (outcome !== 'stored') return;
    const said = { content, orders: [judge.orderOf(key, entry)], version };
    judge.answered(this.name, shard.name, key, said, epochOf(version), begun);
  }

  async *#readOrigin(key: RowKey, base: LeaseBase): AsyncGenerator<void, OriginRead> {
    const { origin, random, replicas } = this.#ports;
    if (replicas === 'alone') return origin.readReplica(key, base.gtid, 'one');
    if (replicas === 'mixed' && random.chance(0.5)) return origin.readReplica(key, base.gtid, 'many');
    if (random.chance(0.05)) return { known: origin.visible(key), proof: undefined };
    if (random.chance(0.15)) return origin.readSnapshot(key);
    return yield* origin.prove(key);
  }

  /** F: in the epoch of the stamp that the lease was taken under, for it is the same server's. */
  #versionOf({ proof }: OriginRead, base: LeaseBase): string | undefined {
    if (proof === undefined) return undefined;
    if (proof.kind === 'gtid') return base.to;
    if (proof.identity !== base.origin) return undefined;
    return versionOf(epochOf(base.to), proof.at);
  }

  /** What it remembers of a shard's stamps. */
  readerOf(shard: ModelShard): StampReader {
    const known = this.#readers.get(shard.name);
    if (known !== undefined) return known;
    const reader = new this.#ports.trust.StampReader();
    this.#readers.set(shard.name, reader);
    return reader;
  }
}
