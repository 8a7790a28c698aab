/**
 * Whom a limit by address is about. What `X-Forwarded-For` says is believed of a trusted proxy alone, and of several
 * entries only as far as trusted proxies wrote them: from the right, the first that is none of them.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP, isIPv6 } from 'node:net';

/** As far as it says who asks. */
export interface ClientRequest {
  readonly headers: Readonly<IncomingHttpHeaders>;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

export class ClientAddresses {
  readonly #proxies: BlockList | undefined;

  /** @param trustedProxies addresses, or networks as 10.0.0.0/8. Throws an Error where one is neither. */
  constructor(trustedProxies: readonly string[]) {
    this.#proxies = trustedProxies.length === 0 ? undefined : listOf(trustedProxies);
  }

  of(request: ClientRequest): string {
    const peer = unmapped(request.socket.remoteAddress ?? '');
    if (this.#proxies === undefined || !this.#isProxy(peer)) return limited(peer);
    const forwarded = String(request.headers['x-forwarded-for'] ?? '').split(',');
    let client = peer;
    for (const entry of forwarded.toReversed()) {
      const address = unmapped(entry.trim());
      if (isIP(address) === 0) break;
      client = address;
      if (!this.#isProxy(address)) break;
    }
    return limited(client);
  }

  #isProxy(address: string): boolean {
    return this.#proxies?.check(address, isIPv6(address) ? 'ipv6' : 'ipv4') === true;
  }
}

function listOf(proxies: readonly string[]): BlockList {
  const list = new BlockList();
  for (const proxy of proxies) {
    const [address = '', prefix] = proxy.split('/');
    const family = isIP(address);
    if (family === 0) throw new Error(`${JSON.stringify(proxy)} is not an address; write 10.0.0.7 or 10.0.0.0/8`);
    const type = family === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) {
      list.addAddress(address, type);
      continue;
    }
    const bits = Number(prefix);
    const isLength = /^[0-9]{1,3}$/.test(prefix) && bits <= (family === 6 ? 128 : 32);
    if (!isLength) throw new Error(`${JSON.stringify(proxy)} is not a network; write 10.0.0.0/8`);
    list.addSubnet(address, bits, type);
  }
  return list;
}

/** An IPv4 client of a socket that takes both; and without the zone of a link-local one. */
function unmapped(text: string): string {
  const [address = ''] = text.toLowerCase().split('%');
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}

/** One IPv6 client has a /64 at least (RFC 6177): its first four groups. */
function limited(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':');
    groups.push(...Array.from({ length: Math.max(0, 8 - groups.length - last.length) }, () => '0'), ...last);
  }
  return `${groups.slice(0, 4).join(':')}::/64`;
}
