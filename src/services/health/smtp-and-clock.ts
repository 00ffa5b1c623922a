import { connect } from 'node:net';
import type { EntityManager } from '@mikro-orm/postgresql';
import { domainOf } from '../../address.ts';
import type { Step } from '../../mail/mailer.ts';
import { databaseNow } from '../clock.ts';
import { explainBrokenTransport } from '../delivery/pause.ts';
import type { HealthCheck, HealthParts } from './health-check.ts';
import { checkMailDomain, openResolver } from './mail-domain.ts';

const day = 24 * 60 * 60_000;

/** Checks that ask the DNS or try ports. They take seconds. */
export function deepChecks(parts: HealthParts): Promise<HealthCheck>[] {
  const { config } = parts;
  return [
    ...checkMailDomain({
      domain: domainOf(config.mailFrom.address),
      resolver: openResolver(config.dnsServer),
      dkimSelector: config.dkimSelector,
    }),
    checkSmtpSteps(parts),
    checkSmtpPorts(parts),
  ];
}

/** Talks to the mail server up to MAIL, and checks how long its certificate is valid. */
async function checkSmtpSteps(parts: HealthParts): Promise<HealthCheck> {
  const { smtp } = parts.config;
  if (smtp === undefined) return { name: 'smtp', status: 'ok', fact: 'SMTP_HOST is not set', fix: null };
  const steps: Step[] = [];
  try {
    const { outcome, certificateEndsAt } = await parts.mailer().walk(undefined, (step) => steps.push(step));
    const fact = steps.map((it) => `${it.step}: ${it.detail}`).join('; ');
    if (outcome.result !== 'accepted') {
      return { name: 'smtp', status: 'fail', fact, fix: explainBrokenTransport(parts.config).fix };
    }
    const daysLeft = certificateEndsAt && (certificateEndsAt.getTime() - parts.now().getTime()) / day;
    if (daysLeft !== undefined && daysLeft < 14) {
      const left = `its certificate lasts ${Math.floor(daysLeft)} more days`;
      return { name: 'smtp', status: 'warn', fact: `${left}; ${fact}`, fix: 'have the mail server renew it' };
    }
    return { name: 'smtp', status: 'ok', fact, fix: null };
  } catch (error) {
    return { name: 'smtp', status: 'fail', fact: parts.explain(error), fix: null };
  }
}

/** Many hosting providers block mail ports. An open one is a candidate for SMTP_PORT. */
async function checkSmtpPorts({ config }: HealthParts): Promise<HealthCheck> {
  const { smtp } = config;
  if (smtp === undefined) return { name: 'smtp-ports', status: 'ok', fact: 'SMTP_HOST is not set', fix: null };
  const ports = [...new Set([smtp.port, 465, 587])];
  const open = await Promise.all(ports.map((port) => canConnect(smtp.host, port)));
  const fact = `${smtp.host}: ${ports.map((port, index) => `${port} ${open[index] ? 'open' : 'closed'}`).join(', ')}`;
  if (open[0]) return { name: 'smtp-ports', status: 'ok', fact, fix: null };
  const other = ports.find((_, index) => open[index]);
  const fix =
    other === undefined
      ? 'check SMTP_HOST, and ask your hosting provider whether it blocks mail ports'
      : `set SMTP_PORT=${other}`;
  return { name: 'smtp-ports', status: 'fail', fact, fix };
}

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 5000 });
    const end = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

/** Leases and retries use the database's clock; captchas, certificates and the Date header use ours. */
export async function checkClock(parts: HealthParts, em: EntityManager): Promise<HealthCheck> {
  await em.execute('select 1');
  const before = parts.now().getTime();
  const database = (await databaseNow(em)).getTime();
  const after = parts.now().getTime();
  const difference = database - (before + after) / 2;
  const seconds = Math.abs(difference) / 1000;
  const fact =
    seconds < 1
      ? 'within a second of the clock of the database'
      : `${Math.round(seconds)} s ${difference > 0 ? 'behind' : 'ahead of'} the clock of the database`;
  if (seconds < 5) return { name: 'clock', status: 'ok', fact, fix: null };
  const fix = 'synchronise both machines with NTP';
  return { name: 'clock', status: seconds < 60 ? 'warn' : 'fail', fact, fix };
}
