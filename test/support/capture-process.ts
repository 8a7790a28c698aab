/** A capture in a process of its own, as `spawnCapture` starts it: its settings are the first argument. */
import { createLog } from '../../shared/telemetry/log.ts';
import { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { OriginPool } from '../../shared/origin/origin-pool.ts';
import { CaptureService } from '../../sync-worker/capture/capture-service.ts';
import type { CaptureProcessSettings } from './capture.ts';

const { config, dieAt, highest } = JSON.parse(process.argv[2] ?? '') as CaptureProcessSettings;
const log = createLog('info');
const pool = new OriginPool({ url: config.origin.url, connections: 2, timeoutMs: 2_000, onChange: () => undefined });
const tables = await ExposedTables.load(pool, config, log);
let left = dieAt?.count ?? 0;
const service = new CaptureService({
  config,
  tables,
  highestStamps: () => Promise.resolve(highest),
  log,
  onStation(station) {
    if (station !== dieAt?.station) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, 'SIGKILL');
  },
});
await service.start();
process.once('SIGTERM', () => {
  void service.stop().then(() => pool.stop());
});
