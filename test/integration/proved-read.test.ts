/**
 * A proved read is never older than its position, on a real server under writers: PROTOCOL.md's counts, repeated.
 *
 * The judge is the binlog, read by the driver alone: of each read, the value that the row had at the read's position. An
 * exact read must have just that one; an inexact one that or a later one.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createPool, type Pool, type PoolConnection } from 'mysql2/promise';
import { parseRowId } from '../../shared/key/row-id.ts';
import { binlogEndQuery, identityQuery, originIdentity } from '../../shared/origin/origin-identity.ts';
import { OriginPool, type TextResult } from '../../shared/origin/origin-pool.ts';
import { provedRead } from '../../shared/origin/proved-read.ts';
import { replicaRead } from '../../shared/origin/replica-read.ts';
import { type OriginRow, type Proof, type ReadRows, rowsOf, selectRows } from '../../shared/origin/row-select.ts';
import { type SqlServer, sqlServerOf } from '../../shared/origin/server-version.ts';
import { readTableSchema, type TableSchema } from '../../shared/origin/table-schema.ts';
import { cellText } from '../../shared/origin/cells.ts';
import { seededRandom, type SeededRandom } from '../../stack/demo-data/seeded-random.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import { BinlogHistory } from '../support/binlog-history.ts';
import { replicate, startOwnOrigin } from '../support/capture.ts';

const ROWS = 50;
const WRITERS = 12;
const READERS = 6;
const BATCH = 4;
const RUN_MS = Number(process.env['RINGFILL_PROOF_MS'] ?? 5_000);

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`proved-read: seed ${seed}\n`);

const primary = await startOwnOrigin();
const { host, port, flavour } = primary.server;
const admin = createPool({ host, port, user: 'root', connectionLimit: WRITERS + 1 });
after(() => admin.end());
await admin.query('CREATE DATABASE proof');
await admin.query('CREATE TABLE proof.counters (id INT PRIMARY KEY, counter BIGINT NOT NULL) ENGINE = InnoDB');

function poolOf(url: string): OriginPool {
  const pool = new OriginPool({
    url,
    connections: READERS,
    timeoutMs: 5_000,
    packets: true,
    onChange: () => undefined,
  });
  after(() => pool.stop());
  return pool;
}

const origin = poolOf(primary.url);
const server: SqlServer = sqlServerOf(cellText((await origin.query('SELECT VERSION()')).rows[0]?.[0]));
const outcome = await readTableSchema(origin, 'proof.counters', {});
assert.ok('schema' in outcome);
const schema: TableSchema = outcome.schema;

/** Drawn by every commit: later ones are greater. */
let sequence = 0;

async function writeOnce(pool: Pool, random: SeededRandom): Promise<void> {
  const connection: PoolConnection = await pool.getConnection();
  const id = () => 1 + random.below(ROWS);
  try {
    await connection.query('BEGIN');
    for (let statement = 0; statement <= random.below(3); statement += 1) {
      const kind = random.below(10);
      const counter = (sequence += 1);
      if (kind < 7) await connection.query(`UPDATE proof.counters SET counter = ${counter} WHERE id = ${id()}`);
      else if (kind === 7) await connection.query(`DELETE FROM proof.counters WHERE id = ${id()}`);
      else if (kind === 8) await connection.query(`INSERT IGNORE INTO proof.counters VALUES (${id()}, ${counter})`);
      else
        await connection.query(
          `UPDATE IGNORE proof.counters SET id = ${id()}, counter = ${counter} WHERE id = ${id()}`,
        );
    }
    await connection.query('COMMIT');
  } catch {
    // A deadlock among the writers: the server has rolled back.
    await connection.query('ROLLBACK');
  } finally {
    connection.release();
  }
}

interface Seen {
  readonly id: string;
  readonly row: OriginRow;
}

/** Reads and writes side by side; then all that was read, and the judge. */
async function readUnderWriters(read: ReadRows, replica = false): Promise<{ seen: Seen[]; history: BinlogHistory }> {
  await admin.query('DELETE FROM proof.counters');
  const history = await BinlogHistory.follow({ host, port, flavour }, 'proof', 'counters');
  const until = performance.now() + RUN_MS;
  const whileRunning = async (step: () => Promise<void>) => {
    while (performance.now() < until) await step();
  };
  const seen: Seen[] = [];
  const writers = Array.from({ length: WRITERS }, (_, index) => {
    const random = seededRandom(seed + index);
    return whileRunning(() => writeOnce(admin, random));
  });
  const readers = Array.from({ length: READERS }, (_, index) => {
    const random = seededRandom(seed - 1 - index);
    return whileRunning(async () => {
      const base = replica ? history.base() : undefined;
      const wanted = new Set(Array.from({ length: BATCH }, () => String(1 + random.below(ROWS))));
      const found = await read(
        schema,
        [...wanted].map((id) => ({ id: parseRowId(schema.key, id), base })),
      );
      for (const id of wanted) seen.push({ id, row: found.get(id) ?? { kind: 'absent', proof: undefined } });
    });
  });
  await Promise.all([...writers, ...readers]);
  await history.catchUp({ host, port, flavour });
  await history.stop();
  return { seen, history };
}

function counterOf(row: OriginRow): number | undefined {
  return row.kind === 'absent' ? undefined : Number((JSON.parse(row.body.toString()) as { counter: string }).counter);
}

/** A stamp's `to` is a version of this server's binlog. */
function placeOf({ reaches }: Proof): LogPosition {
  if ('at' in reaches) return reaches.at;
  const file = String(Number(reaches.stampTo.slice(10, 20))).padStart(6, '0');
  return { file: `x.${file}`, position: Number(reaches.stampTo.slice(20, 35)) };
}

/** What the reads claim and the binlog denies. */
function wrongOf(seen: readonly Seen[], history: BinlogHistory): string[] {
  return seen.flatMap(({ id, row }) => {
    if (row.proof === undefined) return [];
    const at = placeOf(row.proof);
    const [then, ...later] = history.valuesFrom(id, at);
    const read = counterOf(row);
    const right = read === then || (row.proof.exactness === 'inexact' && later.includes(read));
    return right ? [] : [`row ${id} at ${at.position}: read ${read}, was ${then} (${row.proof.exactness})`];
  });
}

describe(`rows read under ${WRITERS} writers on ${ROWS} rows, ${server.flavour} ${server.version}`, () => {
  test('a proved read is what the row was at its position: none of all is wrong', async () => {
    const { seen, history } = await readUnderWriters(provedRead(origin, () => server));
    const count = (wanted: (seen: Seen) => boolean) => seen.filter(wanted).length;
    const exact = count(({ row }) => row.proof?.exactness === 'exact');
    const absent = count(({ row }) => row.kind === 'absent' && row.proof !== undefined);
    const unproved = count(({ row }) => row.proof === undefined);
    process.stdout.write(
      `ℹ ${history.commits} changes; ${seen.length} reads: ${exact} exact, ${seen.length - exact - unproved} inexact ` +
        `(${absent} absences), ${unproved} unproved\n`,
    );
    assert.deepEqual(wrongOf(seen, history).slice(0, 5), []);
    assert.ok(exact > 1_000, `${exact} exact reads are too few to prove anything`);
    assert.ok(absent > 100, `${absent} absences are too few to prove anything`);
  });

  test('what a replica is known to include, it includes: none of all is wrong', async () => {
    const replica = await startOwnOrigin({ name: 'replica', serverId: 7 });
    await replicate(primary, replica);
    const read = replicaRead([poolOf(replica.url)], () => server, 50);
    const { seen, history } = await readUnderWriters(read, true);
    const proved = seen.filter(({ row }) => row.proof !== undefined);
    const absent = proved.filter(({ row }) => row.kind === 'absent').length;
    process.stdout.write(
      `ℹ replica: ${history.commits} changes; ${seen.length} reads, ${proved.length} proved, ${absent} of them absences\n`,
    );
    assert.deepEqual(wrongOf(seen, history).slice(0, 5), []);
    assert.ok(proved.length > 500, `${proved.length} proved reads are too few to prove anything`);
  });

  test('the judge does judge: the same packet with a plain SELECT is wrong time and again', async () => {
    const unsound: ReadRows = async (table, wanted) => {
      const results = await origin.packet([
        identityQuery(server),
        selectRows(
          table,
          wanted.map(({ id }) => id),
        ),
        binlogEndQuery(server),
      ]);
      const [identity, rows, end] = results as [TextResult, TextResult, TextResult];
      const at = { file: cellText(end.rows[0]?.[0]), position: Number(cellText(end.rows[0]?.[1])) };
      const proof = { exactness: 'exact', reaches: { at }, origin: originIdentity(identity) } as const;
      return new Map(rowsOf(table, rows, proof).map((row) => [row.id.segment, row]));
    };
    const { seen, history } = await readUnderWriters(unsound);
    const wrong = wrongOf(seen, history);
    process.stdout.write(`ℹ plain SELECT: ${wrong.length} of ${seen.length} wrong\n`);
    assert.ok(wrong.length > 0, `none of ${seen.length} is wrong`);
  });
});
