import { Migration } from '@mikro-orm/migrations';

/** Limits on mail to owners and on auto-replies, and the digests that name what a limit kept back. */
export class LimitsAndDigests extends Migration {
  override up(): void {
    this.addSql(`alter table "forms" add "notify_limit" int null`);
    this.addSql(`alter table "messages" add "no_reply" text null`);
    this.addSql(
      `alter table "emails" add "digest_id" uuid null, ${reasons('refused', 'schedule-ended', 'outcome-unknown', 'unwanted', 'too-late', 'nothing-held', 'digest')}`,
    );
    this.addSql(`create index "emails_digest_index" on "emails" ("digest_id") where digest_id is not null`);
    this.addSql(
      `create table "notify_hours" ("form_id" uuid not null, "hour" timestamptz(0) not null, "recipient" text not null, "notifications" int not null, "notify_limit" int not null, "digest_id" uuid null, primary key ("form_id", "hour", "recipient"))`,
    );
    this.addSql(
      `alter table "notify_hours" add constraint "notify_hours_form_id_foreign" foreign key ("form_id") references "forms" ("id")`,
    );
    this.addSql(
      `create table "reply_limits" ("key" bytea not null, "hour" timestamptz(0) not null, "replies" int not null, primary key ("key", "hour"))`,
    );
  }

  override down(): void {
    this.addSql(`drop table "reply_limits"`);
    this.addSql(`drop table "notify_hours"`);
    // The release before knows no digests: the owners hear now about each message that no digest has named.
    this.addSql(
      `update "emails" set "state" = 'queued', "failure" = null, "due_at" = now(), "requeued_at" = now() where "digest_id" is not null and ("failure" = 'digest' or "state" = 'queued') and not exists (select from "emails" as "digest" where "digest"."digest_id" = "emails"."digest_id" and "digest"."state" = 'sent')`,
    );
    this.addSql(`update "emails" set "failure" = null where "failure" = 'digest'`);
    this.addSql(
      `alter table "emails" drop column "digest_id", ${reasons('refused', 'schedule-ended', 'outcome-unknown', 'unwanted', 'too-late', 'nothing-held')}`,
    );
    this.addSql(`alter table "messages" drop column "no_reply"`);
    this.addSql(`alter table "forms" drop column "notify_limit"`);
  }
}

/** Part of the one `alter table`, so that the table is read once. */
function reasons(...allowed: string[]): string {
  const list = allowed.map((it) => `'${it}'`).join(', ');
  return `drop constraint "emails_failure_check", add constraint "emails_failure_check" check ("failure" in (${list}))`;
}
