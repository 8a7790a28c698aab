/** For commands that need RabbitMQ now: one that is away is what an operator has to mend, there is nothing to wait for. */
import { BrokerConnection } from '../shared/broker/connection.ts';
import type { SyncConfig } from '../shared/config/schema.ts';
import { SetupError } from '../shared/errors/errors.ts';

/** Throws SetupError (`broker-unreachable`, `broker-refused`) also where the connection is lost amid `use`. */
export async function askBroker(
  { name, broker }: SyncConfig,
  command: string,
  use: (connection: BrokerConnection) => Promise<void>,
): Promise<void> {
  const away = Promise.withResolvers<never>();
  const connection: BrokerConnection = new BrokerConnection({
    url: broker.url,
    name: `ringfill ${name}: ${command}`,
    onStillDown: (why) => away.reject(unreachable(connection.address, why)),
    onChange: (state, why) => {
      if (state === 'down') away.reject(unreachable(connection.address, why));
    },
  });
  away.promise.catch(() => undefined);
  try {
    await Promise.race([connection.start(), away.promise]);
    const using = use(connection);
    using.catch(() => undefined);
    await Promise.race([using, away.promise]);
  } finally {
    await connection.stop();
  }
}

function unreachable(address: string, why: string): SetupError {
  const mend = 'see that RabbitMQ runs there, and that sync.broker.url is right';
  return new SetupError([
    { code: 'broker-unreachable', where: 'sync.broker.url', message: `${address}: ${why}`, mend },
  ]);
}
