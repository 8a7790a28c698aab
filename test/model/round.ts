/**
 * One round: a random schedule of everything that may happen, step by step, and at its end a rest in which all that was
 * changed must have arrived. Which faults there are, and how often, is drawn per round: rare meetings need few others.
 */
import type { Redis } from 'ioredis';
import { epochOf } from '../../shared/version/version.ts';
import { Capture, type Checkpoint, type Plan } from './capture.ts';
import { Gateway, type GatewayPorts } from './gateway.ts';
import { contentOf, entryIn, Judge, type Replicas, Violation } from './judge.ts';
import { LAYERS, ownerOf, ROW_KEYS, type Ring, type RowKey, SHARDS, TABLES } from './keys.ts';
import type { Mistakes } from './mistakes.ts';
import { Origin } from './origin.ts';
import { ShardQueue } from './queue.ts';
import { Random } from './random.ts';
import { type Dump, ModelShard } from './shard.ts';
import type { TrustRule } from './trust-rule.ts';

export type FaultKind = keyof typeof FAULTS;

/** Instead of what is drawn: how often each kind of fault is, and which replicas are read. */
export type Emphasis = Partial<Record<FaultKind, number>> & { readonly replicas?: Replicas };

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

/** How often a thing happens, beside the others. For each round it is drawn anew: faults may be absent. */
const COMMON = {
  commit: 8,
  show: 7,
  read: 8,
  publish: 8,
  ask: 2,
  heartbeat: 4,
  pump: 3,
  confirm: 4,
  apply: 14,
  drain: 3,
  settle: 3,
  acknowledge: 3,
  begin: 26,
  advance: 90,
};
const FAULTS = {
  captures: { replacedGoesOn: 6, takeOver: 1, loseConfirm: 0.4, replan: 0.7, reconfigure: 1 },
  queues: { closeChannel: 1.5, echo: 1, dropHead: 0.7, purge: 0.3 },
  evictions: { evictEntry: 2.5, evictLease: 1, evictStamp: 0.4, flush: 0.2 },
  dumps: { dump: 1.5, restore: 1.2 },
  origin: { truncate: 1, rotate: 0.5, crash: 1 },
  gateways: { reconfigure: 1, restartGateway: 0.3 },
};
/** Few kinds of faults together, and many of them. */
const FAULT_FACTORS = [0, 0, 0, 1, 6];
type KeysOfAll<T> = T extends unknown ? keyof T : never;
type Action = keyof typeof COMMON | KeysOfAll<(typeof FAULTS)[keyof typeof FAULTS]>;

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
  readonly #weights: [Action, number][];
  readonly #gatewayPorts: GatewayPorts;
  #gateways: Gateway[];
  #journeys: { readonly steps: AsyncGenerator<void, void>; readonly name: string }[] = [];
  #capture: Capture;
  /** Replaced, and not knowing it. */
  #replaced: Capture[] = [];
  readonly #hot: RowKey;
  #checkpoint: Checkpoint;
  #plans = 0;
  #names = 0;
  #now = 1_000;

  constructor(options: RoundOptions) {
    this.#options = options;
    const random = (this.#random = new Random(options.seed));
    this.#origin = new Origin(random, options.mistakes);
    this.#hot = random.pick(ROW_KEYS);
    const { emphasis } = options;
    const replicas = emphasis?.replicas ?? random.pick(['none', 'none', 'alone', 'mixed'] as const);
    this.#judge = new Judge(this.#origin, replicas);
    this.#shards = new Map(SHARDS.map((name) => [name, new ModelShard(name, options.redis, options.prefix)]));
    this.#queues = new Map([...this.#shards].map(([name, shard]) => [name, new ShardQueue(shard, random)]));
    this.#weights = [
      ...Object.entries(COMMON).map(([name, weight]) => [name, weight * random.pick([0.4, 1, 2.5])] as const),
      ...Object.entries(FAULTS).flatMap(([kind, faults]) => {
        const factor = emphasis === undefined ? random.pick(FAULT_FACTORS) : (emphasis[kind as FaultKind] ?? 0);
        return Object.entries(faults).map(([name, weight]) => [name, weight * factor] as const);
      }),
    ] as [Action, number][];
    this.#gatewayPorts = {
      origin: this.#origin,
      shards: this.#shards,
      random,
      mistakes: options.mistakes,
      trust: options.trust,
      judge: this.#judge,
      now: () => this.#now,
      stalenessBoundMs: random.pick([500, 5_000, 20_000]),
      replicas,
      count: options.count,
      trace: (line) => this.#note(line),
    };
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
      await this.#act(this.#draw());
    }
    await this.#rest();
  }

  async clear(): Promise<void> {
    for (const shard of this.#shards.values()) await shard.flush();
  }

  #draw(): Action {
    let at = this.#random.next() * this.#weights.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [action, weight] of this.#weights) {
      at -= weight;
      if (at < 0) return action;
    }
    return 'advance';
  }

  async #act(action: Action): Promise<void> {
    const random = this.#random;
    const shard = this.#shards.get(random.chance(HOT) ? this.#hotShard : random.pick(SHARDS)) as ModelShard;
    const queue = this.#queues.get(shard.name) as ShardQueue;
    const key = random.chance(HOT) ? this.#hot : random.pick(ROW_KEYS);
    switch (action) {
      case 'commit':
        return this.#origin.commit(key, this.#now);
      case 'show':
        return this.#origin.show();
      case 'truncate':
        return this.#origin.truncate(random.pick(TABLES), this.#now);
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
      case 'acknowledge':
        return queue.acknowledge();
      case 'closeChannel':
        this.#note(`${shard.name}: channel closed`);
        return queue.close();
      case 'echo':
        await queue.applyEcho();
        return this.#audit(shard);
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
        random.pick(this.#gateways).rings = this.#drawRings();
        return;
      case 'restartGateway':
        this.#gateways = [this.#gateways[1] as Gateway, this.#newGateway()];
        return;

      case 'evictEntry':
        this.#judge.shardLost(shard.name, [key]);
        return shard.evictEntry(key);
      case 'evictLease':
        return shard.evictLease(key);
      case 'evictStamp':
        this.#note(`${shard.name}: stamp evicted`);
        return shard.evictStamp();
      case 'flush':
        this.#note(`${shard.name}: flushed`);
        this.#judge.shardLost(shard.name, ROW_KEYS);
        return shard.flush();
      case 'dump':
        this.#dumps.set(shard.name, await shard.dump());
        return;
      case 'restore': {
        const dump = this.#dumps.get(shard.name);
        if (dump === undefined) return;
        this.#note(`${shard.name}: dump put back`);
        await shard.restore(dump);
        this.#judge.shardRestored(shard.name);
        return this.#audit(shard);
      }
    }
  }

  async #advance(): Promise<void> {
    if (this.#journeys.length === 0) return;
    const journey = this.#random.pick(this.#journeys);
    const { done } = await journey.steps.next();
    if (done === true) this.#journeys = this.#journeys.filter((other) => other !== journey);
    if (this.#random.chance(0.1)) await this.#audit(this.#shards.get(this.#random.pick(SHARDS)) as ModelShard);
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
    if (this.#random.chance(0.4)) await this.#audit(queue.shard);
  }

  /** Whatever counts in this shard by its own stamp, under any ring that places it here. */
  async #audit(shard: ModelShard): Promise<void> {
    const { trust } = this.#options;
    const { stamp: stored, entries } = await shard.read(ROW_KEYS);
    const stamp = new trust.StampReader().read(stored)?.stamp;
    if (stamp === undefined) return;
    for (const [index, key] of ROW_KEYS.entries()) {
      const entry = entryIn(entries[index]);
      if (entry === undefined) continue;
      for (const ring of LAYERS.flat()) {
        if (ownerOf(ring, key) !== shard.name) continue;
        const floor = trust.floorOf(stamp, key.table, ring.hash);
        if (floor === undefined || !trust.isTrusted(entry, stamp, floor)) continue;
        this.#judge.entryCounts(`${shard.name}:`, key, entry, stamp);
      }
    }
  }

  /** Nothing more happens; all that did must arrive, and every entry that counts is what the origin says. */
  async #rest(): Promise<void> {
    this.#note('rest');
    this.#replaced = [];
    this.#origin.showAll();
    while (this.#journeys.length > 0) await this.#advance();
    for (let rounds = 0; rounds < REST_ROUNDS_MAX && !(await this.#hasArrived()); rounds += 1) {
      this.#now += 10;
      for (let reads = 0; reads < 500 && !this.#capture.isAtEnd; reads += 1) this.#capture.read();
      this.#pump(this.#capture);
      for (const queue of this.#queues.values()) while (queue.ready > 0) await this.#apply(queue);
    }
    if (!(await this.#hasArrived())) throw new Violation('stuck: at rest, the shards have not caught up');
    for (const shard of this.#shards.values()) await this.#auditAtRest(shard);
    for (const gateway of this.#gateways) {
      gateway.rings = LAYERS.map((_, layer) => this.#capture.plan.rings.findLast((ring) => isOf(layer, ring)) as Ring);
      for (const key of ROW_KEYS) for await (const _ of gateway.journey(key));
    }
    for (const shard of this.#shards.values()) await this.#auditAtRest(shard);
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

  async #auditAtRest(shard: ModelShard): Promise<void> {
    const { trust } = this.#options;
    const { stamp: stored, entries } = await shard.read(ROW_KEYS);
    const stamp = new trust.StampReader().read(stored)?.stamp;
    if (stamp === undefined || !this.#capture.shards.includes(shard.name)) return;
    for (const [index, key] of ROW_KEYS.entries()) {
      const entry = entryIn(entries[index]);
      if (entry === undefined) continue;
      for (const ring of this.#capture.plan.rings) {
        const floor = trust.floorOf(stamp, key.table, ring.hash);
        if (ownerOf(ring, key) !== shard.name || floor === undefined) continue;
        if (!trust.isTrusted(entry, stamp, floor)) continue;
        if (this.#judge.orderOf(key, entry) === this.#origin.visible(key).order) this.#options.count('at rest: right');
        else {
          throw new Violation(
            `wrong at rest: ${shard.name} says ${contentOf(entry) ?? 'absent'} of ${key.name}, ` +
              `the origin ${this.#origin.visible(key).content ?? 'absent'}; entry of epoch ${epochOf(entry.version)}`,
          );
        }
      }
    }
  }

  get #hotShard(): string {
    const [gateway] = this.#gateways;
    return ownerOf(gateway?.rings[0] as Ring, this.#hot);
  }

  #newCapture(plan: Plan): Capture {
    const { mistakes } = this.#options;
    const save = (checkpoint: Checkpoint) => {
      this.#checkpoint = checkpoint;
    };
    this.#note(`capture of plan ${plan.number} from ${this.#checkpoint.to}`);
    return new Capture(
      { origin: this.#origin, queues: this.#queues, random: this.#random, mistakes, save },
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
    const tables = this.#random.chance(0.8) ? TABLES : [this.#random.pick(TABLES)];
    const plan = { number: (this.#plans += 1), rings, tables };
    this.#note(`plan ${plan.number}: ${rings.map(({ members }) => members.join('')).join(' ')}; ${tables.join(' ')}`);
    return plan;
  }

  #samePlan(): Plan {
    return { ...this.#capture.plan, number: (this.#plans += 1) };
  }

  #newGateway(): Gateway {
    this.#names += 1;
    return new Gateway(`g${this.#names}`, this.#drawRings(), this.#gatewayPorts);
  }

  /** Mostly what is routed by; else what was, or will be. */
  #drawRings(): Ring[] {
    return LAYERS.map((versions, layer) => {
      const routed = this.#capture.plan.rings.filter((ring) => isOf(layer, ring));
      return this.#random.pick(this.#random.chance(0.8) ? routed : versions);
    });
  }

  #note(line: string): void {
    this.trace.push(`${this.#now} ${line}`);
  }
}

function isOf(layer: number, ring: Ring): boolean {
  return (LAYERS[layer] as readonly Ring[]).includes(ring);
}
