/**
 * Asks each gateway every 100 ms what it thinks of its shards (`/-/ring`) and how much it has asked the origin
 * (`/-/metrics`). A gateway that is slow to say so is asked again all the same, a few times at once.
 */
import { Pool } from 'undici';
import type { GatewayTarget } from './gateways.ts';
import type { Timeline } from './timeline.ts';

export interface RingWatchOptions {
  readonly targets: readonly GatewayTarget[];
  /** `db.table`, whose reads are counted. */
  readonly table: string;
  readonly timeline: Timeline;
}

const ASK_EVERY_MS = 100;
const ANSWER_WITHIN_MS = 2_000;
const AT_ONCE_MAX = 4;

interface Counted {
  readonly rows: number;
  readonly selects: number;
}

interface RingAnswer {
  readonly layers: readonly {
    readonly ring: string;
    readonly shards: readonly { readonly shard: string; readonly state: string }[];
  }[];
}

class GatewayWatch {
  readonly #name: string;
  readonly #pool: Pool;
  readonly #timeline: Timeline;
  readonly #table: string;
  #counted: Counted | undefined;
  #underWay = 0;
  #newest = 0;
  #asked = 0;

  constructor({ name, url }: GatewayTarget, timeline: Timeline, table: string) {
    this.#name = name;
    this.#timeline = timeline;
    this.#table = table;
    this.#pool = new Pool(url, {
      connections: AT_ONCE_MAX,
      headersTimeout: ANSWER_WITHIN_MS,
      bodyTimeout: ANSWER_WITHIN_MS,
    });
  }

  async ask(): Promise<void> {
    if (this.#underWay >= AT_ONCE_MAX) return;
    this.#underWay += 1;
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const [ring, metrics] = await Promise.all([this.#get('/-/ring'), this.#get('/-/metrics')]);
      // An answer that was overtaken tells nothing new.
      if (asked < this.#newest) return;
      this.#newest = asked;
      this.#noteStates(JSON.parse(ring) as RingAnswer);
      this.#noteReads(metrics);
    } catch {
      // A gateway that is away says nothing; its requests tell of it.
    } finally {
      this.#underWay -= 1;
    }
  }

  async stop(): Promise<void> {
    await this.#pool.close();
  }

  async #get(path: string): Promise<string> {
    const { body } = await this.#pool.request({ path, method: 'GET' });
    return await body.text();
  }

  #noteStates({ layers }: RingAnswer): void {
    const now = performance.now();
    for (const { ring, shards } of layers) {
      for (const { shard, state } of shards) this.#timeline.state(now, this.#name, `${ring} ${shard}`, state);
    }
  }

  #noteReads(metrics: string): void {
    const counted: Counted = {
      rows: sumOf('ringfill_origin_rows_asked_total', this.#table, metrics),
      selects: sumOf('ringfill_origin_reads_total', this.#table, metrics),
    };
    const before = this.#counted ?? counted;
    this.#counted = counted;
    // Another process began at nought.
    const since = counted.rows < before.rows ? { rows: 0, selects: 0 } : before;
    this.#timeline.originReads(performance.now(), counted.rows - since.rows, counted.selects - since.selects);
  }
}

/** Over all labels but the table. */
function sumOf(metric: string, table: string, metrics: string): number {
  let sum = 0;
  for (let at = metrics.indexOf(`${metric}{`); at !== -1; at = metrics.indexOf(`${metric}{`, at + 1)) {
    const end = metrics.indexOf('\n', at);
    const line = metrics.slice(at, end === -1 ? undefined : end);
    if (line.includes(`table="${table}"`)) sum += Number(line.slice(line.lastIndexOf(' ') + 1));
  }
  return sum;
}

export class RingWatch {
  readonly #gateways: readonly GatewayWatch[];
  #timer: NodeJS.Timeout | undefined;

  constructor({ targets, table, timeline }: RingWatchOptions) {
    this.#gateways = targets.map((target) => new GatewayWatch(target, timeline, table));
  }

  start(): void {
    const ask = () => {
      for (const gateway of this.#gateways) void gateway.ask();
    };
    ask();
    this.#timer = setInterval(ask, ASK_EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#gateways.map((gateway) => gateway.stop()));
  }
}
