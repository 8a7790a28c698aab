/**
 * The audit of one table: every key, both ways, value for value, a chunk at a time.
 *
 *     a mirror        MySQL's keys in their order: each row, and what lies under its key in each shard where it belongs;
 *                     then the table's keys in every shard: those that MySQL does not have, or that lie elsewhere
 *     read-through    the table's keys in every shard: what counts there, and its row
 *
 * Nearly all is right at the first look. What is not is a suspect, and looked at closely (examination.ts) beside the walk.
 */
import { ShardUnavailable, messageOf, OriginUnavailable } from '../../shared/errors/errors.ts';
import { stampKey } from '../../shared/key/cache-key.ts';
import type { RowId } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import type { OriginPool } from '../../shared/origin/origin-pool.ts';
import type { SqlServer } from '../../shared/origin/server-version.ts';
import type { Layers } from '../../shared/ring/layers.ts';
import { EVERY_LAYER, type Route } from '../../shared/ring/route.ts';
import type { Shard } from '../../shared/shard/shard.ts';
import { type KeyStep, KeysUnspeakable } from '../snapshot/key-walk.ts';
import type { Pace } from '../snapshot/pace.ts';
import { TableChanged } from '../snapshot/snapshot-run.ts';
import { SCAN_COUNT, tableKeysIn } from '../snapshot/table-keys.ts';
import { AuditedShard, type HeldUnder } from './audited-shard.ts';
import { type Examined, Examination, type Suspect } from './examination.ts';
import { type Finding, findingOf } from './finding.ts';
import { counts, isPlainlyRight } from './judge.ts';
import { AuditedOrigin, type OriginWord } from './origin-word.ts';
import type { TableRepair } from './table-repair.ts';
import { Tally, type TableTally } from './tally.ts';

export interface TableAuditOptions {
  readonly table: ExposedTable;
  /** Of the configuration: in front of every key. */
  readonly keyPrefix: string;
  readonly layers: Layers<Shard>;
  /** By layer. */
  readonly ringHashes: readonly string[];
  readonly origin: OriginPool;
  readonly server: () => SqlServer;
  /** Of the rate alone: how long a chunk takes says little about MySQL, as most of it is spent here. */
  readonly pace: Pace;
  /** Keys in a chunk at most. */
  readonly chunkKeysMax: number;
  readonly reachWithinMs: number;
  readonly showRows: boolean;
  readonly signal: AbortSignal;
  /** Makes what mends the findings; nothing where they are only told. */
  readonly repair?: ((origin: AuditedOrigin) => TableRepair) | undefined;
  /** So many keys more were compared. */
  readonly onCompared?: (keys: number) => void;
  /** Rows walked, and keys passed in the shards; of about so many. */
  readonly onProgress?: (passed: number, ofAbout: number) => void;
  readonly onFinding?: (finding: Finding) => void;
}

/** Examinations under way, each of a chunk's suspects; past it the walk waits. */
const EXAMINATIONS_MAX = 4;
/** What was told once is not told again; past so many it may be. */
const TOLD_MAX = 100_000;
const REPAIR_ROUNDS = 3;

export class TableAudit {
  readonly #options: TableAuditOptions;
  readonly #origin: AuditedOrigin;
  readonly #shards: ReadonlyMap<Shard, AuditedShard>;
  readonly #route: Route;
  readonly #tally: Tally;
  readonly #examination: Examination;
  readonly #repair: TableRepair | undefined;
  readonly #told = new Set<string>();
  readonly #pending = new Set<Promise<void>>();
  #mended = Promise.resolve();
  #failure: unknown;
  #passed = 0;
  #ofAbout = 0;

  constructor(options: TableAuditOptions) {
    const { table, keyPrefix, layers, ringHashes, reachWithinMs, signal } = options;
    const stamp = stampKey(keyPrefix);
    this.#options = options;
    this.#origin = new AuditedOrigin(options);
    const { schema } = this.#origin;
    this.#route = table.settings.mirrored ?? EVERY_LAYER;
    this.#shards = new Map(
      layers.reached(EVERY_LAYER).map((candidate) => {
        const ringHash = ringHashes[candidate.layer] as string;
        return [
          candidate.shard,
          new AuditedShard({ candidate, ringHash, stampKey: stamp, table, schema, reachWithinMs }),
        ];
      }),
    );
    this.#tally = new Tally([...this.#shards.values()]);
    this.#examination = new Examination(this.#origin, table, signal);
    this.#repair = options.repair?.(this.#origin);
  }

  /** As of now, while it runs. */
  get tally(): TableTally {
    const { label, settings } = this.#options.table;
    const { shards, examples, ended } = this.#tally;
    return { table: label, mode: settings.mode, shards, examples, ended };
  }

  /** Settles in any case; what stopped it before its end is in the tally. */
  async run(): Promise<TableTally> {
    const { table, signal } = this.#options;
    try {
      await this.#estimate();
      if (table.settings.mode === 'mirror') await this.#walk();
      await allOf([...this.#shards.values()].map((shard) => this.#scan(shard)));
      await this.#settled(0);
    } catch (error) {
      await Promise.allSettled(this.#pending);
      this.#tally.ended = whyEnded(error, signal);
    }
    return this.tally;
  }

  /** Which of these are still wrong. Throws OriginUnavailable, TableChanged, an AbortError. */
  async stillWrong(findings: readonly Finding[]): Promise<Finding[]> {
    const suspects = new Map(
      findings.map((finding) => {
        const shard = this.#shards.get(finding.shard.shard) as AuditedShard;
        return [{ ...finding, shard, belongs: this.#belongs(shard, finding.key) } satisfies Suspect, finding];
      }),
    );
    const examined = await this.#examination.examine([...suspects.keys()]);
    // What cannot be judged just now is what it was.
    return [...suspects].flatMap(([suspect, finding]) => {
      const { kind } = (examined.get(suspect) as Examined).verdict;
      return kind === 'fault' || kind === 'not-compared' ? [finding] : [];
    });
  }

  /** Of a mirror: MySQL's keys in order, and what lies under them where they belong. */
  async #walk(): Promise<void> {
    const { chunkKeysMax, signal, pace } = this.#options;
    const comparing: Promise<void>[] = [];
    let keys: Promise<KeyStep> | undefined = this.#origin.nextKeys(undefined, chunkKeysMax);
    keys.catch(() => undefined);
    let told = new Set<string>();
    try {
      while (keys !== undefined) {
        signal.throwIfAborted();
        const { ids, upTo }: KeyStep = await keys;
        keys = upTo && this.#origin.nextKeys(upTo, chunkKeysMax);
        keys?.catch(() => undefined);
        const news = ids.filter(({ segment }) => !told.has(segment));
        told = new Set(ids.map(({ segment }) => segment));
        // Two chunks at once: MySQL and the shards answer for one while the other is compared.
        const compared = this.#compareRows(news);
        // It is waited for in its turn; that may be long after it has failed.
        compared.catch(() => undefined);
        comparing.push(compared);
        if (comparing.length > 1) await comparing.shift();
        this.#progress(news.length);
        await pace.took(news.length, 0, signal);
      }
    } finally {
      await allOf(comparing);
    }
  }

  async #compareRows(ids: readonly RowId[]): Promise<void> {
    const { table, layers } = this.#options;
    const { shape } = this.#origin.schema;
    const byShard = new Map<AuditedShard, Suspect[]>();
    for (const id of ids) {
      const key = table.cacheKey(id);
      for (const candidate of layers.routed(key, this.#route)) {
        const shard = this.#shards.get(candidate.shard) as AuditedShard;
        const suspect = { shard, key, id, belongs: true };
        const known = byShard.get(shard);
        if (known === undefined) byShard.set(shard, [suspect]);
        else known.push(suspect);
      }
    }
    const reads = [...byShard].map(async ([shard, ones]) => [ones, await this.#read(shard, ones)] as const);
    const [words, ...found] = await Promise.all([this.#origin.words(ids), ...reads]);
    const suspects: Suspect[] = [];
    for (const [ones, looks] of found) {
      let compared = 0;
      for (const [index, { held, standing }] of looks?.entries() ?? []) {
        const one = ones[index] as Suspect;
        const word = words.get(one.id.segment) as OriginWord;
        if (isPlainlyRight(held, standing, word, shape)) compared += 1;
        else if (standing.kind === 'silent') this.#tally.notCompared(one.shard, standing.because);
        else if (held.kind === 'nothing' && !standing.isComplete) this.#tally.notCompared(one.shard, 'incomplete');
        else suspects.push(one);
      }
      if (ones[0] !== undefined) this.#compared(ones[0].shard, compared);
    }
    await this.#examineLater(suspects);
  }

  /** The table's keys that lie in the shard. */
  async #scan(shard: AuditedShard): Promise<void> {
    const { table, layers, chunkKeysMax, signal, pace } = this.#options;
    const isReached = layers.reached(this.#route).some((candidate) => candidate.shard === shard.shard);
    try {
      const standing = await shard.standing();
      if (isReached && standing.kind === 'silent') {
        this.#tally.of(shard).notScanned = standing.because;
        return;
      }
      const afterStep = async () => {
        signal.throwIfAborted();
        this.#progress(SCAN_COUNT);
        await pace.took(1, 0, signal);
      };
      for await (const keys of tableKeysIn(shard.shard, table, afterStep)) {
        for (let from = 0; from < keys.length; from += chunkKeysMax) {
          signal.throwIfAborted();
          const part = keys.slice(from, from + chunkKeysMax);
          if (table.settings.mode === 'mirror') await this.#compareKeys(shard, part);
          else await this.#compareCached(shard, part);
          await pace.took(part.length, 0, signal);
        }
      }
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
      this.#tally.of(shard).notScanned = `down (${error.message})`;
    }
  }

  /**
   * Of a mirror: the rows that there are have been compared by the walk, or have come since. Whatever lay under their keys
   * has been written over then, unless its version lies beyond the binlog's end.
   */
  async #compareKeys(shard: AuditedShard, keys: readonly string[]): Promise<void> {
    const found = this.#suspectsOf(shard, keys);
    const here = found.filter(({ belongs }) => belongs);
    const [existing, above] = await Promise.all([
      this.#origin.existing(here.map(({ id }) => id)),
      shard.above(here.map(({ key }) => key)),
    ]);
    const isSuspect = ({ belongs, id, key }: Suspect) => !belongs || !existing.has(id.segment) || above.has(key);
    await this.#examineLater(found.filter(isSuspect));
  }

  async #compareCached(shard: AuditedShard, keys: readonly string[]): Promise<void> {
    const { shape } = this.#origin.schema;
    const found = this.#suspectsOf(shard, keys);
    const looks = (await shard.read(found.map(({ key }) => key))).map((look, index) => ({
      look,
      suspect: found[index] as Suspect,
    }));
    const suspects: Suspect[] = [];
    const counting: typeof looks = [];
    for (const one of looks) {
      const { held, standing } = one.look;
      if (held.kind === 'nothing') continue;
      if (standing.kind === 'silent') this.#tally.notCompared(shard, standing.because);
      else if (held.kind === 'foreign') suspects.push(one.suspect);
      else if (counts({ shape }, held, standing)) counting.push(one);
      else if (held.version > standing.stamp.to) suspects.push(one.suspect);
      else this.#tally.of(shard).leftOver += 1;
    }
    const here = counting.filter(({ suspect }) => suspect.belongs);
    const words = await this.#origin.words(here.map(({ suspect }) => suspect.id));
    let compared = 0;
    for (const { look, suspect } of counting) {
      const word = words.get(suspect.id.segment);
      if (word !== undefined && isPlainlyRight(look.held, look.standing, word, shape)) compared += 1;
      else suspects.push(suspect);
    }
    this.#compared(shard, compared);
    await this.#examineLater(suspects);
  }

  #suspectsOf(shard: AuditedShard, keys: readonly string[]): Suspect[] {
    const { table, layers } = this.#options;
    return keys.flatMap((key) => {
      const id = table.rowIdOf(key);
      if (id === undefined) return [];
      const belongs = layers.routed(key, this.#route).some((candidate) => candidate.shard === shard.shard);
      return [{ shard, key, id, belongs }];
    });
  }

  /** Nothing where the shard does not answer. */
  async #read(shard: AuditedShard, ones: readonly Suspect[]): Promise<HeldUnder[] | undefined> {
    try {
      return await shard.read(ones.map(({ key }) => key));
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
      this.#tally.notCompared(shard, 'down', ones.length);
      return undefined;
    }
  }

  /** Waits only while too many are under way. */
  async #examineLater(suspects: readonly Suspect[]): Promise<void> {
    if (suspects.length > 0) {
      const examined: Promise<void> = this.#examine(suspects)
        .catch((error: unknown) => {
          this.#failure ??= error;
        })
        .finally(() => this.#pending.delete(examined));
      this.#pending.add(examined);
    }
    await this.#settled(EXAMINATIONS_MAX - 1);
  }

  async #settled(pendingMax: number): Promise<void> {
    while (this.#pending.size > pendingMax) await Promise.race(this.#pending);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #examine(suspects: readonly Suspect[]): Promise<void> {
    const examined = await this.#examination.examine(suspects);
    const findings: Finding[] = [];
    for (const [suspect, result] of examined) {
      const finding = this.#settle(suspect, result);
      if (finding !== undefined) findings.push(finding);
    }
    const repair = this.#repair;
    if (repair === undefined || findings.length === 0) return;
    // One after another: they would wait for each other's lock.
    const mended = this.#mended.then(() => this.#mend(repair, findings));
    this.#mended = mended.catch(() => undefined);
    await mended;
  }

  /** @returns what is wrong and was not told before. */
  #settle(suspect: Suspect, { verdict, look }: Examined): Finding | undefined {
    const { shard, key } = suspect;
    const tally = this.#tally.of(shard);
    switch (verdict.kind) {
      case 'right':
        this.#compared(shard, 1);
        return undefined;
      case 'left-over':
        tally.leftOver += 1;
        return undefined;
      case 'in-flight':
        tally.inFlight += 1;
        return undefined;
      case 'not-compared':
        this.#tally.notCompared(shard, verdict.because);
        return undefined;
      case 'fault': {
        const name = `${shard.name} ${key}`;
        // SCAN may bring a key twice.
        if (look === undefined || this.#told.has(name)) return undefined;
        if (this.#told.size < TOLD_MAX) this.#told.add(name);
        this.#compared(shard, 1);
        const finding = this.#findingOf(suspect, verdict.fault, look);
        this.#tally.found(finding);
        this.#options.onFinding?.(finding);
        return finding;
      }
    }
  }

  #findingOf({ shard, key, id }: Suspect, fault: Finding['fault'], look: NonNullable<Examined['look']>): Finding {
    const { table, showRows } = this.#options;
    const columns = this.#origin.schema.columns.map(({ name }) => name);
    return findingOf(fault, look, { table: table.label, shard, key, id, columns, showRows });
  }

  /** What is mended is compared again, and mended again if that was not enough, such as where it was deleted meanwhile. */
  async #mend(repair: TableRepair, findings: readonly Finding[]): Promise<void> {
    let open = new Map(findings.map((finding) => [finding, finding]));
    for (let round = 0; round < REPAIR_ROUNDS && open.size > 0; round += 1) {
      await repair.mend([...open.values()]);
      const suspects = new Map(
        [...open].map(([first, { shard, key, id }]) => [{ shard, key, id, belongs: this.#belongs(shard, key) }, first]),
      );
      const left = new Map<Finding, Finding>();
      for (const [suspect, { verdict, look }] of await this.#examination.examine([...suspects.keys()])) {
        const first = suspects.get(suspect) as Finding;
        if (verdict.kind === 'fault' && look !== undefined)
          left.set(first, this.#findingOf(suspect, verdict.fault, look));
        else if (verdict.kind !== 'not-compared') this.#tally.repaired(first);
      }
      open = left;
    }
  }

  #belongs(shard: AuditedShard, key: string): boolean {
    return this.#options.layers.routed(key, this.#route).some((candidate) => candidate.shard === shard.shard);
  }

  #compared(shard: AuditedShard, keys: number): void {
    this.#tally.of(shard).compared += keys;
    if (keys > 0) this.#options.onCompared?.(keys);
  }

  async #estimate(): Promise<void> {
    const { onProgress, table } = this.#options;
    if (onProgress === undefined) return;
    const rows = table.settings.mode === 'mirror' ? await this.#origin.estimate() : 0;
    const sizes = [...this.#shards.values()].map(({ shard }) =>
      shard.run('audit', (redis) => redis.dbsize()).catch(() => 0),
    );
    this.#ofAbout = (await Promise.all(sizes)).reduce((sum, size) => sum + size, rows);
  }

  #progress(keys: number): void {
    this.#passed += keys;
    this.#options.onProgress?.(Math.min(this.#passed, this.#ofAbout), this.#ofAbout);
  }
}

/** Rejects as the first of them does, once all have ended. */
async function allOf(running: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(running);
  await Promise.all(running);
}

function whyEnded(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'stopped';
  if (error instanceof TableChanged) return 'the table has changed meanwhile; audit it again';
  if (error instanceof OriginUnavailable || error instanceof KeysUnspeakable) return messageOf(error);
  throw error;
}
