/**
 * The sync worker, as `ringfill sync-worker` runs it, in a process that kills itself at a point that it is told.
 *
 *     node sync-worker-to-kill.ts <configuration> <control port> [kill point as JSON]
 *
 * What is posted to the control port replaces the kill point: JSON, null for none.
 */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { loadConfig } from '../../../shared/config/load.ts';
import { stopSignal } from '../../../shared/lifecycle/stop-signal.ts';
import { createLog } from '../../../shared/telemetry/log.ts';
import { SyncWorker } from '../../../sync-worker/sync-worker.ts';
import type { Station } from '../../../sync-worker/capture/capture-run.ts';
import type { KillPoint } from './schedule.ts';

const [configFile = '', controlPort = '', firstPoint = 'null'] = process.argv.slice(2);
let point = JSON.parse(firstPoint) as KillPoint | null;
let passings = 0;

function pass(station: Station | 'applied'): void {
  if (point?.station !== station) return;
  passings += 1;
  if (passings === point.nth) dieAfter(point.turns);
}

function dieAfter(turns: number): void {
  if (turns === 0) process.kill(process.pid, 'SIGKILL');
  else setImmediate(() => dieAfter(turns - 1));
}

const config = loadConfig(configFile);
const log = createLog(config.log.level);
const stop = stopSignal();
const control = createServer((request, response) => {
  void text(request).then((body) => {
    point = JSON.parse(body) as KillPoint | null;
    passings = 0;
    response.writeHead(204).end();
  });
}).listen(Number(controlPort), '127.0.0.1');
const worker = new SyncWorker({ config, version: 'drill', log, onStation: pass });
try {
  await Promise.race([worker.start().then(() => worker.ended), stop]);
} finally {
  await worker.stop();
  control.close();
  control.closeAllConnections();
}
