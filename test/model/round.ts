/**
 * One round: a random schedule of everything that may happen, step by step, and at its end a rest in which all that was
 * changed must have arrived.
 */
import type { Redis } from 'ioredis';
import { Audit } from './audit.ts';
import { Capture, type Checkpoint, type Plan } from './capture.ts';
import { Gateway, type GatewayPorts } from './gateway.ts';
import { Judge, Violation } from './judge.ts';
import { LAYERS, ownerOf, placesOf, placesReached, type Ring, type RowKey, type Rows, SHARDS } from './keys.ts';
import type { Mistakes } from './mistakes.ts';
import { Origin } from './origin.ts';
import { ShardQueue } from './queue.ts';
import { Random } from './random.ts';
import { type Action, type Emphasis, Schedule } from './schedule.ts';
import { type Dump, ModelShard } from './shard.ts';
import { Snapshots } from './snapshots.ts';
import type { TrustRule } from './trust-rule.ts';

export interface RoundOptions {
  readonly redis: Redis;
  /** All keys of this round begin with it. */
  readonly prefix: string;
  readonly seed: number;
  readonly steps: number;
  readonly mistakes: Mistakes;
  readonly emphasis?: Emphasis | undefined;
  readonly trust: TrustRule;
  readonly count: (outcome: string) => void;
}

/** How much of all is about one key, and about one shard that holds it. */
const HOT = 0.75;
const JOURNEYS_MAX = 5;
const REST_ROUNDS_MAX = 12;

export class Round {
  readonly trace: string[] = [];
  readonly #random: Random;
  readonly #options: RoundOptions;
  readonly #origin: Origin;
  readonly #judge: Judge;
  readonly #shards: ReadonlyMap<string, ModelShard>;
  readonly #queues: ReadonlyMap<string, ShardQueue>;
  readonly #dumps = new Map<string, Dump>();
  readonly #schedule: Schedule;
  readonly #audit: Audit;
  readonly #gatewayPorts: GatewayPorts;
  #gateways: Gateway[];
  #journeys: { readonly steps: AsyncGenerator<void, void>; readonly name: string }[] = [];
  readonly #snapshots: Snapshots;
  #capture: Capture;
  /** Replaced, and not knowing it. */
  #replaced: Capture[] = [];
  readonly #hot: RowKey;
  #checkpoint: Checkpoint;
  #plans = 0;
  #names = 0;
  /** Late enough that a stamp which says no time is old. */
  #now = 100_000;

  constructor(options: RoundOptions) {
    this.#options = options;
    const random = (this.#random = new Random(options.seed));
    const { mistakes, trust, count } = options;
    this.#schedule = new Schedule(random, options.emphasis);
    const { rows, replicas } = this.#schedule;
    const origin = (this.#origin = new Origin(rows.keys, random, mistakes));
    this.#hot = random.pick(rows.mirrored.length > 0 ? rows.mirrored : rows.keys);
    const judge = (this.#judge = new Judge(origin));
    this.#audit = new Audit({ rows, origin, judge, trust, count });
    const shards = (this.#shards = new Map(
      SHARDS.map((name) => [name, new ModelShard(name, options.redis, options.prefix, rows)]),
    ));
    this.#queues = new Map([...shards].map(([name, shard]) => [name, new ShardQueue(shard, random, () => this.#now)]));
    const trace = (line: string) => this.#note(line);
    this.#gatewayPorts = {
      origin,
      shards,
      random,
      mistakes,
      trust,
      judge,
      now: () => this.#now,
      stalenessBoundMs: random.pick(rows.mirrored.length > 0 ? [100, 500, 20_000] : [500, 5_000, 20_000]),
      servesLost: random.chance(0.8),
      replicas,
      hasNear: this.#schedule.near,
      count,
      trace,
    };
    this.#snapshots = new Snapshots({ origin, shards, keys: rows.mirrored, random, mistakes, count, trace });
    const epoch = this.#origin.newEpoch();
    const to = `${String(epoch).padStart(10, '0')}${'0'.repeat(35)}`;
    this.#checkpoint = { to, epoch, incarnation: this.#origin.current, index: 0 };
    this.#capture = this.#newCapture(this.#newPlan());
    this.#gateways = [this.#newGateway(), this.#newGateway()];
  }

  /** Throws Violation. */
  async run(): Promise<void> {
    await this.#act('settle');
    for (let step = 0; step < this.#options.steps; step += 1) {
      this.#now += 1 + this.#random.below(12);
      await this.#act(this.#schedule.draw());
    }
    await this.#rest();
  }

  async clear(): Promise<void> {
    for (const shard of this.#shards.values()) await shard.flush();
  }

  async #act(action: Action): Promise<void> {
    const random = this.#random;
    const shard = this.#shards.get(random.chance(HOT) ? this.#hotShard : random.pick(SHARDS)) as ModelShard;
    const queue = this.#queues.get(shard.name) as ShardQueue;
    const key = random.chance(HOT) ? this.#hot : random.pick(this.#rows.keys);
    switch (action) {
      case 'commit':
        return this.#origin.commit(key, this.#now);
      case 'show':
        return this.#origin.show();
      case 'truncate':
        return this.#origin.truncate(random.pick(this.#rows.tables), this.#now);
      case 'alter':
        return this.#origin.alter(random.pick(this.#rows.tables), this.#now);
      case 'hold':
        return this.#origin.hold(key);
      case 'release':
        return this.#origin.release(this.#now);
      case 'rotate':
        return this.#origin.rotate();
      case 'crash': {
        const kind = random.pick(['restart', 'failover'] as const);
        // The tail that is lost was seen by readers, if by nobody else.
        this.#origin.commit(key, this.#now);
        this.#origin.showAll();
        for (let steps = 0; steps < 6; steps += 1) await this.#advance();
        this.#note(`the origin crashes: ${kind}`);
        return this.#origin.crash(kind);
      }

      case 'read':
        return this.#capture.read();
      case 'publish':
        return this.#publish(this.#capture, 'changes');
      case 'heartbeat':
        return this.#publish(this.#capture, 'heartbeat');
      case 'ask':
        return this.#capture.ask(this.#now);
      case 'confirm':
        return this.#capture.confirm();
      case 'pump':
        return this.#pump(this.#capture);
      case 'replacedGoesOn':
        return this.#replacedGoesOn();
      case 'takeOver':
        if (random.chance(0.7)) {
          this.#capture.isReplaced = true;
          this.#replaced = [...this.#replaced, this.#capture].slice(-2);
        }
        this.#capture = this.#newCapture(random.chance(0.5) ? this.#newPlan() : this.#samePlan());
        return;
      case 'loseConfirm':
        // Not confirmed: it begins again at the checkpoint, as the same capture.
        this.#publish(this.#capture, 'changes', 'lost');
        this.#capture = this.#newCapture(this.#capture.plan);
        return;
      case 'replan':
        return this.#capture.replan(this.#newPlan(), this.#now);

      case 'apply':
        return this.#apply(queue);
      case 'drain':
        while (queue.ready > 0) await this.#apply(queue);
        return;
      case 'settle':
        this.#pump(this.#capture);
        for (const other of this.#queues.values()) while (other.ready > 0) await this.#apply(other);
        return;
      case 'passBy':
        // A change goes all the way between two steps of whoever is at work.
        this.#origin.commit(key, this.#now);
        for (let shows = 0; shows < 5; shows += 1) this.#origin.show();
        return this.#act('settle');
      case 'acknowledge':
        return queue.acknowledge();
      case 'closeChannel':
        this.#note(`${shard.name}: channel closed`);
        return queue.close();
      case 'echo':
        await queue.applyEcho();
        return this.#audit.shard(shard);
      case 'dropHead':
        this.#note(`${shard.name}: messages dropped`);
        return queue.dropHead();
      case 'purge':
        this.#note(`${shard.name}: queue purged`);
        return queue.purge();

      case 'begin':
        if (this.#journeys.length < JOURNEYS_MAX) {
          const gateway = random.pick(this.#gateways);
          this.#journeys.push({ steps: gateway.journey(key), name: gateway.name });
        }
        return;
      case 'advance':
        return this.#advance();
      case 'reconfigure':
        random.pick(this.#gateways).layers = this.#drawLayers();
        return;
      case 'restartGateway':
        this.#gateways[0]?.close();
        this.#gateways = [this.#gateways[1] as Gateway, this.#newGateway()];
        return;

      case 'tellNear': {
        const near = random.pick(this.#gateways).nearOf(shard);
        for (let times = 1 + random.below(3); times > 0; times -= 1) near.tellNext();
        return;
      }
      case 'confirmNear':
        return random.pick(this.#gateways).nearOf(shard).confirm();
      case 'settleNear':
        return random.pick(this.#gateways).nearOf(shard).settle();
      case 'loseFeed':
        if (this.#schedule.near) random.pick(this.#gateways).nearOf(shard).lose();
        return;

      case 'snapshot':
        return this.#snapshots.begin(placesReached(this.#drawLayers(), this.#rows.mirrored));
      case 'advanceSnapshot':
        await this.#snapshots.advance();
        return this.#auditSome(0.7);
      case 'finishSnapshot':
        await this.#snapshots.finishLast();
        return this.#auditSome(1);
      case 'abandonSnapshot':
        return this.#snapshots.abandon();
      case 'forgetDeleted':
        return shard.forgetDeleted(this.#hot.table, random.pick(['deleted', 'deleted-before'] as const));

      case 'evictEntry':
        // Where what does not expire can be evicted, there is no mirror.
        if (key.isMirrored) return;
        this.#judge.shardLost(shard.name, [key]);
        return shard.evictEntry(key);
      case 'reread':
        if (!key.isMirrored) await this.#reread(shard, key);
        return;
      case 'evictLease':
        return shard.evictLease(key);
      case 'evictStamp':
        if (this.#rows.mirrored.length > 0) return;
        this.#note(`${shard.name}: stamp evicted`);
        return shard.evictStamp();
      case 'flush':
        this.#note(`${shard.name}: flushed`);
        this.#judge.shardLost(shard.name, this.#rows.keys);
        // Changes alone bring them back, and those that come again bring what was there before.
        this.#judge.shardWentBack(shard.name, this.#rows.mirrored);
        return shard.flush();
      case 'dump':
        this.#dumps.set(shard.name, await shard.dump());
        return;
      case 'restore': {
        const dump = this.#dumps.get(shard.name);
        if (dump === undefined) return;
        this.#note(`${shard.name}: dump put back`);
        await shard.restore(dump);
        this.#judge.shardWentBack(shard.name, this.#rows.keys);
        return this.#audit.shard(shard);
      }
    }
  }

  async #advance(): Promise<void> {
    if (this.#journeys.length === 0) return;
    const journey = this.#random.pick(this.#journeys);
    const { done } = await journey.steps.next();
    if (done === true) this.#journeys = this.#journeys.filter((other) => other !== journey);
    await this.#auditSome(0.1);
  }

  /** Evicted and read again, time after time, by whichever gateway. */
  async #reread(shard: ModelShard, key: RowKey): Promise<void> {
    for (let times = 0; times < 5; times += 1) {
      this.#now += 1;
      this.#judge.shardLost(shard.name, [key]);
      await shard.evictEntry(key);
      for await (const _ of this.#random.pick(this.#gateways).journey(key));
    }
  }

  async #auditSome(chance: number): Promise<void> {
    if (this.#random.chance(chance)) await this.#audit.shard(this.#shards.get(this.#random.pick(SHARDS)) as ModelShard);
  }

  #publish(capture: Capture, kind: 'changes' | 'heartbeat', fate: 'arrives' | 'lost' = 'arrives'): void {
    const isHot = this.#random.chance(HOT) && capture.shards.includes(this.#hotShard);
    capture.publish(isHot ? this.#hotShard : this.#random.pick(capture.shards), kind, this.#now, fate);
  }

  /** A capture at work: asks, reads on, and tells every shard. */
  #pump(capture: Capture): void {
    capture.ask(this.#now);
    for (let reads = 0; reads < 20 && !capture.isAtEnd; reads += 1) capture.read();
    for (const shard of capture.shards) capture.publish(shard, 'heartbeat', this.#now);
  }

  #replacedGoesOn(): void {
    if (this.#replaced.length === 0) return;
    const capture = this.#random.pick(this.#replaced);
    const kind = this.#random.pick(['read', 'publish', 'heartbeat', 'pump', 'ask', 'confirm'] as const);
    if (kind === 'read') capture.read();
    else if (kind === 'ask') capture.ask(this.#now);
    else if (kind === 'confirm') capture.confirm();
    else if (kind === 'pump') this.#pump(capture);
    else this.#publish(capture, kind === 'publish' ? 'changes' : kind);
  }

  async #apply(queue: ShardQueue): Promise<void> {
    const applied = await queue.applyNext();
    if (applied === undefined) return;
    const { outcome, batch } = applied;
    this.#options.count(`apply: ${outcome}`);
    const { from, to, hole, ...head } = batch.head;
    const changes = batch.changes.map(({ key, head: change }) => [key.toString(), change.toString().slice(0, 46)]);
    this.#note(`${queue.shard.name} apply ${outcome}: ${JSON.stringify({ ...head, from, to, hole, changes })}`);
    if (this.#random.chance(0.4)) await this.#audit.shard(queue.shard);
  }

  /** Nothing more happens; all that did must arrive, and every entry that counts is what the origin says. */
  async #rest(): Promise<void> {
    this.#note('rest');
    this.#replaced = [];
    this.#origin.showAll();
    while (this.#journeys.length > 0) await this.#advance();
    await this.#arrive();
    await this.#snapshots.finishAll();
    await this.#arrive();
    await this.#auditAtRest();
    await this.#completeMirror();
    for (const gateway of this.#gateways) {
      gateway.layers = this.#plannedLayers();
      for (const key of this.#rows.keys) for await (const _ of gateway.journey(key));
    }
    await this.#auditAtRest();
  }

  async #arrive(): Promise<void> {
    for (let rounds = 0; rounds < REST_ROUNDS_MAX && !(await this.#hasArrived()); rounds += 1) {
      this.#now += 10;
      for (let reads = 0; reads < 500 && !this.#capture.isAtEnd; reads += 1) this.#capture.read();
      this.#pump(this.#capture);
      for (const queue of this.#queues.values()) while (queue.ready > 0) await this.#apply(queue);
    }
    if (!(await this.#hasArrived())) throw new Violation('stuck: at rest, the shards have not caught up');
  }

  /** Nobody else is at it: it becomes complete everywhere, from wherever it was. */
  async #completeMirror(): Promise<void> {
    const [row] = this.#rows.mirrored;
    if (row === undefined || !this.#capture.plan.tables.includes(row.table)) return;
    const complete = new Set<string>();
    const places = placesReached(this.#plannedLayers(), this.#rows.mirrored);
    for (let runs = 0; runs < REST_ROUNDS_MAX && complete.size < places.length; runs += 1) {
      const left = places.filter(({ shard }) => !complete.has(shard));
      for (const shard of await this.#snapshots.finishIn(left)) complete.add(shard);
    }
    if (complete.size < places.length) throw new Violation('stuck: at rest, the mirror does not become complete');
  }

  async #auditAtRest(): Promise<void> {
    for (const name of this.#capture.shards) {
      await this.#audit.atRest(this.#shards.get(name) as ModelShard, this.#capture.plan.rings);
    }
  }

  async #hasArrived(): Promise<boolean> {
    if (!this.#capture.isAtEnd) return false;
    const { plan, to, asOf } = this.#capture;
    for (const name of this.#capture.shards) {
      const { stamp: stored } = await (this.#shards.get(name) as ModelShard).read([]);
      const stamp = new this.#options.trust.StampReader().read(stored)?.stamp;
      if (stamp === undefined || stamp.plan !== plan.number || stamp.to !== to || stamp.asOf < asOf) return false;
      if (!plan.rings.every(({ hash }) => hash in stamp.rings)) return false;
      if (!plan.tables.every((table) => table in stamp.tables)) return false;
    }
    return true;
  }

  get #rows(): Rows {
    return this.#schedule.rows;
  }

  get #hotShard(): string {
    const [gateway] = this.#gateways;
    const rings = gateway?.rings ?? [];
    return placesOf(rings, this.#hot)[0]?.shard ?? ownerOf(rings[0] as Ring, this.#hot);
  }

  #newCapture(plan: Plan): Capture {
    const { mistakes } = this.#options;
    const save = (checkpoint: Checkpoint) => {
      this.#checkpoint = checkpoint;
    };
    this.#note(`capture of plan ${plan.number} from ${this.#checkpoint.to}`);
    return new Capture(
      {
        origin: this.#origin,
        queues: this.#queues,
        random: this.#random,
        mistakes,
        save,
        hasMirror: this.#rows.mirrored.length > 0,
      },
      plan,
      this.#checkpoint,
    );
  }

  /** In each layer one ring or, while gateways change over, two; mostly both tables. */
  #newPlan(): Plan {
    const rings = LAYERS.flatMap((versions) => {
      const first = this.#random.pick(versions);
      return this.#random.chance(0.5) ? [first] : [...new Set([first, this.#random.pick(versions)])];
    });
    const all = this.#rows.tables;
    const tables = this.#random.chance(0.8) ? all : [this.#random.pick(all)];
    const plan = { number: (this.#plans += 1), rings, tables };
    this.#note(`plan ${plan.number}: ${rings.map(({ members }) => members.join('')).join(' ')}; ${tables.join(' ')}`);
    return plan;
  }

  #samePlan(): Plan {
    return { ...this.#capture.plan, number: (this.#plans += 1) };
  }

  #newGateway(): Gateway {
    this.#names += 1;
    return new Gateway(`g${this.#names}`, this.#drawLayers(), this.#gatewayPorts);
  }

  /** Mostly what is routed by; else what was, or will be. */
  #drawRings(): Ring[] {
    return LAYERS.map((versions, layer) => {
      const routed = this.#capture.plan.rings.filter((ring) => ring.layer === layer);
      return this.#random.pick(this.#random.chance(0.8) ? routed : versions);
    });
  }

  /** In each layer one ring or, until what it was before is forgotten, several. */
  #drawLayers(): Ring[][] {
    return this.#drawRings().map((newest, layer) => {
      const formers = (LAYERS[layer] as Ring[]).filter((ring) => ring !== newest && this.#random.chance(0.3));
      return [newest, ...formers];
    });
  }

  /** As the sync worker has them that routes by this plan. */
  #plannedLayers(): Ring[][] {
    return LAYERS.map((_, of) => this.#capture.plan.rings.filter(({ layer }) => layer === of).toReversed());
  }

  #note(line: string): void {
    this.trace.push(`${this.#now} ${line}`);
  }
}
