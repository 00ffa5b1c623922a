import { FirstSchema } from './20261122090000_first_schema.ts';
import { FormOrigins } from './20261122100000_form_origins.ts';
import { Guard } from './20261122110000_guard.ts';
import { MailQueue } from './20261122120000_mail_queue.ts';
import { ApiKeys } from './20261122130000_api_keys.ts';
import { FormSettings } from './20261122140000_form_settings.ts';
import { RetiredKeys } from './20261124110000_retired_keys.ts';
import { Retention } from './20261124120000_retention.ts';
import { Erasures } from './20261124120100_erasures.ts';
import { ImportedRows } from './20261124130000_imported_rows.ts';
import { EmailRequeued } from './20261127100000_email_requeued.ts';
import { CancelReasons } from './20261127110000_cancel_reasons.ts';
import { ToldAt } from './20261130100000_told_at.ts';
import { AwayAndUnsent } from './20261201100000_away_and_unsent.ts';
import { LimitsAndDigests } from './20261201110000_limits_and_digests.ts';
import { Replies } from './20261210100000_replies.ts';
import { SummariesOf02 } from './20261210120000_summaries_of_0_2.ts';
import { Hooks } from './20261220100000_hooks.ts';
import { Alerts } from './20261220110000_alerts.ts';
import { AnyForm } from './20261230100000_any_form.ts';

/**
 * Every migration, oldest first; `migrate create` adds to it. A list, not a folder listing, so that the recorded names are
 * the same for the sources and the built files.
 */
export const migrations = [
  { name: '20261122090000_first_schema', class: FirstSchema },
  { name: '20261122100000_form_origins', class: FormOrigins },
  { name: '20261122110000_guard', class: Guard },
  { name: '20261122120000_mail_queue', class: MailQueue },
  { name: '20261122130000_api_keys', class: ApiKeys },
  { name: '20261122140000_form_settings', class: FormSettings },
  { name: '20261124110000_retired_keys', class: RetiredKeys },
  { name: '20261124120000_retention', class: Retention },
  { name: '20261124120100_erasures', class: Erasures },
  { name: '20261124130000_imported_rows', class: ImportedRows },
  { name: '20261127100000_email_requeued', class: EmailRequeued },
  { name: '20261127110000_cancel_reasons', class: CancelReasons },
  { name: '20261130100000_told_at', class: ToldAt },
  { name: '20261201100000_away_and_unsent', class: AwayAndUnsent },
  { name: '20261201110000_limits_and_digests', class: LimitsAndDigests },
  { name: '20261210100000_replies', class: Replies },
  { name: '20261210120000_summaries_of_0_2', class: SummariesOf02 },
  { name: '20261220100000_hooks', class: Hooks },
  { name: '20261220110000_alerts', class: Alerts },
  { name: '20261230100000_any_form', class: AnyForm },
];
