/** Everything that a gateway with this configuration would meet, asked once. Nothing is changed anywhere. */
import { loadConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { messageOf, SetupError } from '../../shared/errors/errors.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { checkOrigin } from './check-origin.ts';
import { checkRings } from './check-rings.ts';
import { checkShard } from './check-shard.ts';
import { checkSync } from './check-sync.ts';
import { checkTables } from './check-tables.ts';
import { type Finding, findingOf } from './finding.ts';

export async function checkAll(path: string): Promise<Finding[]> {
  let config: Config;
  try {
    config = loadConfig(path);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return error.problems.map((problem) => {
      const { where, ...said } = problem;
      return findingOf('configuration', 'file', { where, ...said, message: `${where}: ${said.message}` });
    });
  }
  const shards = config.rings.flatMap((ring) => {
    return Object.entries(ring.shards).map(([name, endpoint]) => ({ name, ring: ring.name, endpoint }));
  });
  const [origin, reports] = await Promise.all([
    checkOriginAndTables(config),
    Promise.all(shards.map((shard) => checkShard(shard, config))),
  ]);
  const identities = reports.map(({ runId, db }, index) => ({ name: shards[index]?.name ?? '', runId, db }));
  return [
    {
      group: 'configuration',
      requirement: 'file',
      verdict: 'met',
      found: `${path}: ${count(config.rings.length, 'ring')}, ${count(shards.length, 'shard')}, ${count(Object.keys(config.tables).length, 'table')}`,
    },
    ...origin,
    ...reports.flatMap(({ findings }) => findings),
    ...checkRings(config, identities),
  ];
}

async function checkOriginAndTables(config: Config): Promise<Finding[]> {
  const { url, timeoutMs } = config.origin;
  const pool = new OriginPool({ url, connections: 1, timeoutMs, onChange: () => undefined });
  const findings: Finding[] = [];
  try {
    const report = await checkOrigin(pool, url, timeoutMs);
    findings.push(...report.findings);
    if (report.origin === undefined) return findings;
    const tables = await checkTables(pool, config);
    findings.push(...tables.findings);
    findings.push(...(await checkSync(pool, report.origin, tables.schemas)));
  } catch (error) {
    // It was there a moment ago.
    findings.push({
      group: `origin ${pool.address}`,
      requirement: 'reachable',
      verdict: 'unmet',
      found: messageOf(error),
    });
  } finally {
    await pool.stop();
  }
  return findings;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
