import { createSocket, type Socket } from 'node:dgram';
import type { AddressInfo } from 'node:net';

/** The records of a zone: `{ 'example.test TXT': ['v=spf1 -all'], 'example.test MX': ['10 mail.example.test'] }`. */
export type Zone = Record<string, readonly string[]>;

const types: Readonly<Record<number, string>> = { 1: 'A', 15: 'MX', 16: 'TXT', 28: 'AAAA' };

/** A DNS server on loopback (RFC 1035) that knows one zone; any other name does not exist. */
export class DnsServer implements AsyncDisposable {
  zone: Zone = {};
  /** Whether it gives no answers at all. */
  isSilent = false;
  /** A name that it does not answer for. */
  mute = '';
  readonly asked: string[] = [];
  readonly #socket: Socket = createSocket('udp4');

  static async start(zone: Zone): Promise<DnsServer> {
    const server = new DnsServer();
    server.zone = zone;
    server.#socket.on('message', (query, from) => {
      const answer = server.#answer(query);
      if (answer !== null && !server.isSilent) server.#socket.send(answer, from.port, from.address);
    });
    await new Promise<void>((resolve) => server.#socket.bind(0, '127.0.0.1', resolve));
    return server;
  }

  get address(): string {
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`;
  }

  #answer(query: Buffer): Buffer | null {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += length + 1;
    }
    const question = query.subarray(12, at + 5);
    const name = labels.join('.').toLowerCase();
    const type = types[query.readUInt16BE(at + 1)] ?? '?';
    this.asked.push(`${name} ${type}`);
    if (name === this.mute) return null;
    const values = this.zone[`${name} ${type}`] ?? [];
    const exists = Object.keys(this.zone).some((it) => it.startsWith(`${name} `));
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8580 | (exists ? 0 : 3), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(values.length, 6);
    return Buffer.concat([
      header,
      question,
      ...values.map((it) => record(query.readUInt16BE(at + 1), dataOf(type, it))),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }
}

function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  // The name is that of the question, which begins at octet 12.
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(60, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function dataOf(type: string, value: string): Buffer {
  if (type === 'TXT') {
    const pieces = value.match(/.{1,255}/gs) ?? [''];
    return Buffer.concat(pieces.map((it) => Buffer.concat([Buffer.from([it.length]), Buffer.from(it, 'latin1')])));
  }
  if (type === 'MX') {
    const [priority = '', exchange = ''] = value.split(' ');
    const head = Buffer.alloc(2);
    head.writeUInt16BE(Number(priority));
    const labels = exchange.split('.').filter((it) => it !== '');
    const name = labels.map((it) => Buffer.concat([Buffer.from([it.length]), Buffer.from(it, 'latin1')]));
    return Buffer.concat([head, ...name, Buffer.from([0])]);
  }
  if (type === 'AAAA') return Buffer.concat(addressGroups(value).map((it) => Buffer.from([it >> 8, it & 255])));
  return Buffer.from(value.split('.').map(Number));
}

/** The eight groups of an IPv6 address that contains one `::`. */
function addressGroups(value: string): number[] {
  const [head = [], tail = []] = value.split('::').map((part) =>
    part
      .split(':')
      .filter((it) => it !== '')
      .map((it) => Number.parseInt(it, 16)),
  );
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}
