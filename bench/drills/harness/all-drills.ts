/** Every drill, in the order in which they are run. */
import { clockBackWhileBehind } from '../clock-back-while-behind.ts';
import { clockOfGateway } from '../clock-of-gateway.ts';
import { clockOfWorker } from '../clock-of-worker.ts';
import { cutFromGateway } from '../cut-from-gateway.ts';
import { cutFromWorker } from '../cut-from-worker.ts';
import { cutGatewayFromMysql } from '../cut-gateway-from-mysql.ts';
import { cutWorkerFromMysql } from '../cut-worker-from-mysql.ts';
import { cutWorkerFromRabbitmq } from '../cut-worker-from-rabbitmq.ts';
import { evicting } from '../evicting.ts';
import { flappingLink } from '../flapping-link.ts';
import { flapping } from '../flapping.ts';
import { flushed } from '../flushed.ts';
import { full } from '../full.ts';
import { hungBehind } from '../hung-behind.ts';
import { hung } from '../hung.ts';
import { killAFallback } from '../kill-a-fallback.ts';
import { killOneOfFive } from '../kill-one-of-five.ts';
import { killOneOfThree } from '../kill-one-of-three.ts';
import { killPrimaryAndFallback } from '../kill-primary-and-fallback.ts';
import { killTwoPrimaries } from '../kill-two-primaries.ts';
import { loading } from '../loading.ts';
import { mysqlDead } from '../mysql-dead.ts';
import { rabbitmqKilled } from '../rabbitmq-killed.ts';
import { replica } from '../replica.ts';
import { originOnLoss, originOnLossWithCopies } from '../origin-on-loss.ts';
import { restartedEmpty } from '../restarted-empty.ts';
import { restoredOneMinute } from '../restored-1min.ts';
import { restoredOneSecond } from '../restored-1s.ts';
import { restoredFromTheStart } from '../restored-from-the-start.ts';
import { rollingRestart } from '../rolling-restart.ts';
import { sentinelFailover } from '../sentinel-failover.ts';
import { slow } from '../slow.ts';
import { workerHung } from '../worker-hung.ts';
import { workerKilled } from '../worker-killed.ts';
import type { Drill } from './drill.ts';

export const ALL_DRILLS: readonly Drill[] = [
  // A shard is lost.
  killOneOfThree,
  killOneOfFive,
  killAFallback,
  killPrimaryAndFallback,
  killTwoPrimaries,
  flapping,
  flappingLink,
  hung,
  hungBehind,
  slow,
  originOnLoss,
  originOnLossWithCopies,
  // A shard returns, and is not what it was.
  restartedEmpty,
  restoredOneSecond,
  restoredOneMinute,
  restoredFromTheStart,
  flushed,
  evicting,
  full,
  replica,
  loading,
  sentinelFailover,
  // Someone cannot be reached, or knows the wrong time.
  cutFromWorker,
  cutFromGateway,
  cutWorkerFromMysql,
  cutWorkerFromRabbitmq,
  cutGatewayFromMysql,
  clockOfGateway,
  clockOfWorker,
  clockBackWhileBehind,
  // Another server is lost.
  workerKilled,
  workerHung,
  rabbitmqKilled,
  mysqlDead,
  rollingRestart,
];
