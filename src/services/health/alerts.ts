import type { Scope } from '../scope.ts';
import { bad, type Finding, good, type HealthParts } from './health-check.ts';

/** No warning: many operators watch in another way. */
export const noAlerts = good('ALERT_URL is not set: nobody is told when mail is in trouble');

/** An error counts until something was taken, and for a day if one of two addresses took it. */
export async function checkAlerts({ config: { alertUrl, alertTo } }: HealthParts, em: Scope['em']): Promise<Finding> {
  const to = [alertUrl && new URL(alertUrl.reveal().url).host, alertTo].filter(Boolean).join(' and ');
  const [row] = await em.execute<{ error: string | null; looks: boolean }[]>(
    `select max(error) as error, exists (
       select from duties where name = 'alerts' and done_at > now() - interval '10 minutes') as looks
     from alerts where told_at is null or told_at < since or told_at > now() - interval '1 day'`,
  );
  if (!row?.looks) return bad('warn', `sent to ${to}, but by no server`, 'set it for the server too, and restart that');
  return row.error
    ? bad('warn', `sent to ${to}; the last error: ${row.error}`, null, 'test-alerts')
    : good(`sent to ${to}`);
}
