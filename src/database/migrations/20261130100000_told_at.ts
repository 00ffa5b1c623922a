import { Migration } from '@mikro-orm/migrations';

/** Which held messages each summary covers, and which held messages an owner was told about. */
export class ToldAt extends Migration {
  override up(): void {
    this.addSql(`alter table "messages" add "told_at" timestamptz(3) null`);
    this.addSql(`alter table "emails" add "covers_after" timestamptz(3) null, add "covers_until" timestamptz(3) null`);
    for (const statement of fillSummaries) this.addSql(statement);
  }

  override down(): void {
    this.addSql(`alter table "emails" drop column "covers_after", drop column "covers_until"`);
    this.addSql(`alter table "messages" drop column "told_at"`);
  }
}

export const fillSummaries = [
  // A summary covers what was held since the one before it, and ten seconds more. A resend covers the same.
  `with recursive summaries as (
     select id, lag(created_at) over (partition by recipient order by created_at) - interval '10 seconds' as covers_after,
       created_at as covers_until
     from emails where kind = 'held-summary' and resend_of_id is null
     union all
     select emails.id, summaries.covers_after, summaries.covers_until
     from summaries join emails on emails.resend_of_id = summaries.id
   )
   update emails set covers_after = summaries.covers_after, covers_until = summaries.covers_until
   from summaries where emails.id = summaries.id and emails.covers_until is null`,
  // NOTIFY_TO is not known here. Without recipients of its own, a form's owners are those its notifications went to.
  `update messages set told_at = greatest(now(), coalesce(held_at, received_at))
   from emails, forms
   where messages.status = 'held' and messages.told_at is null and forms.id = messages.form_id and emails.kind = 'held-summary'
     and (emails.state = 'sent' or (emails.state = 'cancelled'
       and (emails.failure is null or emails.failure in ('refused', 'schedule-ended', 'outcome-unknown'))))
     and coalesce(held_at, received_at) > coalesce(emails.covers_after, '-infinity')
     and coalesce(held_at, received_at) <= emails.covers_until
     and case when cardinality(forms.recipients) > 0 then emails.recipient = any(forms.recipients)
       else exists (
         select from emails as notification where notification.message_id = messages.id
           and notification.kind = 'notification' and notification.recipient = emails.recipient) end`,
];
