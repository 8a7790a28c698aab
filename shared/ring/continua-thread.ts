/** The thread in which a ring is placed: its members come, its points go, and it ends. */
import { parentPort, workerData } from 'node:worker_threads';
import type { RingMembers } from './continua.ts';
import { placePoints } from './continuum.ts';

const { shards, placement } = workerData as RingMembers;
const placed = placePoints(shards, placement);
parentPort?.postMessage(placed, [placed.points.buffer, placed.shardAt.buffer]);
