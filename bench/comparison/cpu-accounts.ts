/** What each kind of process has used of the processor, by the kernel's accounts, between two looks. */
import { existsSync } from 'node:fs';
import { cpuSeconds } from '../harness/processor.ts';

export type CpuGroup = 'gateway' | 'mysql' | 'redis' | 'worker' | 'broker';
export type CpuPids = Readonly<Record<CpuGroup, readonly number[]>>;

export class CpuAccounts {
  readonly #pids: CpuPids;
  readonly #before: ReadonlyMap<number, number>;

  constructor(pids: CpuPids) {
    this.#pids = pids;
    this.#before = new Map(
      Object.values(pids)
        .flat()
        .map((pid) => [pid, secondsOf(pid) ?? 0]),
    );
  }

  /** Of those that still run. s. */
  since(): Readonly<Record<CpuGroup, number>> {
    const used = (group: CpuGroup) =>
      this.#pids[group].reduce((sum, pid) => {
        const before = this.#before.get(pid) ?? 0;
        return sum + (secondsOf(pid) ?? before) - before;
      }, 0);
    return {
      gateway: used('gateway'),
      mysql: used('mysql'),
      redis: used('redis'),
      worker: used('worker'),
      broker: used('broker'),
    };
  }
}

function secondsOf(pid: number): number | undefined {
  return existsSync(`/proc/${pid}/stat`) ? cpuSeconds([pid]) : undefined;
}
