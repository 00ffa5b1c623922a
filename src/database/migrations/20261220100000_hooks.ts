import { Migration } from '@mikro-orm/migrations';

/** Hooks: addresses outside that are told about events, and the rows of these deliveries. Release 0.3.0 knows none of them. */
export class Hooks extends Migration {
  override up(): void {
    this.addSql(`create table "hooks" (
        "id" uuid not null,
        "name" varchar(64) not null,
        "kind" text not null,
        "state" text not null,
        "url" bytea not null,
        "secret" bytea null,
        "former_secret" bytea null,
        "former_until" timestamptz(3) null,
        "events" text[] not null,
        "form_ids" uuid[] null,
        "with_content" boolean not null default false,
        "failing_since" timestamptz(3) null,
        "quiet_until" timestamptz(3) null,
        "created_at" timestamptz(3) not null,
        primary key ("id"),
        constraint "hooks_kind_check" check ("kind" in ('webhook', 'slack', 'discord', 'telegram', 'ntfy', 'apprise')),
        constraint "hooks_state_check" check ("state" in ('active', 'paused', 'untested', 'gone'))
      )`);
    this.addSql(`alter table "hooks" add constraint "hooks_name_unique" unique ("name")`);
    this.addSql(`create table "hook_deliveries" (
        "id" uuid not null,
        "hook_id" uuid not null constraint "hook_deliveries_hook_id_foreign" references "hooks" ("id") on delete cascade,
        "event" text not null,
        "state" text not null,
        "message_id" uuid null constraint "hook_deliveries_message_id_foreign" references "messages" ("id") on delete cascade,
        "email_id" uuid null constraint "hook_deliveries_email_id_foreign" references "emails" ("id") on delete cascade,
        "due_at" timestamptz(3) not null,
        "lease_token" uuid null,
        "tries" smallint not null default 0,
        "failure" text null,
        "created_at" timestamptz(3) not null,
        "requeued_at" timestamptz(3) null,
        "sent_at" timestamptz(3) null,
        primary key ("id"),
        constraint "hook_deliveries_state_check" check ("state" in ('queued', 'sent', 'failed', 'cancelled')),
        constraint "hook_deliveries_failure_check" check ("failure" in ('refused', 'schedule-ended', 'outcome-unknown', 'unwanted', 'too-late', 'nothing-held', 'digest'))
      )`);
    this.addSql(
      `create index "hook_deliveries_due_index" on "hook_deliveries" ("hook_id", "due_at") where state = 'queued'`,
    );
    this.addSql(`create index "hook_deliveries_hook_id_id_index" on "hook_deliveries" ("hook_id", "id")`);
    this.addSql(`create index "hook_deliveries_state_id_index" on "hook_deliveries" ("state", "id")`);
    this.addSql(
      `create index "hook_deliveries_message_index" on "hook_deliveries" ("message_id") where message_id is not null`,
    );
    this.addSql(
      `create index "hook_deliveries_email_index" on "hook_deliveries" ("email_id") where email_id is not null`,
    );
    this.addSql(`create table "hook_attempts" (
        "id" uuid not null,
        "delivery_id" uuid not null constraint "hook_attempts_delivery_id_foreign" references "hook_deliveries" ("id") on delete cascade,
        "outcome" text not null,
        "code" smallint null,
        "reply" bytea null,
        "started_at" timestamptz(3) null,
        "finished_at" timestamptz(3) not null,
        primary key ("id"),
        constraint "hook_attempts_outcome_check" check ("outcome" in ('accepted', 'refused', 'later', 'unknown', 'broken', 'away'))
      )`);
    this.addSql(
      `create index "hook_attempts_delivery_id_finished_at_index" on "hook_attempts" ("delivery_id", "finished_at")`,
    );
    this.addSql(`create index "hook_attempts_finished_at_index" on "hook_attempts" ("finished_at")`);
  }

  override down(): void {
    this.addSql(`drop table "hook_attempts"`);
    this.addSql(`drop table "hook_deliveries"`);
    this.addSql(`drop table "hooks"`);
  }
}
