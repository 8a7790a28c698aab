/** The thread that reads: at a steady rate, and doing nothing else, so that what it sees late was late. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { seededRandom } from '../load/random.ts';
import { zipfSampler } from '../load/zipf.ts';
import { counterIn } from '../watch/checker.ts';
import { Gateways } from '../watch/gateways.ts';
import { Load } from '../watch/load.ts';
import { toldStory } from '../watch/story.ts';
import { type FromThread, machineMs, machineMsAtZero, type ReadAnswer, type ReadSpec } from './read-spec.ts';

const CONNECTIONS = 128;
const TIMEOUT_MS = 5_000;

const { url, table, perSecond, seconds, keys, zipf, seed } = workerData as ReadSpec;
const nextId = zipfSampler(keys, zipf, seededRandom(seed));
const gateways = new Gateways({ targets: [{ name: 'gateway', url }], connections: CONNECTIONS, timeoutMs: TIMEOUT_MS });
const path = `/${table.replace('.', '/')}`;
const answers: ReadAnswer[] = [];
let unsent = 0;

const load = new Load({
  shape: { kind: 'open', perSecond, isPrecise: true },
  request: read,
  onOverrun: () => {
    unsent += 1;
  },
});
tell({ kind: 'started', machineMs: machineMs() });
load.start();
await sleep(seconds * 1_000);
await load.stop();
await gateways.stop();
tell({ kind: 'seen', machineMsAtZero: machineMsAtZero(), answers, unsent });

async function read(dueAt: number): Promise<void> {
  const id = nextId();
  const { sentAt, answered } = await gateways.get(`${path}/${id}`);
  const { endedAt } = answered;
  if (answered.kind === 'failed') {
    answers.push({ id, dueAt, sentAt, endedAt, status: answered.why, n: undefined, isHit: false, isSyncLost: false });
    return;
  }
  const { status, body, cacheStatus } = answered;
  const story = toldStory(cacheStatus);
  answers.push({
    id,
    dueAt,
    sentAt,
    endedAt,
    status,
    n: status === 200 ? counterIn(body, id) : undefined,
    isHit: story?.outcome === 'hit',
    isSyncLost: story?.syncLost ?? false,
  });
}

function tell(message: FromThread): void {
  parentPort?.postMessage(message);
}
