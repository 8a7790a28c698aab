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
}

const settings = settingsOf<BareReaderSettings>();

async function readByZongji({ url, serverId, from, rows, column }: BareReaderSettings): Promise<BareReaderSeen> {
  const zongji = new ZongJi({ ...mysqlOptions(url) });
  const all = Promise.withResolvers<BareReaderSeen>();
  let [seen, bytes, startedAt] = [0, 0, 0];
  zongji.on('error', all.reject);
  zongji.on('binlog', (event) => {
    if (event.getEventName() !== 'writerows') return;
    if (startedAt === 0) startedAt = performance.now();
    for (const row of (event as unknown as { rows: Record<string, string>[] }).rows) {
      seen += 1;
      bytes += row[column]?.length ?? 0;
    }
    if (seen >= rows) all.resolve({ seconds: (performance.now() - startedAt) / 1_000, rows: seen, bytes });
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
  let [seen, bytes, startedAt] = [0, 0, 0];
  for await (const event of reader.events()) {
    if (event.kind !== 'rows') continue;
    if (startedAt === 0) startedAt = performance.now();
    const at = event.table.columns.findIndex(({ name }) => name === column);
    for (const { after } of event.rows) {
      seen += 1;
      bytes += after?.[at]?.length ?? 0;
    }
    if (seen >= rows) break;
  }
  return { seconds: (performance.now() - startedAt) / 1_000, rows: seen, bytes };
}

const seen = await (settings.reader === 'zongji' ? readByZongji(settings) : readByRingfill(settings));
process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit());
