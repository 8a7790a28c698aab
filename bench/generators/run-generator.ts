/** The bench's own generator, as a process of its own. */
import { join } from 'node:path';
import type { LoadSeen, LoadSpec } from './load-spec.ts';
import { runTool, type Surroundings } from './run-tool.ts';

const MAIN = join(import.meta.dirname, 'generate.ts');

export async function runGenerator(world: Surroundings, spec: LoadSpec): Promise<LoadSeen> {
  return JSON.parse(await runTool(world, 'generator', process.execPath, [MAIN, JSON.stringify(spec)])) as LoadSeen;
}
