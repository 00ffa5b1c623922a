/**
 * A mail server that accepts everything and keeps nothing, in its own process, so fast that only the sender is
 * measured. It reports to its parent its port and when it sent each 250 after a mail, by the clock that all processes
 * share.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net';

export type ToSink = { ask: 'reset' | 'report' | 'tell-each' };
export type FromSink = { port: number } | { mail: number } | { times: number[] };

const end = Buffer.from('\r\n.\r\n');
let times: number[] = [];
let tellEach = false;

const tell = (message: FromSink) => process.send?.(message);

process.on('message', ({ ask }: ToSink) => {
  if (ask === 'report') tell({ times });
  times = [];
  tellEach = ask === 'tell-each';
});
process.on('disconnect', () => process.exit());

const server = createServer({ noDelay: true }, serve);
server.listen(0, '127.0.0.1', () => tell({ port: (server.address() as AddressInfo).port }));

function serve(socket: Socket): void {
  let inMail = false;
  let tail = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.write('220 sink\r\n');
  socket.on('data', (chunk) => {
    let rest = Buffer.concat([tail, chunk as Buffer]);
    for (;;) {
      const at = rest.indexOf(inMail ? end : '\r\n');
      if (at < 0) break;
      const line = inMail ? '' : rest.toString('latin1', 0, Math.min(at, 8)).toUpperCase();
      rest = rest.subarray(at + (inMail ? end.length : 2));
      if (inMail) {
        inMail = false;
        const now = Number(process.hrtime.bigint()) / 1e6;
        socket.write('250 2.0.0 accepted\r\n');
        if (tellEach) tell({ mail: now });
        else times.push(now);
      } else if (line.startsWith('DATA')) {
        inMail = true;
        socket.write('354 go on\r\n');
      } else if (line.startsWith('QUIT')) socket.end('221 bye\r\n');
      else socket.write(line.startsWith('EHLO') ? '250-sink\r\n250 8BITMIME\r\n' : '250 2.0.0 ok\r\n');
    }
    // Keep only as much of a mail's body as could be the beginning of its end mark.
    tail = Buffer.from(inMail ? rest.subarray(Math.max(0, rest.length - end.length + 1)) : rest);
  });
}
