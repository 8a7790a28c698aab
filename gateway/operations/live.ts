/**
 * The gateway as it is, second by second, for whoever watches: figures of the last minutes are kept, so that a page that is
 * opened in the middle of trouble shows how it began.
 *
 * Costs a reading of the counters a second and, with sync, a read of each shard's stamp. The sync worker is asked only while
 * somebody listens.
 */
import type { Config } from '../../shared/config/schema.ts';
import { messageOf } from '../../shared/errors/errors.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import type { Generation } from '../generation.ts';
import type { GatewayTelemetry } from '../telemetry.ts';
import type { About, Figures, History, LayerNow, Now, Status, WorkerNow } from '../ui/wire.ts';
import { type Counts, figuresBetween, readCounts } from './counts.ts';
import { ringSamples } from './ring-sample.ts';
import { ringView } from './ring-view.ts';
import { WorkerView } from './worker-view.ts';

export interface LiveOptions {
  readonly version: string;
  readonly generation: () => Generation;
  readonly telemetry: Pick<GatewayTelemetry, 'registry'>;
  readonly log: Log;
  readonly whyNotReady: () => string | undefined;
}

export interface Listener {
  about(about: About): void;
  history(history: History): void;
  now(now: Now): void;
}

const EVERY_MS = 1_000;
/** Five minutes. */
const HISTORY_MAX = 300;
/** Seconds of it that a status tells of. */
const LATELY = 60;

export class Live {
  readonly #options: LiveOptions;
  readonly #listeners = new Set<Listener>();
  readonly #history: Figures[] = [];
  readonly #worker = new WorkerView();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #before: Counts | undefined;
  #now: Now | undefined;
  /** What it was told of: another configuration has another one. */
  #generation: Generation | undefined;
  #hadTables = false;

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.#look(), EVERY_MS);
    this.#timer.unref();
    void this.#look();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  /** Tells what there is at once. @returns how to stop listening. */
  listen(listener: Listener): () => void {
    listener.about(this.#about());
    listener.history(this.#history);
    if (this.#now !== undefined) listener.now(this.#now);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What it is now, for whoever asks once. */
  async status(): Promise<Status> {
    const generation = this.#options.generation();
    const [{ layers }, worker] = await Promise.all([ringView(generation.ports), this.#worker.look(generation.config)]);
    return {
      version: this.#options.version,
      whyNotReady: this.#options.whyNotReady() ?? null,
      isOriginUp: isOriginUp(generation),
      isSynced: generation.ports.trustRules !== undefined,
      layers,
      worker,
      lately: latelyOf(this.#history.slice(-LATELY)),
    };
  }

  /** A second in which a shard lets us wait is longer than others; rates are by the time that has passed. */
  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#lookOnce(this.#options.generation());
    } catch (error) {
      this.#options.log.warn({ reason: messageOf(error) }, 'figures not taken');
    } finally {
      this.#isLooking = false;
    }
  }

  async #lookOnce(generation: Generation): Promise<void> {
    this.#tellIfChanged(generation);
    const { telemetry, whyNotReady } = this.#options;
    const mirrors = new Set(tablesOf(generation).flatMap(({ label, mode }) => (mode === 'mirror' ? [label] : [])));
    const [after, { layers }, worker] = await Promise.all([
      readCounts(telemetry.registry, mirrors),
      ringView(generation.ports),
      this.#workerOf(generation.config),
    ]);
    const before = this.#before;
    this.#before = after;
    if (before === undefined) return;
    const figures: Figures = { ...figuresBetween(before, after, Date.now()), lagMs: worstLag(layers) };
    this.#history.push(figures);
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
    const now: Now = {
      figures,
      layers,
      isOriginUp: isOriginUp(generation),
      whyNotReady: whyNotReady() ?? null,
      worker,
    };
    this.#now = now;
    for (const listener of this.#listeners) listener.now(now);
  }

  #workerOf(config: Config): Promise<WorkerNow | null> | null {
    return this.#listeners.size === 0 ? null : this.#worker.look(config);
  }

  #tellIfChanged(generation: Generation): void {
    const hasTables = generation.tables !== undefined;
    if (generation === this.#generation && hasTables === this.#hadTables) return;
    this.#generation = generation;
    this.#hadTables = hasTables;
    const about = this.#about();
    for (const listener of this.#listeners) listener.about(about);
  }

  #about(): About {
    const generation = this.#options.generation();
    const { trustRules, layers } = generation.ports;
    return {
      version: this.#options.version,
      isSynced: trustRules !== undefined,
      hasAdmin: generation.config.access !== undefined,
      stalenessBoundMs: trustRules?.stalenessBoundMs ?? null,
      tables: tablesOf(generation),
      samples: ringSamples(layers),
    };
  }
}

function isOriginUp({ tables, ports }: Generation): boolean {
  return tables !== undefined && ports.isOriginUp();
}

/** @param history a second apart. */
function latelyOf(history: readonly Figures[]): Status['lately'] {
  const seconds = history.length;
  if (seconds === 0) return null;
  const sum = (of: (figures: Figures) => number) => history.reduce((total, figures) => total + of(figures), 0);
  const rows = sum((figures) => figures.rows);
  const hits = sum((figures) => figures.rows * (figures.hitRatio ?? 0));
  return {
    seconds,
    rows: rows / seconds,
    errors: sum(({ errors }) => errors) / seconds,
    originReads: sum(({ originReads }) => originReads) / seconds,
    hitRatio: rows > 0 ? hits / rows : null,
  };
}

function tablesOf({ tables }: Generation): About['tables'] {
  return [...(tables?.all() ?? [])].map(({ label, settings: { mode } }) => ({ label, mode }));
}

/** Of the shards that are used; one that is out of use hears of nothing, and is told by its state. */
function worstLag(layers: readonly LayerNow[]): number | null {
  const lags = layers.flatMap(({ shards }) => shards.flatMap(({ lagMs }) => (lagMs === null ? [] : [lagMs])));
  return lags.length === 0 ? null : Math.max(...lags);
}
