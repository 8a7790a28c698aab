/**
 * The binlog read with nothing behind it, as a process of its own: `node bare-reader.ts <file>`, settings as JSON. It prints
 * how long the rows took, from the first to the last, and how many bytes of text were in them.
 *
 *     zongji     the library as its documentation shows it: every row of every event as an object of values
 *     ringfill   the reader of the sync worker, which decodes the same events itself: every row as the bytes of its cells
 */
import ZongJi from '@vlasky/zongji';
import { mysqlOptions } from '../../shared/origin/mysql-url.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import { BinlogReader } from '../../sync-worker/capture/binlog/binlog-reader.ts';
import { settingsOf } from './settings.ts';

export interface BareReaderSettings {
  readonly reader: 'zongji' | 'ringfill';
  readonly url: string;
  readonly serverId: number;
  readonly from: LogPosition;
  /** It ends with the last of them. */
  readonly rows: number;
  /** Whose bytes are counted, so that every row is looked at. */
  readonly column: string;
}

export interface BareReaderSeen {
  readonly seconds: number;
  readonly rows: number;
  readonly bytes: number;
  /** Of the process meanwhile, for each row. */
  readonly cpuMicros: number;
}

/** From the first row on. */
class Clock {
  #startedAt: number | undefined;
  #cpuAt: NodeJS.CpuUsage | undefined;

  start(): void {
    this.#startedAt ??= performance.now();
    this.#cpuAt ??= process.cpuUsage();
  }

  seen(rows: number, bytes: number): BareReaderSeen {
    const { user, system } = process.cpuUsage(this.#cpuAt);
    const seconds = (performance.now() - (this.#startedAt ?? 0)) / 1_000;
    return { seconds, rows, bytes, cpuMicros: (user + system) / rows };
  }
}

const settings = settingsOf<BareReaderSettings>();

async function readByZongji({ url, serverId, from, rows, column }: BareReaderSettings): Promise<BareReaderSeen> {
  const zongji = new ZongJi({ ...mysqlOptions(url) });
  const all = Promise.withResolvers<BareReaderSeen>();
  const clock = new Clock();
  let [seen, bytes] = [0, 0];
  zongji.on('error', all.reject);
  zongji.on('binlog', (event) => {
    if (event.getEventName() !== 'writerows') return;
    clock.start();
    for (const row of (event as unknown as { rows: Record<string, string>[] }).rows) {
      seen += 1;
      bytes += row[column]?.length ?? 0;
    }
    if (seen >= rows) all.resolve(clock.seen(seen, bytes));
  });
  zongji.start({ serverId, filename: from.file, position: from.position, includeEvents: ['tablemap', 'writerows'] });
  return await all.promise;
}

async function readByRingfill({ url, serverId, from, rows, column }: BareReaderSettings): Promise<BareReaderSeen> {
  const reader = new BinlogReader({
    url,
    serverId,
    from,
    follows: () => true,
    bufferBytesMax: 16 * 1_048_576,
    heartbeatMs: 500,
    silenceMs: 10_000,
  });
  const clock = new Clock();
  let [seen, bytes] = [0, 0];
  for await (const event of reader.events()) {
    if (event.kind !== 'rows') continue;
    clock.start();
    const at = event.table.columns.findIndex(({ name }) => name === column);
    for (const { after } of event.rows) {
      seen += 1;
      bytes += after?.[at]?.length ?? 0;
    }
    if (seen >= rows) break;
  }
  return clock.seen(seen, bytes);
}

const seen = await (settings.reader === 'zongji' ? readByZongji(settings) : readByRingfill(settings));
process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit());
