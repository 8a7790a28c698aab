/** All that is read of what others wrote, but for what needs servers (http-surface.ts). */
import type { Target } from './target.ts';
import { FILES } from './targets/files.ts';
import { MESSAGES } from './targets/messages.ts';
import { REQUESTS } from './targets/requests.ts';
import { STORED } from './targets/stored.ts';

export const TARGETS: readonly Target[] = [...STORED, ...MESSAGES, ...FILES, ...REQUESTS];
