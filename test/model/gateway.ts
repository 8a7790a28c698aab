/**
 * A gateway: its rings, what it remembers of each shard's stamp, and the request's journey, of which every step may come
 * any time later: read -> hit, or lease -> origin -> fill. As gateway/journey does it, for tables that are followed.
 */
import type { Entry } from '../../shared/entry/entry.ts';
import type { LeaseBase } from '../../shared/origin/row-select.ts';
import { type Answered, AnsweredAhead } from '../../gateway/journey/answered-ahead.ts';
import type { LeaseOver } from '../../shared/shard/fill-scripts.ts';
import type { SeenStamp } from '../../shared/stamp/stamp-reader.ts';
import type { Stamp } from '../../shared/stamp/stamp.ts';
import { epochOf, versionOf } from '../../shared/version/version.ts';
import { contentOf, entryIn, type Judge, READ_AT, type Replicas } from './judge.ts';
import { ownerOf, type Ring, type RowKey } from './keys.ts';
import { mirrorJourney } from './mirror-journey.ts';
import type { Mistakes } from './mistakes.ts';
import { ModelNear } from './near.ts';
import type { Origin, OriginRead } from './origin.ts';
import type { Random } from './random.ts';
import { type ModelShard, SHAPE } from './shard.ts';
import type { TrustRule } from './trust-rule.ts';

/** An entry's TTL, as the simulated gateways write it: this, and the time at which its read had ended. */
const READ_BY = 1_000_000;
/** What is committed at the same time may come later. */
const READ_MS_MAX = 1;

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
  /** Whether it answers from its own memory, too. */
  readonly hasNear: boolean;
  readonly count: (outcome: string) => void;
  readonly trace: (line: string) => void;
}

/** A shard that owns a key, and by which of its layer's rings. */
interface Candidate {
  readonly shard: ModelShard;
  readonly rings: readonly Ring[];
}

/** What a shard that vouches for itself says: by which ring, and from which version on. */
interface Read {
  readonly stamp: Stamp;
  readonly ring: Ring;
  readonly floor: string;
  readonly entry: Entry | undefined;
  /** Something is there, whether it counts or not. */
  readonly isTaken: boolean;
  /** How often the shard had lost something under the key, when it was read there. */
  readonly losses: number;
}

type Begun = ReturnType<Judge['begins']>;
type StampReader = InstanceType<TrustRule['StampReader']>;

export class Gateway {
  readonly name: string;
  /** Layer by layer, the newest ring first; another configuration is another gateway's, or this one's later. */
  layers: readonly (readonly Ring[])[];
  readonly #ports: GatewayPorts;
  readonly #readers = new Map<string, StampReader>();
  readonly #answered = new AnsweredAhead();
  readonly #nears = new Map<string, ModelNear>();
  /** How often a shard had lost it, when it was read there last. */
  readonly #lossesThen = new Map<string, number>();
  #tokens = 0;

  constructor(name: string, layers: readonly (readonly Ring[])[], ports: GatewayPorts) {
    this.name = name;
    this.layers = layers;
    this.#ports = ports;
  }

  /** By which new rows are placed. */
  get rings(): Ring[] {
    return this.layers.map(([newest]) => newest as Ring);
  }

  journey(key: RowKey): AsyncGenerator<void, void> {
    return key.isMirrored ? mirrorJourney(this, key, this.#ports) : this.#readThrough(key);
  }

  async *#readThrough(key: RowKey): AsyncGenerator<void, void> {
    const { random, judge, count } = this.#ports;
    const candidates = this.layers.flatMap((rings) => this.#ownersOf(rings, key));
    for (const candidate of candidates) {
      // A breaker is open: the next one is asked.
      if (random.chance(0.15)) continue;
      const begun = judge.begins(this.name, candidate.shard.name, key);
      // Else the client asks for the origin's word.
      const willDo = random.chance(0.75);
      const over = willDo ? 'nothing' : random.pick(['entry', 'lease'] as const);
      if (willDo && this.#nearHit(candidate, key, begun)) return;
      const read = yield* this.#read(candidate, key);
      if (read === undefined) {
        count('silent');
        continue;
      }
      if (read.entry !== undefined && willDo) {
        this.#hit(candidate, key, read.entry, read, begun, 'hit');
        return;
      }
      yield;
      const others = candidates.filter(({ shard }) => shard !== candidate.shard);
      if (others.length > 0 && random.chance(0.4)) yield* this.#copy(random.pick(others), candidate, key);
      else yield* this.#fill(candidate, key, willDo && read.isTaken ? 'entry' : over, willDo, read, begun);
      return;
    }
    count('unvouched');
  }

  /** Who owns the key by one of a layer's rings; each shard once. */
  #ownersOf(rings: readonly Ring[], key: RowKey): Candidate[] {
    const owners = new Set(rings.map((ring) => ownerOf(ring, key)));
    return [...owners].map((name) => ({
      shard: this.#ports.shards.get(name) as ModelShard,
      rings: rings.filter((ring) => ownerOf(ring, key) === name),
    }));
  }

  #nearHit(candidate: Candidate, key: RowKey, begun: Begun): boolean {
    const replied = this.#ports.hasNear ? this.nearOf(candidate.shard).near(key) : undefined;
    const losses = this.#lossesThen.get(`${candidate.shard.name} ${key.name}`) ?? 0;
    const read = replied && this.#judged(candidate, key, replied.seen, replied.stored, losses);
    if (read?.entry === undefined) return false;
    this.#hit(candidate, key, read.entry, read, begun, 'near hit');
    return true;
  }

  /** The stamp and the entry together; nothing where the shard cannot vouch for itself. */
  async *#read(candidate: Candidate, key: RowKey): AsyncGenerator<void, Read | undefined> {
    const { shard } = candidate;
    const { judge, hasNear } = this.#ports;
    const losses = judge.lossesOf(shard.name, key);
    if (!hasNear) {
      const { stamp, entries } = await shard.read([key]);
      return this.#judged(candidate, key, this.readerOf(shard).read(stamp), entries[0] ?? null, losses);
    }
    const { seen, stored } = yield* this.nearOf(shard).read(key);
    this.#lossesThen.set(`${shard.name} ${key.name}`, losses);
    return this.#judged(candidate, key, seen, stored, losses);
  }

  #judged(
    { shard, rings }: Candidate,
    key: RowKey,
    seen: SeenStamp | undefined,
    stored: Buffer | null,
    losses: number,
  ): Read | undefined {
    const { trust, mistakes, stalenessBoundMs, now, judge } = this.#ports;
    if (seen === undefined) return undefined;
    const { stamp, wentBack } = seen;
    judge.saw(this.name, shard.name, stamp);
    const age = now() - stamp.asOf;
    const isYoung = (age <= stalenessBoundMs && age >= 0) || mistakes.has('asOf not looked at');
    const hashes = rings.map(({ hash }) => hash);
    const oldest = trust.oldestFloorOf(stamp, key.table, hashes);
    if (wentBack || !isYoung || oldest === undefined) return undefined;
    const ring = rings.find(({ hash }) => hash === oldest.ring) as Ring;
    const entry = entryIn(stored);
    const isUsable =
      entry !== undefined &&
      trust.isTrusted(entry, stamp, oldest.floor) &&
      (mistakes.has('what was answered is forgotten') ||
        this.#answered.mayFollow(shard.name, key.name, this.#answeredAs(entry), READ_MS_MAX, stamp));
    const isTaken = stored !== null;
    return { stamp, ring, floor: oldest.floor, entry: isUsable ? entry : undefined, isTaken, losses };
  }

  /**
   * A miss, and another shard has the row: it is answered with what that one vouches for, which is the row as of that
   * one's stamp, and as such is filled.
   */
  async *#copy(from: Candidate, to: Candidate, key: RowKey): AsyncGenerator<void, void> {
    const { judge, count, trace, now, mistakes } = this.#ports;
    const begun = judge.begins(this.name, from.shard.name, key);
    const read = yield* this.#read(from, key);
    if (read?.entry === undefined) return;
    this.#hit(from, key, read.entry, read, begun, 'hit elsewhere');
    // Its order among the row's states goes with it, as what a changed entry's version says is lost.
    const order = judge.orderOf(key, read.entry);
    // A fill may be ahead of the stamp; what the origin loses of its binlog, it then holds all the same.
    const { entry, stamp } = read;
    const known = entry.version > stamp.to && !mistakes.has('a copy as of the stamp') ? entry.version : stamp.to;
    const version = mistakes.has('a copy as of now') ? (yield* this.#read(to, key))?.stamp.to : known;
    yield;
    const place = yield* this.#read(to, key);
    if (place === undefined || version === undefined) return;
    yield;
    const token = `${this.name}.${(this.#tokens += 1)}`;
    const lease = await to.shard.lease(key, token, place.ring, 'nothing', now());
    count(`copy lease: ${lease.kind}`);
    if (lease.kind !== 'lease') return;
    yield;
    const outcome = await to.shard.fill(key, token, place.ring, {
      ...read.entry,
      version,
      isSecondHand: true,
      readAtMs: READ_AT + order,
    });
    if (this.#ports.hasNear) this.nearOf(to.shard).changed(key);
    count(`copy: ${outcome}`);
    trace(
      `${this.name} copy ${from.shard.name} to ${to.shard.name} ${key.name} ${read.entry.exactness} ${version}: ${outcome}`,
    );
  }

  #hit(
    { shard }: Candidate,
    key: RowKey,
    entry: Entry,
    { stamp, losses }: Pick<Read, 'stamp' | 'losses'>,
    begun: Begun,
    kind: string,
  ): void {
    const { judge, now, stalenessBoundMs, count, trace } = this.#ports;
    const until = now() - stalenessBoundMs;
    trace(`${this.name} ${kind} ${shard.name} ${key.name} = ${contentOf(entry) ?? 'absent'}`);
    count(kind);
    count(entry.kind === 'row' ? 'a row' : 'a negative');
    const said = judge.entryCounts(`${this.name}, ${kind} in ${shard.name}:`, key, entry, stamp, until);
    this.#answered.note(shard.name, key.name, this.#answeredAs(entry), READ_MS_MAX, stamp);
    const isSeenThere = judge.lossesOf(shard.name, key) === losses;
    judge.answered(this.name, shard.name, key, said, epochOf(stamp.to), begun, isSeenThere);
  }

  async *#fill(
    candidate: Candidate,
    key: RowKey,
    over: LeaseOver,
    willDo: boolean,
    { stamp, ring, floor, losses }: Read,
    begun: Begun,
  ): AsyncGenerator<void, void> {
    const { random, judge, now, count, trace, mistakes, trust } = this.#ports;
    const { shard } = candidate;
    const token = `${this.name}.${(this.#tokens += 1)}`;
    const lease = await shard.lease(key, token, ring, over, now());
    count(`lease: ${lease.kind}`);
    trace(`${this.name} lease over ${over} ${shard.name} ${key.name}: ${lease.kind}`);
    if (lease.kind === 'entry') {
      if (this.#ports.hasNear) this.nearOf(shard).changed(key);
      const entry = entryIn(lease.stored);
      if (mistakes.has('the lease’s entry unjudged')) {
        if (entry === undefined || !trust.isTrusted(entry, stamp, floor)) return;
        this.#hit(candidate, key, entry, { stamp, losses }, begun, 'collapsed');
        return;
      }
      // The script has not seen what this gateway has seen of the shard: it looks again.
      const again = yield* this.#read(candidate, key);
      if (again?.entry !== undefined) this.#hit(candidate, key, again.entry, again, begun, 'collapsed');
      return;
    }
    if (lease.kind !== 'lease') return;
    yield;
    const mayBeBehind = willDo && !this.#answered.isAhead(shard.name, key.name, stamp);
    const read = yield* this.#readOrigin(key, lease.base, mayBeBehind);
    const readBy = READ_BY + now();
    const { content, order } = read.known;
    const version = this.#versionOf(read, lease.base);
    yield;
    if (version === undefined) {
      count('unproved');
      trace(`${this.name} unproved ${shard.name} ${key.name} = ${content ?? 'absent'}`);
      // What is there may be older than what this client was told.
      await shard.release(key, token, '1');
      if (this.#ports.hasNear) this.nearOf(shard).changed(key);
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
      isSecondHand: read.proof?.kind !== 'log' || !read.proof.locks,
      version,
      shape: SHAPE,
      readAtMs: READ_AT + order,
      ttlSeconds: readBy,
      body: content === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify({ content })),
    };
    const outcome = await shard.fill(key, token, ring, entry);
    const lossesThen = judge.lossesOf(shard.name, key);
    if (this.#ports.hasNear) {
      yield;
      this.nearOf(shard).changed(key);
    }
    count(`fill: ${outcome}`);
    trace(
      `${this.name} fill ${shard.name} ${key.name} = ${content ?? 'absent'} ${entry.exactness} ${version} over S0 ${lease.base.to}: ${outcome}`,
    );
    if (outcome !== 'stored') return;
    const said = { content, orders: [judge.orderOf(key, entry)], version };
    this.#answered.forget(shard.name, key.name);
    this.#answered.note(shard.name, key.name, this.#answeredAs(entry), READ_MS_MAX, stamp);
    const isSeenThere = judge.lossesOf(shard.name, key) === lossesThen;
    judge.answered(this.name, shard.name, key, said, epochOf(version), begun, isSeenThere);
  }

  /** @param mayBeBehind what others have read: of replicas any, and what is visible on the primary behind a replica. */
  async *#readOrigin(key: RowKey, base: LeaseBase, mayBeBehind: boolean): AsyncGenerator<void, OriginRead> {
    const { origin, random, replicas } = this.#ports;
    if (mayBeBehind && replicas === 'alone') return origin.readReplica(key, base.gtid, 'one');
    if (mayBeBehind && replicas === 'mixed' && random.chance(0.5)) return origin.readReplica(key, base.gtid, 'many');
    if (random.chance(0.05)) return { known: origin.visible(key), proof: undefined };
    if (mayBeBehind && random.chance(0.15)) return origin.readSnapshot(key);
    return yield* origin.prove(key);
  }

  /** As entries are that have the time of their read. */
  #answeredAs(entry: Entry): Answered {
    const { mistakes } = this.#ports;
    const exactness = mistakes.has('inexact answers as exact') ? 'exact' : entry.exactness;
    const isSecondHand = entry.isSecondHand && !mistakes.has('second-hand as first-hand');
    return { ...entry, exactness, isSecondHand, readAtMs: entry.ttlSeconds - READ_BY };
  }

  /** F: in the epoch of the stamp that the lease was taken under, for it is the same server's. */
  #versionOf({ proof }: OriginRead, base: LeaseBase): string | undefined {
    if (proof === undefined) return undefined;
    if (proof.kind === 'gtid') return base.to;
    if (proof.identity !== base.origin) return undefined;
    return versionOf(epochOf(base.to), proof.at);
  }

  /** What it has in memory of a shard. */
  nearOf(shard: ModelShard): ModelNear {
    const known = this.#nears.get(shard.name);
    if (known !== undefined) return known;
    const { mistakes, now } = this.#ports;
    const near = new ModelNear(shard, this.readerOf(shard), mistakes, now);
    this.#nears.set(shard.name, near);
    return near;
  }

  close(): void {
    for (const near of this.#nears.values()) near.close();
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
