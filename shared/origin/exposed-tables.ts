/**
 * All exposed tables with their live schemas: read at start-up, and again from time to time or when a read shows that
 * a table has changed. A table that a start would refuse by now keeps its last schema and is marked as unusable. With
 * each look goes one at the server: behind its address another one, of another version, may answer by then.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../config/schema.ts';
import { describeProblem, messageOf, type Problem, SetupError } from '../errors/errors.ts';
import { collidingKeySpaces } from '../key/cache-key.ts';
import type { Log } from '../telemetry/log.ts';
import { cellText } from './cells.ts';
import { ExposedTable } from './exposed-table.ts';
import type { Queryable } from './information-schema.ts';
import { whyUnmirrorable } from './mirrorable.ts';
import { isAtLeast, OLDEST_ORIGIN, SERVER_NAMES, type SqlServer, sqlServerOf } from './server-version.ts';
import { whyUnprovable } from './provable.ts';
import { readTableSchema, type SchemaOutcome } from './table-schema.ts';

export class ExposedTables {
  #server: SqlServer;
  readonly #origin: Queryable;
  readonly #config: Config;
  readonly #log: Log;
  readonly #tables: ReadonlyMap<string, ExposedTable>;
  readonly #reloads = new Map<ExposedTable, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  private constructor(origin: Queryable, config: Config, log: Log, server: SqlServer, tables: readonly ExposedTable[]) {
    this.#origin = origin;
    this.#config = config;
    this.#log = log;
    this.#server = server;
    this.#tables = new Map(tables.map((table) => [table.label, table]));
  }

  /** Throws SetupError with everything that is wrong with any table; OriginUnavailable. */
  static async load(origin: Queryable, config: Config, log: Log): Promise<ExposedTables> {
    const server = await requireSupported(origin);
    const tables: ExposedTable[] = [];
    const problems: Problem[] = [];
    for (const label of Object.keys(config.tables)) {
      const outcome = await readSchema(origin, label, config);
      if ('schema' in outcome) tables.push(new ExposedTable(label, config, outcome.schema));
      else problems.push(...outcome.problems);
    }
    problems.push(
      ...collidingKeySpaces(
        tables.map(({ label, keyPrefix, schema }) => ({ name: label, prefix: keyPrefix, key: schema.key })),
      ),
    );
    const followed = tables.filter(({ settings }) => settings.follow);
    problems.push(...(await whyUnprovable(origin, server, followed)));
    const [first, ...rest] = problems;
    if (first !== undefined) throw new SetupError([first, ...rest]);
    return new ExposedTables(origin, config, log, server, tables);
  }

  /** As of the last look. */
  get server(): SqlServer {
    return this.#server;
  }

  find(db: string, table: string): ExposedTable | undefined {
    return this.#tables.get(`${db}.${table}`);
  }

  all(): Iterable<ExposedTable> {
    return this.#tables.values();
  }

  /** One reload a table at a time; whoever asks meanwhile waits for that one. */
  reload(table: ExposedTable): Promise<void> {
    const running = this.#reloads.get(table);
    if (running !== undefined) return running;
    const reload = this.#reload(table).finally(() => this.#reloads.delete(table));
    this.#reloads.set(table, reload);
    return reload;
  }

  reloadEvery(seconds: number): void {
    this.#timer = setInterval(() => {
      void (async () => {
        for (const table of this.all()) await this.reload(table);
      })();
    }, seconds * 1000);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #reload(table: ExposedTable): Promise<void> {
    try {
      await this.#lookAtServer();
      const outcome = await readSchema(this.#origin, table.label, this.#config);
      if ('problems' in outcome) {
        const before = table.unusable?.reason;
        table.refuse(outcome.problems);
        const isNews = table.unusable?.reason !== before;
        const problems = outcome.problems.map(describeProblem);
        this.#log[isNews ? 'error' : 'debug']({ table: table.label, problems }, 'table unusable');
        return;
      }
      if (table.unusable !== undefined) this.#log.info({ table: table.label }, 'table usable again');
      if (outcome.schema.shape !== table.schema.shape || outcome.schema.selected !== table.schema.selected) {
        table.adopt(outcome.schema);
        this.#log.info({ table: table.label, shape: outcome.schema.shape }, 'table changed');
      } else {
        // The same columns, but a key or an encoder's detail may differ.
        table.adopt(outcome.schema);
      }
    } catch (error) {
      this.#log.warn({ table: table.label, reason: messageOf(error) }, 'table not reloaded');
    }
  }

  async #lookAtServer(): Promise<void> {
    const server = await askServer(this.#origin);
    if (isDeepStrictEqual(server, this.#server)) return;
    this.#log.info({ was: this.#server, is: server }, 'origin is of another version');
    this.#server = server;
  }
}

async function readSchema(origin: Queryable, label: string, { tables, defaults }: Config): Promise<SchemaOutcome> {
  const own = tables[label] ?? {};
  const outcome = await readTableSchema(origin, label, own);
  if ('problems' in outcome || (own.mode ?? defaults.mode) !== 'mirror') return outcome;
  const problems = whyUnmirrorable(label, outcome.schema);
  return problems.length === 0 ? outcome : { problems };
}

async function askServer(origin: Queryable): Promise<SqlServer> {
  const { rows } = await origin.query('SELECT VERSION()');
  return sqlServerOf(cellText(rows[0]?.[0]));
}

async function requireSupported(origin: Queryable): Promise<SqlServer> {
  const server = await askServer(origin);
  const { flavour, version } = server;
  const oldest = OLDEST_ORIGIN[flavour];
  if (isAtLeast(version, oldest)) return server;
  const name = SERVER_NAMES[flavour];
  const message = `is ${name} ${version}; ringfill needs ${name} ${oldest} or later`;
  throw new SetupError([
    {
      code: 'origin-unsupported',
      where: 'origin.url',
      message,
      mend: `upgrade the server to ${name} ${oldest} or later`,
    },
  ]);
}
