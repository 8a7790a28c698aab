/** `ringfill audit` as a process of its own: what it found, how fast it was, and what it took. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const MAIN = resolve(import.meta.dirname, '../cli/main.ts');

/** @param rows of all tables that are audited. */
export async function runAudit(configFile: string, rows: number, ...args: string[]): Promise<string> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [MAIN, 'audit', '-c', configFile, '--json', '--rate', '10000000', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  let used = { cpuSeconds: 0, peakMebibytes: 0 };
  const watch = setInterval(() => {
    used = usedBy(child.pid as number) ?? used;
  }, 50);
  const [code] = (await once(child, 'close')) as [number];
  clearInterval(watch);
  const seconds = (performance.now() - startedAt) / 1000;
  const { outcome, tables } = JSON.parse(stdout) as {
    outcome: string;
    tables: { shards: { compared: number; repaired: number; faults: Record<string, number> }[] }[];
  };
  const shards = tables.flatMap((table) => table.shards);
  const sums = new Map<string, number>();
  for (const { faults, repaired } of shards) {
    for (const [kind, count] of Object.entries({ ...faults, repaired })) sums.set(kind, (sums.get(kind) ?? 0) + count);
  }
  const told = [...sums].filter(([, count]) => count > 0).map(([kind, count]) => `${kind} ${count}`);
  const compared = shards.reduce((sum, shard) => sum + shard.compared, 0);
  return (
    `${outcome} (${code}): ${told.join(', ') || 'no differences'}; ${rows} rows, ${compared} comparisons in ` +
    `${seconds.toFixed(1)} s: ${Math.round(rows / seconds)} rows/s, ` +
    `${Math.round(rows / used.cpuSeconds)} a second of CPU; peak ${used.peakMebibytes} MiB`
  );
}

/** Nothing once it has ended. */
function usedBy(pid: number): { cpuSeconds: number; peakMebibytes: number } | undefined {
  try {
    const kibibytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    if (kibibytes === undefined) return undefined;
    // proc_pid_stat(5): fields 14 and 15, in ticks of 10 ms.
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
      peakMebibytes: Math.round(Number(kibibytes) / 1024),
    };
  } catch {
    return undefined;
  }
}
