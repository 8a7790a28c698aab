/** The bench's own generator, as a process of its own. */
import { join } from 'node:path';
import type { BenchWorld } from '../harness/bench-world.ts';
import type { LoadSeen, LoadSpec } from './load-spec.ts';
import { runTool } from './run-tool.ts';

const MAIN = join(import.meta.dirname, 'generate.ts');

export async function runGenerator(world: BenchWorld, spec: LoadSpec): Promise<LoadSeen> {
  return JSON.parse(await runTool(world, 'generator', process.execPath, [MAIN, JSON.stringify(spec)])) as LoadSeen;
}
