import { connect } from 'node:net';
import type { EntityManager } from '@mikro-orm/postgresql';
import { domainOf } from '../../../address.ts';
import type { Step } from '../../../mail/mailer.ts';
import { databaseNow, dayMs } from '../../clock.ts';
import { bad, type Finding, good, type HealthParts } from '../health-check.ts';
import { fixMailServer } from '../mail.ts';
import { checkMailDomain, openResolver } from './mail-domain.ts';

/** Checks that ask the DNS or try ports. They take seconds. */
export function deepChecks(parts: HealthParts) {
  const { config } = parts;
  return {
    ...checkMailDomain({
      domain: domainOf(config.mailFrom.address),
      resolver: openResolver(config.dnsServer),
      dkimSelector: config.dkimSelector,
    }),
    smtp: checkSmtpSteps(parts),
    'smtp-ports': checkSmtpPorts(parts),
  };
}

/** Talks to the mail server up to MAIL, and checks how long its certificate is valid. */
async function checkSmtpSteps(parts: HealthParts): Promise<Finding> {
  if (parts.config.smtp === undefined) return good('SMTP_HOST is not set');
  const steps: Step[] = [];
  try {
    const { outcome, certificateEndsAt } = await parts.mailer().walk(undefined, (step) => steps.push(step));
    const fact = steps.map((it) => `${it.step}: ${it.detail}`).join('; ');
    if (outcome.result !== 'accepted') return bad('fail', fact, await fixMailServer(parts, outcome.result));
    const daysLeft = certificateEndsAt && Math.floor((certificateEndsAt.getTime() - parts.now().getTime()) / dayMs);
    if (daysLeft === undefined || daysLeft >= 14) return good(fact);
    return bad('warn', `its certificate expires in ${daysLeft} days; ${fact}`, 'have the mail server renew it');
  } catch (error) {
    return bad('fail', parts.explain(error), null);
  }
}

/** Many hosting providers block mail ports. An open one is a candidate for SMTP_PORT. */
async function checkSmtpPorts({ config: { smtp } }: HealthParts): Promise<Finding> {
  if (smtp === undefined) return good('SMTP_HOST is not set');
  const ports = [...new Set([smtp.port, 465, 587])];
  const tried = await Promise.all(ports.map(async (port) => ({ port, isOpen: await canConnect(smtp.host, port) })));
  const fact = `${smtp.host}: ${tried.map((it) => `${it.port} ${it.isOpen ? 'open' : 'closed'}`).join(', ')}`;
  const open = tried.find((it) => it.isOpen)?.port;
  if (open === smtp.port) return good(fact);
  const fix =
    open === undefined
      ? 'check SMTP_HOST, and ask your hosting provider whether it blocks mail ports'
      : `set SMTP_PORT=${open}`;
  return bad('fail', fact, fix);
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
export async function checkClock(parts: Pick<HealthParts, 'now'>, em: EntityManager): Promise<Finding> {
  // Opens the connection, so that the next statement only takes a round trip.
  await em.execute('select 1');
  const seconds = ((await databaseNow(em)).getTime() - parts.now().getTime()) / 1000;
  const apart = Math.abs(seconds);
  const fact =
    apart < 1
      ? 'within a second of the clock of the database'
      : `${Math.round(apart)} s ${seconds > 0 ? 'behind' : 'ahead of'} the clock of the database`;
  if (apart < 5) return good(fact);
  return bad(apart < 60 ? 'warn' : 'fail', fact, 'synchronise both machines with NTP');
}
