/** Every section, in the order in which they are run. */
import type { Section } from '../harness/section.ts';
import { peers } from './peers.ts';

export const ALL_SECTIONS: readonly Section[] = [peers];
