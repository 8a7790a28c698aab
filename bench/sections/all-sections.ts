/** Every section, in the order in which they are run. */
import type { Section } from '../harness/section.ts';
import { comparison } from './comparison.ts';
import { fill } from './fill.ts';
import { growth } from './growth.ts';
import { memory } from './memory.ts';
import { peers } from './peers.ts';
import { sync } from './sync.ts';

export const ALL_SECTIONS: readonly Section[] = [peers, fill, sync, memory, comparison, growth];
