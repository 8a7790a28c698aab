/**
 * Where a gateway's time went, by V8's own sampling: a `.cpuprofile`, which Node.js writes when it ends under `--cpu-prof`, as a
 * table. For a figure that misses its goal.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FigureTable } from './section.ts';

const FUNCTIONS_MAX = 30;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  /** By node's id; each with the time since the one before, in µs. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** What a process is started with, so that its profile lies in the folder when it has ended. */
export function profiledInto(folder: string): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder}` };
}

/**
 * Of the largest profile in the folder, which is the main thread's. Throws where there is none.
 * @param lastSeconds before the process' end: what came earlier was its start.
 */
export function profileTable(folder: string, caption: string, lastSeconds: number): FigureTable {
  const profiles = readdirSync(folder)
    .filter((file) => file.endsWith('.cpuprofile'))
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile);
  const profile = profiles.toSorted((a, b) => b.samples.length - a.samples.length)[0];
  if (profile === undefined) throw new Error(`no profile was written into ${folder}`);
  const placeOf = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOfFrame(callFrame)]));
  const micros = new Map<string, number>();
  let left = 1e6 * lastSeconds;
  for (let index = profile.samples.length - 1; index >= 0 && left > 0; index -= 1) {
    const place = placeOf.get(profile.samples[index] as number) ?? '';
    const spent = profile.timeDeltas[index] ?? 0;
    micros.set(place, (micros.get(place) ?? 0) + spent);
    left -= spent;
  }
  micros.delete('(idle)');
  const all = [...micros.values()].reduce((sum, one) => sum + one, 0);
  const most = [...micros].toSorted(([, a], [, b]) => b - a).slice(0, FUNCTIONS_MAX);
  return {
    caption,
    columns: ['function', 'where', 'of its time'],
    rows: most.map(([place, spent]) => {
      const [name = '', where = ''] = place.split('\t');
      return [name, where, `${((100 * spent) / all).toFixed(1)} %`];
    }),
  };
}

function placeOfFrame({ functionName, url, lineNumber }: ProfileNode['callFrame']): string {
  if (functionName.startsWith('(') && url === '') return functionName;
  const file = url.startsWith('file:') ? fileURLToPath(url).replace(ROOT, '') : url;
  return `${functionName === '' ? '(anonymous)' : functionName}\t${file === '' ? 'V8' : `${file}:${lineNumber + 1}`}`;
}
