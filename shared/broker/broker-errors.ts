/** What the broker says, as what the caller does about it: wait (BrokerUnavailable), or stop and have it mended (SetupError). */
import { messageOf, SetupError } from '../errors/errors.ts';
import { isUntrusted } from '../errors/untrusted.ts';
import { withinDeadline } from '../lifecycle/deadline.ts';

/** Weather: it is not there, or not now. Whoever wanted something begins anew when it is back. */
export class BrokerUnavailable extends Error {
  constructor(why: string, options?: ErrorOptions) {
    super(`RabbitMQ: ${why}`, options);
    this.name = 'BrokerUnavailable';
  }
}

/** A quorum queue without a leader answers nothing, on a connection that is well. */
const ANSWERS_WITHIN_MS = 15_000;

/** What the broker was asked to do with a queue; throws BrokerUnavailable where it says nothing. */
export function answered<T>(asked: Promise<T>, late: string): Promise<T> {
  return withinDeadline(asked, ANSWERS_WITHIN_MS, () => new BrokerUnavailable(late));
}

/** AMQP 0-9-1, section 1.1 (constants). */
const ACCESS_REFUSED = 403;
const PRECONDITION_FAILED = 406;
const NOT_ALLOWED = 530;

/** The settings behind a queue's properties. */
const SETTINGS: Readonly<Record<string, string>> = {
  'x-queue-type': 'sync.broker.queueType',
  'x-max-length-bytes': 'sync.broker.backlogMebibytesMax',
};

/** Why a queue could not be declared: SetupError or BrokerUnavailable. */
export function declarationError(error: unknown, queue: string): SetupError | BrokerUnavailable {
  switch (replyCodeOf(error)) {
    case PRECONDITION_FAILED:
      return topologyDiffers(messageOf(error), queue, error);
    case ACCESS_REFUSED:
    case NOT_ALLOWED:
      return refused(messageOf(error), permissionsFor(queue), error);
    default:
      return error instanceof BrokerUnavailable ? error : new BrokerUnavailable(messageOf(error), { cause: error });
  }
}

/** Why there is no connection: SetupError or BrokerUnavailable. */
export function connectionError(error: unknown): SetupError | BrokerUnavailable {
  const message = messageOf(error);
  if (message.includes('(ACCESS-REFUSED)')) {
    return refused(message, 'check user and password in sync.broker.url', error);
  }
  // The driver tells neither code nor words of a refusal in this step, in which only the virtual host is looked at.
  if (message.startsWith('Expected ConnectionOpenOk; got <ConnectionClose')) {
    const why = 'it refuses the virtual host: there is none of this name, or the user may not use it';
    return refused(
      why,
      'check the path of sync.broker.url; rabbitmqctl list_permissions -p <vhost> shows who may',
      error,
    );
  }
  if (isUntrusted(error)) {
    const mend =
      'name the authority that signed its certificate (?ca=/path), and the host as the certificate does, in sync.broker.url';
    return new SetupError(
      [{ code: 'broker-untrusted', where: 'sync.broker.url', message: `RabbitMQ: ${message}`, mend }],
      {
        cause: error,
      },
    );
  }
  return new BrokerUnavailable(message === '' ? 'no connection' : message, { cause: error });
}

/** @param name of a queue or an exchange. */
function permissionsFor(name: string): string {
  const other = name.startsWith('ringfill.') ? '' : `${name.replaceAll('.', '\\.')}$`;
  const own = other === '' ? '^ringfill\\.' : `^(ringfill\\.|${other})`;
  const written = `^(ringfill\\.|amq\\.default$${other === '' ? '' : `|${other}`})`;
  return `rabbitmqctl set_permissions <user> '${own}' '${written}' '${own}'`;
}

function replyCodeOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'number' ? error.code : undefined;
}

function refused(message: string, mend: string, cause: unknown): SetupError {
  const problem = { code: 'broker-refused', where: 'sync.broker.url', message: `RabbitMQ: ${message}`, mend } as const;
  return new SetupError([problem], { cause });
}

function topologyDiffers(message: string, queue: string, cause: unknown): SetupError {
  const [, property = 'a property', wanted, found] =
    /inequivalent arg '([^']+)' for .*?: received (.*?) but current is (.*?)"?$/.exec(message) ?? [];
  const differs = wanted === undefined ? message : `${property} is ${found}, and ${wanted} is wanted`;
  const setting = SETTINGS[property];
  const back = setting === undefined ? '' : `set ${setting} back; or `;
  return new SetupError(
    [
      {
        code: 'broker-topology-differs',
        where: setting ?? 'sync.broker',
        message: `the queue ${queue} exists with other properties: ${differs}`,
        mend: `${back}delete the queue, and what it holds: rabbitmqctl delete_queue ${queue}`,
      },
    ],
    { cause },
  );
}
