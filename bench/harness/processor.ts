/**
 * Which processor core does what, and what a process has used of them: by the kernel's own accounts, on Linux. Elsewhere
 * nothing is pinned, and nothing is known.
 *
 * A process is pinned when it is up, by `taskset`, with every thread that it has; those that it starts later inherit it.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** proc_pid_stat(5): USER_HZ, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Cores {
  /** Of the peer that is measured. Nothing where nothing can be pinned. */
  readonly peer: number | undefined;
  readonly generator: number | undefined;
  /** Of MySQL, Redis, RabbitMQ and the sync worker; the generator's where there are only two. */
  readonly servers: readonly number[];
  /** Every one that may be used. */
  readonly all: readonly number[];
  /** For the report: who shares what. */
  readonly words: string;
}

export async function chooseCores(): Promise<Cores> {
  const nothing = { peer: undefined, generator: undefined, servers: [], all: [] };
  const canPin = await run('taskset', ['--version']).then(
    () => true,
    () => false,
  );
  if (!canPin) return { ...nothing, words: 'Nothing was pinned to a core: there is no taskset here.' };
  const all = allowedCores();
  const [peer, generator, ...others] = all;
  if (peer === undefined || generator === undefined) {
    return { ...nothing, words: 'Nothing was pinned: there is one core, which everything shared.' };
  }
  const peerWords = `The peer that was measured had core ${peer} to itself, but for the other peers, which were up and idle`;
  return others.length === 0
    ? {
        peer,
        generator,
        servers: [generator],
        all,
        words: `${peerWords}; the load generator, Redis, MySQL, RabbitMQ and the sync worker shared core ${generator}.`,
      }
    : {
        peer,
        generator,
        servers: others,
        all,
        words: `${peerWords}; the load generator had core ${generator}; Redis, MySQL, RabbitMQ and the sync worker shared ${others.join(', ')}.`,
      };
}

/** Numbers as `taskset` takes them, such as 0-3,6. */
function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((span) => {
    const [from = 0, to = from] = span.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
}

/** A process with its children, to cores; to none is fine. */
export async function pin(pid: number, cores: readonly (number | undefined)[]): Promise<void> {
  const known = cores.filter((core) => core !== undefined);
  if (known.length === 0) return;
  for (const one of withChildren(pid)) await run('taskset', ['-a', '-c', '-p', known.join(','), String(one)]);
}

/** Its own first. */
export function withChildren(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(withChildren)];
}

/** User and system time of all their threads since they were started. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    // Fields 14 and 15.
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }, 0);
}

/** The most memory that it ever had. MiB. */
export function peakMebibytes(pid: number): number {
  return Math.round(kibibytes(pid, 'VmHWM') / 1024);
}

/** The memory that they have now, each for itself. MiB. */
export function residentMebibytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + kibibytes(pid, 'VmRSS'), 0) / 1024;
}

function kibibytes(pid: number, name: 'VmHWM' | 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
}

/** How long its main thread has wanted a core since it was started, and something else had it. s; 0 where the kernel does not say. */
export function waitedSeconds(pid: number): number {
  const file = `/proc/${pid}/schedstat`;
  // On the processor, in the run queue (ns), time slices.
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[1]) / 1e9 : 0;
}
