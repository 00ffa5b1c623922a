import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { dayMs } from '../clock.ts';

/** What is wrong with the certificate that visitors get from this address; undefined if nothing, or without https. */
export async function checkCertificate(address: string, now: Date, stop: AbortSignal): Promise<string | undefined> {
  const { protocol, hostname, port } = new URL(address);
  if (protocol !== 'https:') return undefined;
  const host = hostname.replace(/^\[|\]$/g, '');
  const socket = connect({ host, port: Number(port) || 443, ...(isIP(host) === 0 && { servername: host }) });
  const deadline = AbortSignal.any([stop, AbortSignal.timeout(10_000)]);
  deadline.addEventListener('abort', () => socket.destroy(new Error('no answer')));
  return await new Promise((resolve) => {
    socket.on('error', ({ code = 'no answer' }: NodeJS.ErrnoException) => resolve(`no valid certificate: ${code}`));
    socket.once('secureConnect', () => {
      const days = Math.floor((Date.parse(socket.getPeerCertificate().valid_to) - now.getTime()) / dayMs);
      resolve(days > 14 ? undefined : `it ends in ${days} days`);
      socket.destroy();
    });
  });
}
