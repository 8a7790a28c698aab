/** What most drills have in common. */
import type { LoadShape } from '../../watch/load.ts';
import type { WorldShape } from './world.ts';

/** Where nobody hears of changes, the origin is asked: then no answer may be old, whatever happens. */
export const THREE_AND_TWO: WorldShape = { primary: 3, fallback: 2, gateways: 1, onSyncLost: 'origin' };

export const OPEN_LOOP: LoadShape = { kind: 'open', perSecond: 2_000 };
export const CLOSED_LOOP: LoadShape = { kind: 'closed', connections: 8 };
