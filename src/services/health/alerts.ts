import { formatSpan } from '../clock.ts';
import type { Scope } from '../scope.ts';
import { bad, type Finding, good, type HealthParts } from './health-check.ts';

/** An error counts until something was taken, and for a day if one of two addresses took it. */
export async function checkAlerts({ config: { alertUrl, alertTo } }: HealthParts, em: Scope['em']): Promise<Finding> {
  const [row] = await em.execute<{ age: number | null; error: string | null }[]>(
    `select extract(epoch from now() - max(told_at))::float8 * 1000 as age,
       max(error) filter (where told_at is null or told_at < since or told_at > now() - interval '1 day') as error
     from alerts`,
  );
  const to = [alertUrl && new URL(alertUrl.reveal().url).host, alertTo].filter(Boolean).join(' and ');
  const fact = `sent to ${to}; ${row?.age == null ? 'none yet' : `the last ${formatSpan(Math.max(0, row.age))} ago`}`;
  return row?.error ? bad('warn', `${fact}; the last error: ${row.error}`, null, 'test-alerts') : good(fact);
}
