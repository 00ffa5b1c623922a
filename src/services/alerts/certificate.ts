import { once } from 'node:events';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { bareHost } from '../../hooks/hook-url.ts';
import { isTlsError } from '../../network/tls-error.ts';
import { dayMs } from '../clock.ts';

/** What is wrong with the certificate that visitors get from this address; undefined if nothing, or without https. */
export async function checkCertificate(address: string, now: Date, stop: AbortSignal): Promise<string | undefined> {
  const url = new URL(address);
  if (url.protocol !== 'https:') return undefined;
  const signal = AbortSignal.any([stop, AbortSignal.timeout(10_000)]);
  // `rejectUnauthorized` whatever NODE_TLS_REJECT_UNAUTHORIZED says.
  const options = { host: bareHost(url.hostname), port: Number(url.port) || 443, rejectUnauthorized: true, signal };
  const socket = connect({ ...options, ...(isIP(options.host) === 0 && { servername: options.host }) });
  socket.on('error', () => {});
  try {
    await once(socket, 'secureConnect');
    const { valid_from, valid_to } = socket.getPeerCertificate();
    const end = Date.parse(valid_to);
    // Some last only six days.
    const isFine = end - now.getTime() > Math.min(14 * dayMs, (end - Date.parse(valid_from)) / 4);
    return isFine ? undefined : `the certificate ends on ${new Date(end).toISOString().slice(0, 10)}`;
  } catch (error) {
    const code = `${(error as NodeJS.ErrnoException).code}`.replace('ABORT_ERR', 'no answer');
    if (code === 'CERT_HAS_EXPIRED') return 'the certificate has expired';
    return isTlsError(code) ? `the certificate is wrong (${code})` : `this server cannot connect to it (${code})`;
  } finally {
    socket.destroy();
  }
}
