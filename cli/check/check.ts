/** Everything that a gateway with this configuration would meet, asked once. Nothing is changed anywhere. */
import { loadConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { messageOf, SetupError } from '../../shared/errors/errors.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { whyUnprovable } from '../../shared/origin/provable.ts';
import type { TableSchema } from '../../shared/origin/table-schema.ts';
import { checkAccess } from './check-access.ts';
import { checkBroker } from './check-broker.ts';
import { checkOutlets } from './check-outlets.ts';
import { type CheckedOrigin, checkOrigin } from './check-origin.ts';
import { checkRings } from './check-rings.ts';
import { checkShard } from './check-shard.ts';
import { checkSync } from './check-sync.ts';
import { checkTables } from './check-tables.ts';
import { endpointsOf } from '../../shared/shard/endpoint.ts';
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
    return [...endpointsOf(ring)].map(([name, endpoint]) => ({ name, ring: ring.name, endpoint }));
  });
  const [origin, broker, outlets, reports] = await Promise.all([
    checkOriginAndTables(config),
    config.sync === undefined ? [] : checkBroker(config, config.sync),
    config.sync?.outlets === undefined ? [] : checkOutlets(config.sync.outlets),
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
    ...checkAccess(config),
    ...origin,
    ...broker,
    ...outlets,
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
    findings.push(...(await checkProofs(pool, config, report.origin, tables.schemas)));
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

/** What the gateway asks at its start, where changes are followed. */
async function checkProofs(
  pool: OriginPool,
  config: Config,
  { server }: CheckedOrigin,
  schemas: ReadonlyMap<string, TableSchema>,
): Promise<Finding[]> {
  const isFollowed = (label: string) => config.tables[label]?.follow ?? config.defaults.follow;
  if (config.sync === undefined) return [];
  const followed = [...schemas].flatMap(([label, schema]) => (isFollowed(label) ? [{ label, schema }] : []));
  const problems = await whyUnprovable(pool, server, followed);
  const group = 'origin, for sync';
  const requirement = 'proved reads';
  if (problems.length > 0) return problems.map((problem) => findingOf(group, requirement, problem));
  return [{ group, requirement, verdict: 'met', found: `of ${count(followed.length, 'followed table')}` }];
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
