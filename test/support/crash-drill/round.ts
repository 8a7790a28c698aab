/** One round: load, harm, everything brought back, and the verdict. Then the shards are filled for the next one. */
import { hang, kill } from '../../../stack/faults.ts';
import type { RunningServer } from '../../../stack/server-process.ts';
import { compareAnswers } from './answers.ts';
import type { Installation, InstalledShard } from './installation.ts';
import { takeInventory } from './inventory.ts';
import { judge, type Snapshot, type Verdict } from './judge.ts';
import { Load, type LoadReport } from './load.ts';
import type { KillPoint, Round } from './schedule.ts';
import { settled } from './settled.ts';
import { readTruth } from './truth.ts';

export interface RoundReport {
  readonly round: Round;
  readonly verdict: Verdict;
  readonly load: LoadReport;
  /** Of all keys, asked of both gateways. */
  readonly answersDiffering: readonly string[];
  /** Sync workers that were killed. */
  readonly deaths: number;
  readonly seconds: number;
}

/** Everything held, as far as it can be: what a round begins with. */
export async function fillAll(installation: Installation): Promise<Snapshot> {
  await settled(installation);
  const truth = await readTruth(installation);
  for (const gateway of gatewaysOf(installation)) await compareAnswers(gateway, truth);
  return { truth, shards: await takeInventory(installation, truth) };
}

export async function runRound(
  installation: Installation,
  round: Round,
  before: Snapshot,
): Promise<{ report: RoundReport; after: Snapshot }> {
  const { workers, mysql } = installation;
  const started = performance.now();
  const deathsBefore = workers.deaths;
  await workers.have(round.workers);
  const startedAt = Date.now();
  const load = new Load({
    mysql: { host: mysql.host, port: mysql.port },
    gateways: gatewaysOf(installation),
    seed: round.seed,
  });
  let loaded: LoadReport;
  try {
    await load.ended(round.commits.before);
    await harm(installation, round, load);
    if (round.again !== undefined) await killAgain(installation, round.again);
    await workers.atLeast(1);
    await load.ended(round.commits.after);
  } finally {
    loaded = await load.stop();
  }
  await settled(installation);
  const truth = await readTruth(installation);
  const found = { truth, shards: await takeInventory(installation, truth) };
  const verdict = judge(round, before, found, startedAt);
  const answersDiffering: string[] = [];
  for (const asked of gatewaysOf(installation)) answersDiffering.push(...(await compareAnswers(asked, truth)));
  const after = { truth, shards: await takeInventory(installation, truth) };
  const seconds = (performance.now() - started) / 1000;
  const deaths = workers.deaths - deathsBefore;
  return { report: { round, verdict, load: loaded, answersDiffering, deaths, seconds }, after };
}

async function harm(installation: Installation, { harm: what, commits }: Round, load: Load): Promise<void> {
  const { workers, broker, mysql, shards } = installation;
  const amid = () => load.ended(commits.amid);
  switch (what.kind) {
    case 'worker':
      await workers.dieAt(what.at);
      await amid();
      break;
    case 'broker':
      await killAndRestart(broker, what.hangsFirst, amid);
      break;
    case 'shard': {
      const { server } = shards.find(({ name }) => name === what.shard) as InstalledShard;
      await killAndRestart(server, what.hangsFirst, amid);
      break;
    }
    case 'mysql': {
      const back = load.originGoes();
      await killAndRestart(mysql, false, async () => undefined);
      back();
      break;
    }
  }
}

/** What happens amid it happens while the server stands still, or while it is gone. */
async function killAndRestart(server: RunningServer, hangsFirst: boolean, amid: () => Promise<void>): Promise<void> {
  if (hangsFirst) {
    hang(server);
    await amid();
  }
  await kill(server);
  if (!hangsFirst) await amid();
  await server.restart();
}

async function killAgain({ workers }: Installation, at: KillPoint): Promise<void> {
  if (workers.running === 0) await workers.bornToDieAt(at);
  else await workers.dieAt(at);
}

function gatewaysOf({ gateway, fallbackGateway }: Installation): string[] {
  return [gateway, fallbackGateway];
}
