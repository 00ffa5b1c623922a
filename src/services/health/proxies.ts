import type { Keyring } from '../../privacy/keyring.ts';
import { good, type HealthCheck, type HealthParts } from './health-check.ts';
import { inventedAddress, makeProbe, type ProxiesSeen, probeHeader, proxiesHeader } from './proxy-probe.ts';

const patienceMs = 5000;

/**
 * Asks the server by the address that visitors use, and compares how many proxies the request passed with what the
 * server believes. The request says that it comes from somewhere else, as anybody's may.
 *
 * @param keyring undefined where the keys cannot be had.
 */
export async function checkProxies(parts: HealthParts, keyring: Keyring | undefined): Promise<HealthCheck> {
  const { publicUrl } = parts.config;
  if (keyring === undefined) {
    return { name: 'proxies', status: 'warn', fact: 'not known without the keys', fix: null };
  }
  let response: Response;
  try {
    response = await fetch(`${publicUrl}/livez`, {
      redirect: 'manual',
      headers: { [probeHeader]: makeProbe(keyring, parts.now()), 'X-Forwarded-For': inventedAddress },
      signal: AbortSignal.timeout(patienceMs),
    });
    await response.body?.cancel();
  } catch (error) {
    const fix = 'start the server; else check PUBLIC_URL, its DNS entry, the proxy and its certificate';
    return {
      name: 'proxies',
      status: 'warn',
      fact: `${publicUrl} cannot be reached from here: ${reasonOf(error)}`,
      fix,
    };
  }
  const answer = response.headers.get(proxiesHeader);
  if (answer === null) {
    const to = response.headers.get('location');
    return {
      name: 'proxies',
      status: 'warn',
      fact: `${publicUrl}/livez answers ${response.status}${to === null ? '' : ` (${to})`}, and not as a server with these keys does`,
      fix: 'check PUBLIC_URL, where the proxy sends requests to, and that the server has the same version and keys',
    };
  }
  return judge(publicUrl, JSON.parse(answer) as ProxiesSeen);
}

function judge(publicUrl: string, seen: ProxiesSeen): HealthCheck {
  const { added, trusted } = seen;
  const fact = `a request to ${publicUrl} passes ${countProxies(added)}, and TRUST_PROXY is ${trusted}`;
  if (seen.believed || added < trusted) {
    const risk = seen.believed
      ? 'a client can choose its own address, and so pass every limit'
      : 'all visitors behind one proxy count as one';
    const fix = `set TRUST_PROXY=${added}, or have each proxy add to X-Forwarded-For (nginx: $proxy_add_x_forwarded_for)`;
    return { name: 'proxies', status: 'fail', fact: `${fact}: ${risk}`, fix };
  }
  if (added > trusted) {
    return {
      name: 'proxies',
      status: 'fail',
      fact: `${fact}: all visitors count as one, and share one limit`,
      fix: `set TRUST_PROXY=${added}`,
    };
  }
  if (added === 0 && seen.local && !isLoopback(publicUrl)) {
    return {
      name: 'proxies',
      status: 'warn',
      fact: `${fact}; yet it comes from a program on the server's own machine: all visitors may count as one`,
      fix: 'have the proxy add to X-Forwarded-For (nginx: $proxy_add_x_forwarded_for), then set TRUST_PROXY',
    };
  }
  return good('proxies', fact);
}

function countProxies(count: number): string {
  return count === 1 ? '1 proxy' : `${count} proxies`;
}

function isLoopback(url: string): boolean {
  return /^(localhost|.*\.localhost|127\..*|\[::1\])$/.test(new URL(url).hostname);
}

/** `fetch` says what happened in the cause of its error. */
function reasonOf(error: unknown): string {
  const { cause, name, message } = error as Error & { cause?: { code?: string; message?: string } };
  if (name === 'TimeoutError') return `no answer within ${patienceMs / 1000} s`;
  return cause?.code ?? cause?.message ?? message;
}
