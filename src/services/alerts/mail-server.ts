import { runStatement, type Statement } from '../../database/statement.ts';
import { grace } from '../../grace.ts';
import type { Mailer } from '../../mail/mailer.ts';
import { leaseMs } from '../delivery/job.ts';
import { explainBrokenTransport } from '../delivery/pause/pause.ts';
import type { Scope } from '../scope.ts';

type Asker = Pick<Scope, 'em' | 'config'>;

/** A mail server that takes longer than this to let us in counts as away. */
const patienceMs = 20_000;

/**
 * Whether an email is under way, or the last attempt met no mail server, and none was accepted lately. In the first case a
 * worker may wait for minutes before it knows, and in the second it pauses the queue only after a minute.
 */
const doubtStatement: Statement = {
  name: 'doubt_mail_1',
  text: `
select (
    exists (
      select from emails where state = 'queued' and lease_token is not null
        and due_at > now() and due_at <= now() + ${leaseMs} * interval '1 millisecond')
    or coalesce((
      select outcome in ('away', 'broken') or outcome in ('later', 'unknown') and code is null
      from attempts where finished_at > now() - interval '2 minutes' order by finished_at desc limit 1), false)
  ) and not exists (
    select from attempts where outcome = 'accepted' and finished_at > now() - interval '10 seconds') as doubtful`,
};

/** What is wrong with the mail server, although the queue is not paused; undefined if nothing. Without mail it asks nothing. */
export async function checkMailServer(scope: Asker, mailer: Mailer, stop: AbortSignal): Promise<string | undefined> {
  const [row] = await runStatement<{ doubtful: boolean }>(scope.em, doubtStatement, []);
  return row?.doubtful ? await askMailServer(scope, mailer, stop) : undefined;
}

/** Asks in any case. */
export async function askMailServer(
  { config }: Pick<Asker, 'config'>,
  mailer: Mailer,
  stop: AbortSignal,
): Promise<string | undefined> {
  const tooLate = grace(patienceMs, stop).then(() => ({ result: 'away' }) as const);
  const { result } = await Promise.race([mailer.verify(), tooLate]);
  return result === 'away' || result === 'broken' ? explainBrokenTransport(config, result).fact : undefined;
}
