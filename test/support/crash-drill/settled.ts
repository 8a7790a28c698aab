/** When nobody writes any more and everything is there again: until all of it has come through, and everybody knows. */
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { binlogEndQuery } from '../../../shared/origin/origin-identity.ts';
import { sqlServerOf } from '../../../shared/origin/server-version.ts';
import { epochOf, type LogPosition, versionOf } from '../../../shared/version/version.ts';
import { until } from '../broker.ts';
import { stampIn } from './inventory.ts';
import type { Installation } from './installation.ts';
import { DRILL_DB, DRILL_TABLES, type DrillTable } from './tables.ts';

const WITHIN_MS = 120_000;

/** Every shard's stamp includes the binlog's end, and is of a time after this call. */
export async function settled(installation: Installation): Promise<void> {
  const { mysql, shards, config } = installation;
  const since = Date.now();
  const { file, position } = await binlogEnd(mysql);
  await Promise.all(
    shards.map(async (shard) => {
      let last = 'no stamp';
      const isThere = async () => {
        const stamp = await stampIn(shard, config.keyPrefix);
        if (stamp === undefined) return false;
        last = `at ${stamp.to}, as of ${stamp.asOf - since} ms from then`;
        return stamp.asOf >= since && versionOf(epochOf(stamp.to), { file, position }) <= stamp.to;
      };
      await until(`${shard.name} is at ${file}:${position}`, isThere, WITHIN_MS).catch((error: unknown) => {
        throw new Error(`${shard.name}: ${last}`, { cause: error });
      });
    }),
  );
  await Promise.all([installation.gateway, installation.fallbackGateway].map(trustsAll));
}

/** The gateway has found the servers again that were away, and believes all shards. */
async function trustsAll(gateway: string): Promise<void> {
  const [table] = DRILL_TABLES as [DrillTable];
  const row = `${gateway}/${DRILL_DB}/${table.name}/${table.keys[0]?.segment}`;
  const asksOrigin = { headers: { 'cache-control': 'no-cache, no-store' } };
  const isSo = async () => {
    const answer = await fetch(row, asksOrigin);
    await answer.arrayBuffer();
    const ring = (await (await fetch(`${gateway}/-/ring`)).json()) as {
      layers: { shards: { state: string }[] }[];
    };
    return answer.status < 500 && ring.layers.every(({ shards }) => shards.every(({ state }) => state === 'ok'));
  };
  await until(`${gateway} reaches MySQL and believes all shards`, isSo, WITHIN_MS);
}

async function binlogEnd({ host, port }: Installation['mysql']): Promise<LogPosition> {
  const root = await createConnection({ host, port, user: 'root' });
  try {
    const server = sqlServerOf(
      String((await root.query<RowDataPacket[]>('SELECT VERSION() AS version'))[0][0]?.['version']),
    );
    const [[end]] = await root.query<RowDataPacket[]>(binlogEndQuery(server));
    return { file: String(end?.['File']), position: Number(end?.['Position']) };
  } finally {
    await root.end();
  }
}
